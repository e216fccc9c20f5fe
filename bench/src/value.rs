//! What is put: who it is for, its number, and bytes that cannot be compressed.

use crate::random::Random;

/// The value of all puts, of which only the head changes.
pub(crate) struct Value {
    bytes: Vec<u8>,
}

/// Bytes of the head: key and number, little-endian.
pub(crate) const HEAD_BYTES: usize = 16;

/// What the first bytes of a value say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ValueHead {
    /// Number of the key.
    pub key: u64,
    /// Number of the put; the numbers of puts to the same key rise.
    pub number: u64,
}

impl Value {
    pub(crate) fn new(length: usize, random: &mut Random) -> Value {
        Value { bytes: (0..length).map(|_| random.next_u64() as u8).collect() }
    }

    /// The value with this head, if it is long enough for one.
    #[inline]
    pub(crate) fn with_head(&mut self, head: ValueHead) -> &[u8] {
        if let Some(bytes) = self.bytes.first_chunk_mut::<HEAD_BYTES>() {
            let (key, number) = bytes.split_at_mut(HEAD_BYTES / 2);
            key.copy_from_slice(&head.key.to_le_bytes());
            number.copy_from_slice(&head.number.to_le_bytes());
        }
        &self.bytes
    }
}

/// The head of a value; `None` if it is too short for one.
pub fn decode_value(value: &[u8]) -> Option<ValueHead> {
    let (key, rest) = value.split_first_chunk()?;
    let number = rest.first_chunk()?;
    Some(ValueHead { key: u64::from_le_bytes(*key), number: u64::from_le_bytes(*number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_comes_back() {
        let head = ValueHead { key: 7, number: u64::MAX - 1 };
        for length in [16, 17, 256] {
            let mut value = Value::new(length, &mut Random::new(1));
            let bytes = value.with_head(head);
            assert_eq!((bytes.len(), decode_value(bytes)), (length, Some(head)));
        }
        let mut short = Value::new(15, &mut Random::new(1));
        assert_eq!(decode_value(short.with_head(head)), None);
    }
}
