//! Writes, as they stand in the log.

use wire::{Command, Fields, Value, WireError, WireErrorKind, Writer};

use crate::owner::Owner;
use crate::request::KvRequest;

/// One row gives a variant, its number in the log and the command that asks for it.
macro_rules! operations {
    ($($(#[doc = $doc:literal])* $variant:ident = $number:literal, $command:pat, $owner:literal;)*) => {
        /// What a log entry does to the tree. The numbers stand on disk and never change.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum OperationKind {
            $($(#[doc = $doc])* $variant = $number,)*
        }

        impl OperationKind {
            /// All kinds in ascending order.
            pub const ALL: &'static [OperationKind] = &[$(OperationKind::$variant),*];

            /// The kind with this number.
            #[inline]
            pub const fn from_number(number: u8) -> Option<OperationKind> {
                match number {
                    $($number => Some(OperationKind::$variant),)*
                    _ => None,
                }
            }

            /// The kind of the entry that a command asks for; `None` for reads and others.
            #[inline]
            pub const fn of_command(command: Command) -> Option<OperationKind> {
                match command {
                    $($command => Some(OperationKind::$variant),)*
                    _ => None,
                }
            }

            /// Whether it matters who asks, so that the owner has to stand in the entry.
            #[inline]
            pub const fn needs_owner(self) -> bool {
                match self {
                    $(OperationKind::$variant => $owner,)*
                }
            }
        }
    };
}

/// No command has this number: the leader itself proposes the operation.
const NO_COMMAND: Command = Command(i32::MIN);

operations! {
    /// Set a value.
    Put = 0, Command::DTKV_PUT, false;
    /// Remove a node.
    Remove = 2, Command::DTKV_REMOVE, true;
    /// Make a directory.
    Mkdir = 3, Command::DTKV_MKDIR, false;
    /// Set several values.
    BatchPut = 6, Command::DTKV_BATCH_PUT, false;
    /// Remove several nodes.
    BatchRemove = 7, Command::DTKV_BATCH_REMOVE, true;
    /// Compare and set.
    Cas = 8, Command::DTKV_CAS, false;
    /// Set a value that expires.
    PutTemp = 11, Command::DTKV_PUT_TEMP_NODE, true;
    /// Make a directory that expires.
    MakeTempDir = 12, Command::DTKV_MAKE_TEMP_DIR, true;
    /// Remove what has expired; proposed by the leader.
    Expire = 13, NO_COMMAND, false;
    /// Change when something expires.
    UpdateTtl = 14, Command::DTKV_UPDATE_TTL, true;
    /// Take a lock or wait for it.
    TryLock = 15, Command::DTKV_TRY_LOCK, true;
    /// Give a lock back.
    Unlock = 16, Command::DTKV_UNLOCK, true;
    /// Renew the lease of a lock.
    UpdateLockLease = 17, Command::DTKV_UPDATE_LOCK_LEASE, true;
    /// Several operations under conditions; the body is a
    /// [`TransactionRequest`](crate::TransactionRequest).
    Transaction = 100, Command::TRANSACTION, true;
    /// Open a session; the body is an [`OpenSession`](crate::OpenSession).
    OpenSession = 101, Command::SESSION_OPEN, true;
}

impl OperationKind {
    /// Whether it starts a countdown, so that its entry must not carry a time before the request.
    #[inline]
    pub const fn starts_countdown(self) -> bool {
        matches!(
            self,
            OperationKind::PutTemp
                | OperationKind::MakeTempDir
                | OperationKind::UpdateTtl
                | OperationKind::TryLock
                | OperationKind::UpdateLockLease
                | OperationKind::Transaction
        )
    }

    /// The number in the log.
    #[inline]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// The payload of a log entry: a head, then the request's body exactly as it came.
///
/// The head is the kind, one byte of flags, and for each flag in ascending order its field. Bit 0:
/// the owner, two little-endian numbers of 8 bytes, high first. An unknown bit is an error: what
/// follows cannot be located.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payload<'a> {
    /// What to do.
    pub kind: OperationKind,
    /// Who asks; stands in the log for kinds that need it.
    pub owner: Option<Owner>,
    /// An encoded [`KvRequest`], or the message that the kind names.
    pub body: &'a [u8],
}

/// The longest head.
pub const HEAD_BYTES_MAX: usize = 18;

const FLAG_OWNER: u8 = 1;

impl<'a> Payload<'a> {
    /// The payload for a request of this kind from this client.
    #[inline]
    pub const fn new(kind: OperationKind, caller: Owner, body: &'a [u8]) -> Payload<'a> {
        let owner = if kind.needs_owner() { Some(caller) } else { None };
        Payload { kind, owner, body }
    }

    /// The key of an operation on one key, from an encoded payload. Reads no further than the key,
    /// and promises nothing: `None` may as well mean that it would take longer to find.
    #[inline]
    pub fn peek_key(bytes: &'a [u8]) -> Option<&'a [u8]> {
        let payload = Payload::decode(bytes).ok()?;
        // The group comes first, and is left out when it is 0.
        let key = Fields::new(payload.body).take(2).find_map(|field| match field {
            Ok((2, Value::Bytes(key))) => Some(key),
            _ => None,
        });
        key.filter(|key| !key.is_empty())
    }

    /// Takes the head off; the body is decoded by [`KvRequest::decode`].
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Payload<'a>, WireError> {
        let Some((&[kind, flags], rest)) = bytes.split_first_chunk() else {
            return Err(WireError::new(bytes.len(), WireErrorKind::Truncated));
        };
        let Some(kind) = OperationKind::from_number(kind) else {
            return Err(WireError::new(0, WireErrorKind::Content));
        };
        match flags {
            0 => Ok(Payload { kind, owner: None, body: rest }),
            FLAG_OWNER => {
                let (owner, body) = split_owner(rest)?;
                Ok(Payload { kind, owner: Some(owner), body })
            }
            _ => Err(WireError::new(1, WireErrorKind::Content)),
        }
    }

    /// The bytes before the body, and how many of them count.
    #[inline]
    pub fn head(&self) -> ([u8; HEAD_BYTES_MAX], usize) {
        let mut head = [0; HEAD_BYTES_MAX];
        head[0] = self.kind.number();
        let Some(owner) = self.owner else {
            return (head, 2);
        };
        head[1] = FLAG_OWNER;
        head[2..10].copy_from_slice(&owner.high.to_le_bytes());
        head[10..].copy_from_slice(&owner.low.to_le_bytes());
        (head, HEAD_BYTES_MAX)
    }
}

/// Writes the body of an [`OperationKind::Expire`]: remove `key` if its time to live was last set
/// by the entry `ttl_index`.
pub fn encode_expire(writer: &mut Writer<'_>, key: &[u8], ttl_index: u64) {
    // Indexes are counted up from 1, so that the sign bit is never needed.
    KvRequest { key, ttl_millis: ttl_index as i64, ..Default::default() }.encode(writer);
}

#[inline]
fn split_owner(bytes: &[u8]) -> Result<(Owner, &[u8]), WireError> {
    let truncated = WireError::new(2 + bytes.len(), WireErrorKind::Truncated);
    let (high, rest) = bytes.split_first_chunk().ok_or(truncated)?;
    let (low, rest) = rest.split_first_chunk().ok_or(truncated)?;
    let owner = Owner { high: u64::from_le_bytes(*high), low: u64::from_le_bytes(*low) };
    Ok((owner, rest))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn numbers_are_those_of_the_log() {
        let numbers = OperationKind::ALL.iter().map(|kind| kind.number());
        assert!(numbers.eq([0, 2, 3, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17, 100, 101]));
        for number in 0..=u8::MAX {
            let kind = OperationKind::from_number(number);
            assert!(kind.is_none_or(|kind| kind.number() == number));
        }
        let commands = Command::ALL.iter().copied().filter_map(OperationKind::of_command);
        assert_eq!(commands.count(), OperationKind::ALL.len() - 1);
        assert_eq!(OperationKind::of_command(Command::DTKV_GET), None);
    }

    #[test]
    fn head_and_body_are_taken_apart_again() {
        let caller = Owner { high: 0x0102_0304_0506_0708, low: 9 };
        for kind in OperationKind::ALL.iter().copied() {
            let payload = Payload::new(kind, caller, b"body");
            let (head, length) = payload.head();
            let mut bytes = Vec::from(&head[..length]);
            bytes.extend_from_slice(payload.body);
            assert_eq!(Payload::decode(&bytes), Ok(payload));
            assert_eq!(payload.owner.is_some(), kind.needs_owner());
            for cut in 0..length {
                assert!(Payload::decode(&bytes[..cut]).is_err());
            }
        }
        let (head, _) = Payload::new(OperationKind::Unlock, caller, b"").head();
        assert_eq!(head, *b"\x10\x01\x08\x07\x06\x05\x04\x03\x02\x01\x09\0\0\0\0\0\0\0");
    }

    #[test]
    fn unknown_kinds_and_flags_are_errors() {
        assert!(Payload::decode(&[1, 0]).is_err());
        assert!(Payload::decode(&[200, 0]).is_err());
        for flags in 2..=u8::MAX {
            let mut bytes = [0; 64];
            bytes[1] = flags;
            assert!(Payload::decode(&bytes).is_err());
        }
    }

    #[test]
    fn an_expiry_is_a_request_with_the_ttl_index() {
        let mut body = Vec::new();
        encode_expire(&mut Writer::new(&mut body), b"a.b", 7);
        let request = KvRequest { key: b"a.b", ttl_millis: 7, ..Default::default() };
        assert_eq!(KvRequest::decode(&body), Ok(request));
    }
}
