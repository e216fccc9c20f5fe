//! Reading fields from a message: every read can fail, none can panic.

use alloc::string::String;

use crate::error::{WireError, WireErrorKind};

/// The value of one field, by its wire type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// Wire type 0: an integer or a flag.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2: bytes, a string or a nested message.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// The fields of one message, in the order in which they lie there.
///
/// A message is decoded with one `match` on `(tag, value)`; its last arm ignores what does not fit,
/// so that unknown numbers and known numbers with another wire type are skipped, and a repeated
/// singular field ends with its last value:
///
/// ```
/// use wire::{Fields, Value, int32};
/// let (mut group, mut key) = (0, None);
/// for field in Fields::new(&[0x08, 5, 0x12, 1, b'k', 0x18, 9]) {
///     match field? {
///         (1, Value::Varint(value)) => group = int32(value),
///         (2, Value::Bytes(value)) => key = Some(value),
///         _ => {}
///     }
/// }
/// assert_eq!((group, key), (5, Some(&b"k"[..])));
/// # Ok::<(), wire::WireError>(())
/// ```
///
/// The first error ends the iteration. The iteration ends without an error only if the last field
/// ends exactly where the bytes end.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Fields<'a> {
    /// The fields of the message that fills `bytes`.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Fields<'a> {
        Fields { bytes, position: 0 }
    }

    /// Where the next field starts.
    #[inline]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// An error at the current position, for what the bytes alone cannot show.
    pub const fn error(&self, kind: WireErrorKind) -> WireError {
        WireError::new(self.position, kind)
    }

    #[inline]
    fn read_field(&mut self) -> Result<(u32, Value<'a>), WireError> {
        let start = self.position;
        let key = self.read_key()?;
        let tag = key >> 3;
        if tag == 0 {
            return Err(WireError::new(start, WireErrorKind::TagZero));
        }
        let value = match key & 7 {
            0 => Value::Varint(self.read_varint(VALUE_BYTES_MAX)?),
            1 => Value::Fixed64(u64::from_le_bytes(self.read_array()?)),
            2 => Value::Bytes(self.read_bytes()?),
            5 => Value::Fixed32(u32::from_le_bytes(self.read_array()?)),
            _ => return Err(WireError::new(start, WireErrorKind::WireType)),
        };
        Ok((tag, value))
    }

    #[inline]
    fn read_key(&mut self) -> Result<u32, WireError> {
        // Bits above the 32nd of a five-byte key have no meaning and are dropped.
        self.read_varint(KEY_BYTES_MAX).map(|key| key as u32)
    }

    #[inline]
    fn read_bytes(&mut self) -> Result<&'a [u8], WireError> {
        let start = self.position;
        let length = self.read_varint(KEY_BYTES_MAX)? as u32 as usize;
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let Some(value) = rest.get(..length) else {
            return Err(WireError::new(start, WireErrorKind::Truncated));
        };
        self.position += length;
        Ok(value)
    }

    #[inline]
    fn read_array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let Some(value) = rest.first_chunk::<N>() else {
            return Err(WireError::new(self.position, WireErrorKind::Truncated));
        };
        self.position += N;
        Ok(*value)
    }

    #[inline]
    fn read_varint(&mut self, bytes_max: usize) -> Result<u64, WireError> {
        // Nearly all tags, lengths and numbers have one byte.
        match self.bytes.get(self.position) {
            Some(&byte) if byte < 0x80 => {
                self.position += 1;
                Ok(u64::from(byte))
            }
            _ => self.read_long_varint(bytes_max),
        }
    }

    #[inline(never)]
    fn read_long_varint(&mut self, bytes_max: usize) -> Result<u64, WireError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let mut value = 0;
        for (index, &byte) in rest.iter().take(bytes_max).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.position += index + 1;
                return Ok(value);
            }
        }
        let kind = if rest.len() < bytes_max {
            WireErrorKind::Truncated
        } else {
            WireErrorKind::VarintTooLong
        };
        Err(WireError::new(self.position, kind))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.position >= self.bytes.len() {
            return None;
        }
        let field = self.read_field();
        if field.is_err() {
            self.position = self.bytes.len();
        }
        Some(field)
    }
}

impl core::iter::FusedIterator for Fields<'_> {}

/// A varint as `int32`: its low 32 bits.
#[inline]
pub const fn int32(varint: u64) -> i32 {
    varint as i32
}

/// A varint as `int64`: its two's complement, no zig-zag.
#[inline]
pub const fn int64(varint: u64) -> i64 {
    varint as i64
}

/// A string for people: what is not UTF-8 in it is replaced.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The body of a command that takes one `fixed32` in field 1 (46, 51, 53, 79); 0 when it is absent.
pub fn decode_fixed32(body: &[u8]) -> Result<u32, WireError> {
    let mut result = 0;
    for field in Fields::new(body) {
        if let (1, Value::Fixed32(value)) = field? {
            result = value;
        }
    }
    Ok(result)
}

/// The body of an answer that is one `fixed64` in field 1 (47, 48, 49); 0 when it is absent.
pub fn decode_fixed64(body: &[u8]) -> Result<u64, WireError> {
    let mut result = 0;
    for field in Fields::new(body) {
        if let (1, Value::Fixed64(value)) = field? {
            result = value;
        }
    }
    Ok(result)
}

const KEY_BYTES_MAX: usize = 5;
const VALUE_BYTES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(u32, Value<'_>)>, WireError> {
        Fields::new(bytes).collect()
    }

    fn kind(bytes: &[u8]) -> WireErrorKind {
        read(bytes).expect_err("must not be readable").kind
    }

    #[test]
    fn reads_each_wire_type() {
        let bytes = [0x08, 0x96, 0x01, 0x11, 1, 0, 0, 0, 0, 0, 0, 2, 0x1a, 1, 7, 0x25, 3, 0, 0, 4];
        let fields = read(&bytes).expect("valid");
        assert_eq!(fields.len(), 4);
        assert_eq!(fields[0], (1, Value::Varint(150)));
        assert_eq!(fields[1], (2, Value::Fixed64(0x0200_0000_0000_0001)));
        assert_eq!(fields[2], (3, Value::Bytes(&[7])));
        assert_eq!(fields[3], (4, Value::Fixed32(0x0400_0003)));
        for cut in 1..bytes.len() {
            let whole = [3, 12, 15].contains(&cut);
            assert_eq!(read(&bytes[..cut]).is_ok(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn refuses_groups_undefined_types_and_tag_zero() {
        for wire_type in [3, 4, 6, 7] {
            assert_eq!(kind(&[0x08 | wire_type, 0]), WireErrorKind::WireType);
        }
        assert_eq!(kind(&[0x00, 0]), WireErrorKind::TagZero);
        assert_eq!(kind(&[0x80, 0x00, 0]), WireErrorKind::TagZero);
    }

    #[test]
    fn bounds_the_length_of_varints() {
        let key_of_five = [0x88, 0x80, 0x80, 0x80, 0x00, 1];
        assert_eq!(read(&key_of_five), Ok(alloc::vec![(1, Value::Varint(1))]));
        assert_eq!(kind(&[0x88, 0x80, 0x80, 0x80, 0x80, 0x00, 1]), WireErrorKind::VarintTooLong);
        assert_eq!(kind(&[0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0]), WireErrorKind::VarintTooLong);
        let mut value = [0xff; 12];
        value[0] = 0x08;
        assert_eq!(kind(&value), WireErrorKind::VarintTooLong);
        value[10] = 0x01;
        assert_eq!(read(&value[..11]), Ok(alloc::vec![(1, Value::Varint(u64::MAX))]));
        assert_eq!(int32(u64::MAX), -1);
        assert_eq!(kind(&value[..10]), WireErrorKind::Truncated);
        assert_eq!(kind(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]), WireErrorKind::Truncated);
    }

    #[test]
    fn nothing_follows_an_error() {
        let mut fields = Fields::new(&[0x03, 0x08, 1]);
        assert!(matches!(fields.next(), Some(Err(_))));
        assert_eq!(fields.next(), None);
    }

    #[test]
    fn single_number_bodies_ignore_varints() {
        assert_eq!(decode_fixed32(&[0x0d, 5, 0, 0, 0]), Ok(5));
        assert_eq!(decode_fixed32(&[0x08, 5]), Ok(0));
        assert_eq!(decode_fixed32(&[]), Ok(0));
        assert_eq!(decode_fixed64(&[0x09, 0xb3, 4, 0, 0, 0, 0, 0, 0]), Ok(0x4b3));
    }
}
