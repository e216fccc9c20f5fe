//! What is refused before it is sent.

use core::fmt;
use core::time::Duration;

use kv_api::{
    ClientKeyError, RootKey, TRANSACTION_PARTS_MAX, TTL_MS_MAX, VALUE_BYTES_MAX, check_client_key,
};

use crate::options::NodeId;

/// Why no server would accept an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvalidArgument {
    /// A key breaks the rules.
    Key(ClientKeyError),
    /// A value is empty.
    EmptyValue,
    /// A value has more than [`kv_api::VALUE_BYTES_MAX`] bytes.
    ValueTooLong,
    /// A batch has no keys.
    EmptyBatch,
    /// A batch has more than [`BATCH_KEYS_MAX`] keys.
    BatchTooLong,
    /// A batch has not as many values as keys.
    KeysAndValuesDiffer,
    /// Key, values and their frame are longer than a body may be.
    BodyTooLong,
    /// A transaction has more than [`kv_api::TRANSACTION_PARTS_MAX`] conditions or steps.
    TransactionTooLong,
    /// A time to live or a lease is zero or over 36,500 days.
    TimeToLive,
    /// A place in the queue of a lock cannot last longer than the lease that it asks for.
    WaitOverLease,
    /// This client has a lock object or a watch for this key already.
    KeyInUse,
    /// The node is not one of the client's servers.
    UnknownNode(NodeId),
}

/// Most keys of a batch; servers take more, but complain about it.
pub const BATCH_KEYS_MAX: usize = 50_000;

/// The path of a node other than the root.
#[inline]
pub(crate) fn check_key(key: &[u8]) -> Result<(), InvalidArgument> {
    check_client_key(key, RootKey::Refused).map_err(InvalidArgument::Key)
}

/// The path of any node; the root's is empty.
#[inline]
pub(crate) fn check_key_or_root(key: &[u8]) -> Result<(), InvalidArgument> {
    check_client_key(key, RootKey::Allowed).map_err(InvalidArgument::Key)
}

#[inline]
pub(crate) fn check_value(value: &[u8]) -> Result<(), InvalidArgument> {
    match value.len() {
        0 => Err(InvalidArgument::EmptyValue),
        length if length > VALUE_BYTES_MAX => Err(InvalidArgument::ValueTooLong),
        _ => Ok(()),
    }
}

/// A time to live, or a lease.
pub(crate) fn check_time_to_live(time: Duration) -> Result<(), InvalidArgument> {
    match time.as_nanos().div_ceil(NANOS_PER_MILLI) {
        millis if (1..=TTL_MS_MAX as u128).contains(&millis) => Ok(()),
        _ => Err(InvalidArgument::TimeToLive),
    }
}

/// Whole milliseconds for the wire, rounded up, so that nothing ends early.
pub(crate) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_nanos().div_ceil(NANOS_PER_MILLI)).unwrap_or(i64::MAX)
}

const NANOS_PER_MILLI: u128 = 1_000_000;

/// The keys of a batch, none of which is the root's.
pub(crate) fn check_keys(keys: &[&[u8]]) -> Result<(), InvalidArgument> {
    match keys.len() {
        0 => Err(InvalidArgument::EmptyBatch),
        length if length > BATCH_KEYS_MAX => Err(InvalidArgument::BatchTooLong),
        _ => keys.iter().try_for_each(|key| check_key(key)),
    }
}

impl fmt::Display for InvalidArgument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidArgument::Key(error) => error.fmt(formatter),
            InvalidArgument::EmptyValue => formatter.write_str("a value is empty"),
            InvalidArgument::ValueTooLong => {
                write!(formatter, "a value has more than {VALUE_BYTES_MAX} bytes")
            }
            InvalidArgument::EmptyBatch => formatter.write_str("the batch has no keys"),
            InvalidArgument::BatchTooLong => {
                write!(formatter, "the batch has more than {BATCH_KEYS_MAX} keys")
            }
            InvalidArgument::KeysAndValuesDiffer => {
                formatter.write_str("the batch has not as many values as keys")
            }
            InvalidArgument::BodyTooLong => formatter.write_str("the request is too long"),
            InvalidArgument::TransactionTooLong => {
                write!(
                    formatter,
                    "a transaction has more than {TRANSACTION_PARTS_MAX} parts of a kind"
                )
            }
            InvalidArgument::TimeToLive => {
                formatter.write_str("a time to live or lease must be from 1 ms to 36500 days")
            }
            InvalidArgument::WaitOverLease => {
                formatter.write_str("a place in the queue lasts no longer than the lease")
            }
            InvalidArgument::KeyInUse => {
                formatter.write_str("this client locks or watches this key already")
            }
            InvalidArgument::UnknownNode(node) => {
                write!(formatter, "node {} is not one of the servers", node.0)
            }
        }
    }
}

impl core::error::Error for InvalidArgument {}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn only_reads_take_the_root() {
        let empty = InvalidArgument::Key(ClientKeyError::Empty);
        assert_eq!(check_key(b""), Err(empty));
        assert_eq!(check_key_or_root(b""), Ok(()));
        let name = InvalidArgument::Key(ClientKeyError::EmptyName);
        assert_eq!(check_key_or_root(b"a..b"), Err(name));
    }

    #[test]
    fn times_are_whole_milliseconds_in_range() {
        let day = Duration::from_secs(24 * 60 * 60);
        let nano = Duration::from_nanos(1);
        assert_eq!((millis(nano), check_time_to_live(nano)), (1, Ok(())));
        assert_eq!(check_time_to_live(day * 36_500), Ok(()));
        for wrong in [Duration::ZERO, day * 36_500 + nano, Duration::MAX] {
            assert_eq!(check_time_to_live(wrong), Err(InvalidArgument::TimeToLive));
        }
        assert_eq!(millis(Duration::MAX), i64::MAX);
    }

    #[test]
    fn values_and_batches_have_limits() {
        assert_eq!(check_value(b""), Err(InvalidArgument::EmptyValue));
        assert_eq!(check_value(&vec![0; VALUE_BYTES_MAX]), Ok(()));
        let long = vec![0; VALUE_BYTES_MAX + 1];
        assert_eq!(check_value(&long), Err(InvalidArgument::ValueTooLong));
        assert_eq!(check_keys(&[]), Err(InvalidArgument::EmptyBatch));
        let keys = vec![&b"k"[..]; BATCH_KEYS_MAX + 1];
        assert_eq!(check_keys(&keys), Err(InvalidArgument::BatchTooLong));
        assert_eq!(check_keys(&keys[1..]), Ok(()));
    }
}
