//! Keys: names of the path joined by [`SEPARATOR`]. The empty key is the root.

use core::fmt;

use wire::BizCode;

/// Stands between two names of a path.
pub const SEPARATOR: u8 = b'.';
/// The longest key that is accepted.
pub const KEY_BYTES_MAX: usize = 8192;

/// Whether an operation may name the root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RootKey {
    /// Reads may.
    Allowed,
    /// Writes, locks and watches may not.
    Refused,
}

/// The server's check of a key: [`BizCode::InvalidKey`] or [`BizCode::KeyTooLong`] when it fails.
///
/// An empty name in the middle of a path passes: its parent can never exist, so that the operation
/// fails later.
#[inline]
pub fn check_key(key: &[u8], root: RootKey) -> Result<(), BizCode> {
    let (Some(&first), Some(&last)) = (key.first(), key.last()) else {
        return match root {
            RootKey::Allowed => Ok(()),
            RootKey::Refused => Err(BizCode::InvalidKey),
        };
    };
    if key.len() > KEY_BYTES_MAX {
        return Err(BizCode::KeyTooLong);
    }
    if first == SEPARATOR || last == SEPARATOR {
        return Err(BizCode::InvalidKey);
    }
    Ok(())
}

/// What a client refuses to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientKeyError {
    /// The root, where a key is needed.
    Empty,
    /// More than [`KEY_BYTES_MAX`] bytes.
    TooLong,
    /// A separator at an end, or two in a row.
    EmptyName,
    /// A space.
    Space,
}

/// The client's check of a key, also the server's for watches: stricter than [`check_key`].
pub fn check_client_key(key: &[u8], root: RootKey) -> Result<(), ClientKeyError> {
    if key.is_empty() && root == RootKey::Allowed {
        return Ok(());
    }
    if key.is_empty() {
        return Err(ClientKeyError::Empty);
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(ClientKeyError::TooLong);
    }
    if key.contains(&b' ') {
        return Err(ClientKeyError::Space);
    }
    if key.split(|&byte| byte == SEPARATOR).any(<[u8]>::is_empty) {
        return Err(ClientKeyError::EmptyName);
    }
    Ok(())
}

/// The key of the parent, empty for the root, and the name below it.
#[inline]
pub fn split_key(key: &[u8]) -> (&[u8], &[u8]) {
    match key.iter().rposition(|&byte| byte == SEPARATOR) {
        Some(position) => {
            let (parent, name) = key.split_at(position);
            (parent, name.get(1..).unwrap_or_default())
        }
        None => (&[], key),
    }
}

impl fmt::Display for ClientKeyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            ClientKeyError::Empty => "the key is empty",
            ClientKeyError::TooLong => "the key is longer than 8192 bytes",
            ClientKeyError::EmptyName => "the key has an empty name between its separators",
            ClientKeyError::Space => "the key contains a space",
        })
    }
}

impl core::error::Error for ClientKeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_client_differ_on_spaces_and_empty_names() {
        let long = [b'k'; KEY_BYTES_MAX + 1];
        let (invalid, too_long) = (Err(BizCode::InvalidKey), Err(BizCode::KeyTooLong));
        let table: &[(&[u8], _, _)] = &[
            (b"a", Ok(()), Ok(())),
            (b"a.b\xff\x00.c", Ok(()), Ok(())),
            (&long[1..], Ok(()), Ok(())),
            (&long, too_long, Err(ClientKeyError::TooLong)),
            (b"", invalid, Err(ClientKeyError::Empty)),
            (b".", invalid, Err(ClientKeyError::EmptyName)),
            (b".a", invalid, Err(ClientKeyError::EmptyName)),
            (b"a.", invalid, Err(ClientKeyError::EmptyName)),
            (b"a..b", Ok(()), Err(ClientKeyError::EmptyName)),
            (b"a b", Ok(()), Err(ClientKeyError::Space)),
        ];
        for &(key, server, client) in table {
            assert_eq!(check_key(key, RootKey::Refused), server, "{key:?}");
            assert_eq!(check_client_key(key, RootKey::Refused), client, "{key:?}");
        }
        assert_eq!(check_key(b"", RootKey::Allowed), Ok(()));
        assert_eq!(check_client_key(b"", RootKey::Allowed), Ok(()));
        assert_eq!(check_key(b".", RootKey::Allowed), invalid);
    }

    #[test]
    fn a_key_is_split_at_its_last_separator() {
        assert_eq!(split_key(b"a"), (&b""[..], &b"a"[..]));
        assert_eq!(split_key(b"a.b.c"), (&b"a.b"[..], &b"c"[..]));
        assert_eq!(split_key(b"a..b"), (&b"a."[..], &b"b"[..]));
        assert_eq!(split_key(b""), (&b""[..], &b""[..]));
    }
}
