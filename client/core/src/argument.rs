//! What is refused before it is sent.

use core::fmt;

use crate::options::NodeId;

/// Why no server would accept an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvalidArgument {
    /// Only get and list take the root.
    EmptyKey,
    /// A key has more than [`KEY_BYTES_MAX`] bytes.
    KeyTooLong,
    /// A key begins or ends with a dot, or has two in a row: a path component is empty.
    EmptyComponent,
    /// A key contains a space.
    SpaceInKey,
    /// A value is empty.
    EmptyValue,
    /// A value has more than [`VALUE_BYTES_MAX`] bytes.
    ValueTooLong,
    /// A batch has no keys.
    EmptyBatch,
    /// A batch has more than [`BATCH_KEYS_MAX`] keys.
    BatchTooLong,
    /// Key, values and their frame are longer than a body may be.
    BodyTooLong,
    /// The node is not one of the client's servers.
    UnknownNode(NodeId),
}

/// Longest key.
pub const KEY_BYTES_MAX: usize = 8_192;
/// Longest value.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// Most keys of a batch; servers take more, but complain about it.
pub const BATCH_KEYS_MAX: usize = 50_000;

/// The path of a node other than the root.
pub(crate) fn check_key(key: &[u8]) -> Result<(), InvalidArgument> {
    match (key.first(), key.last()) {
        (None, _) | (_, None) => return Err(InvalidArgument::EmptyKey),
        (Some(b'.'), _) | (_, Some(b'.')) => return Err(InvalidArgument::EmptyComponent),
        _ if key.len() > KEY_BYTES_MAX => return Err(InvalidArgument::KeyTooLong),
        _ => {}
    }
    // One pass without branches, for the compiler to vectorise; which fault it is matters only
    // when there is one.
    let mut fault = false;
    let mut previous = 0;
    for &byte in key {
        fault |= (byte == b' ') | ((byte == b'.') & (previous == b'.'));
        previous = byte;
    }
    match fault {
        false => Ok(()),
        true if key.contains(&b' ') => Err(InvalidArgument::SpaceInKey),
        true => Err(InvalidArgument::EmptyComponent),
    }
}

/// The path of any node; the root's is empty.
pub(crate) fn check_key_or_root(key: &[u8]) -> Result<(), InvalidArgument> {
    if key.is_empty() { Ok(()) } else { check_key(key) }
}

pub(crate) fn check_value(value: &[u8]) -> Result<(), InvalidArgument> {
    match value.len() {
        0 => Err(InvalidArgument::EmptyValue),
        length if length > VALUE_BYTES_MAX => Err(InvalidArgument::ValueTooLong),
        _ => Ok(()),
    }
}

pub(crate) fn check_batch(length: usize) -> Result<(), InvalidArgument> {
    match length {
        0 => Err(InvalidArgument::EmptyBatch),
        length if length > BATCH_KEYS_MAX => Err(InvalidArgument::BatchTooLong),
        _ => Ok(()),
    }
}

impl fmt::Display for InvalidArgument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidArgument::EmptyKey => formatter.write_str("the key is empty"),
            InvalidArgument::KeyTooLong => {
                write!(formatter, "a key has more than {KEY_BYTES_MAX} bytes")
            }
            InvalidArgument::EmptyComponent => {
                formatter.write_str("a key has a dot at an end or two in a row")
            }
            InvalidArgument::SpaceInKey => formatter.write_str("a key contains a space"),
            InvalidArgument::EmptyValue => formatter.write_str("a value is empty"),
            InvalidArgument::ValueTooLong => {
                write!(formatter, "a value has more than {VALUE_BYTES_MAX} bytes")
            }
            InvalidArgument::EmptyBatch => formatter.write_str("the batch has no keys"),
            InvalidArgument::BatchTooLong => {
                write!(formatter, "the batch has more than {BATCH_KEYS_MAX} keys")
            }
            InvalidArgument::BodyTooLong => formatter.write_str("the request is too long"),
            InvalidArgument::UnknownNode(node) => {
                write!(formatter, "node {} is not one of the servers", node.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn keys_are_checked_as_servers_do_and_stricter() {
        let table: [(&[u8], Result<(), InvalidArgument>); 12] = [
            (b"", Err(InvalidArgument::EmptyKey)),
            (b"a", Ok(())),
            (b"a.b.c", Ok(())),
            (b"\xff\x00", Ok(())),
            (b".", Err(InvalidArgument::EmptyComponent)),
            (b".a", Err(InvalidArgument::EmptyComponent)),
            (b"a.", Err(InvalidArgument::EmptyComponent)),
            (b"a..b", Err(InvalidArgument::EmptyComponent)),
            (b"a b", Err(InvalidArgument::SpaceInKey)),
            (b" ", Err(InvalidArgument::SpaceInKey)),
            (&[b'k'; KEY_BYTES_MAX], Ok(())),
            (&[b'k'; KEY_BYTES_MAX + 1], Err(InvalidArgument::KeyTooLong)),
        ];
        for (key, expected) in table {
            assert_eq!(check_key(key), expected, "{key:?}");
        }
        assert_eq!(check_key_or_root(b""), Ok(()));
        assert_eq!(check_key_or_root(b"."), Err(InvalidArgument::EmptyComponent));
    }

    #[test]
    fn values_and_batches_are_checked() {
        assert_eq!(check_value(b""), Err(InvalidArgument::EmptyValue));
        assert_eq!(check_value(&vec![0; VALUE_BYTES_MAX]), Ok(()));
        let long = vec![0; VALUE_BYTES_MAX + 1];
        assert_eq!(check_value(&long), Err(InvalidArgument::ValueTooLong));
        assert_eq!(check_batch(0), Err(InvalidArgument::EmptyBatch));
        assert_eq!(check_batch(BATCH_KEYS_MAX), Ok(()));
        assert_eq!(check_batch(BATCH_KEYS_MAX + 1), Err(InvalidArgument::BatchTooLong));
    }
}
