//! Writing fields to the end of a buffer.

use alloc::vec::Vec;

/// Appends the fields of a message to a byte vector.
///
/// The caller writes in ascending order of tags. A singular number 0 and an empty singular byte
/// string are omitted; the `element` methods, for repeated fields, always write. Tags are below
/// 2^28, which their being constants makes certain.
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { out }
    }

    /// A signed 32-bit number; a negative one takes ten bytes. 0 is omitted.
    #[inline]
    pub fn int32(&mut self, tag: u32, value: i32) {
        self.int64(tag, i64::from(value));
    }

    /// A signed 64-bit number. 0 is omitted.
    #[inline]
    pub fn int64(&mut self, tag: u32, value: i64) {
        if value != 0 {
            self.int64_element(tag, value);
        }
    }

    /// A four-byte number. 0 is omitted.
    #[inline]
    pub fn fixed32(&mut self, tag: u32, value: u32) {
        if value != 0 {
            self.fixed32_element(tag, value);
        }
    }

    /// An eight-byte number. 0 is omitted.
    #[inline]
    pub fn fixed64(&mut self, tag: u32, value: u64) {
        if value != 0 {
            self.fixed64_element(tag, value);
        }
    }

    /// Bytes or a string. Nothing is written when there are none.
    #[inline]
    pub fn bytes(&mut self, tag: u32, value: &[u8]) {
        if !value.is_empty() {
            self.bytes_element(tag, value);
        }
    }

    /// One element of a repeated `int32`.
    #[inline]
    pub fn int32_element(&mut self, tag: u32, value: i32) {
        self.int64_element(tag, i64::from(value));
    }

    /// One element of a repeated `int64`.
    #[inline]
    pub fn int64_element(&mut self, tag: u32, value: i64) {
        self.key(tag, 0);
        self.varint(value as u64);
    }

    /// One element of a repeated `fixed32`.
    #[inline]
    pub fn fixed32_element(&mut self, tag: u32, value: u32) {
        self.key(tag, 5);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// All elements of a repeated `fixed32`.
    pub fn fixed32_elements(&mut self, tag: u32, values: &[u32]) {
        for &value in values {
            self.fixed32_element(tag, value);
        }
    }

    /// How many elements follow. Written also when there are none: some readers make their list
    /// when they meet the count, and have no list without it.
    pub(crate) fn count(&mut self, tag: u32, count: usize) {
        self.int32_element(tag, i32::try_from(count).unwrap_or(i32::MAX));
    }

    /// One element of a repeated `fixed64`.
    #[inline]
    pub fn fixed64_element(&mut self, tag: u32, value: u64) {
        self.key(tag, 1);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// One element of repeated bytes or strings.
    #[inline]
    pub fn bytes_element(&mut self, tag: u32, value: &[u8]) {
        self.key(tag, 2);
        self.varint(value.len() as u64);
        self.out.extend_from_slice(value);
    }

    /// A nested message, written also when it is empty.
    ///
    /// The length is filled in afterwards; a content of 128 bytes or more is moved for that. Where
    /// the length is known, [`Writer::message_with_length`] saves the move.
    #[inline]
    pub fn message(&mut self, tag: u32, content: impl FnOnce(&mut Writer<'_>)) {
        self.key(tag, 2);
        let length_at = self.out.len();
        self.out.push(0);
        content(&mut Writer { out: self.out });
        fill_length(self.out, length_at);
    }

    /// A nested message whose content has exactly `length` bytes.
    ///
    /// # Panics
    /// If the content has another length: the bytes after it would be unreadable.
    #[inline]
    pub fn message_with_length(
        &mut self,
        tag: u32,
        length: usize,
        content: impl FnOnce(&mut Writer<'_>),
    ) {
        self.key(tag, 2);
        self.varint(length as u64);
        let start = self.out.len();
        content(&mut Writer { out: self.out });
        assert_eq!(self.out.len() - start, length, "the content has the announced length");
    }

    /// Bytes that are fields already, or a body that is not a message.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    #[inline(always)]
    fn key(&mut self, tag: u32, wire_type: u32) {
        self.varint(u64::from(tag << 3 | wire_type));
    }

    #[inline]
    fn varint(&mut self, value: u64) {
        if value < 0x80 {
            self.out.push(value as u8);
        } else {
            append_long_varint(self.out, value);
        }
    }
}

/// How many bytes a number takes as a varint.
#[inline]
pub const fn varint_length(value: u64) -> usize {
    // Seven bits a byte; the number 0 has one byte as well.
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// Replaces the single length byte at `length_at` by the length of all that follows it.
#[inline]
pub(crate) fn fill_length(out: &mut Vec<u8>, length_at: usize) {
    let length = out.len() - length_at - 1;
    if length < 0x80 {
        out[length_at] = length as u8;
    } else {
        fill_long_length(out, length_at, length);
    }
}

#[inline(never)]
fn fill_long_length(out: &mut Vec<u8>, length_at: usize, length: usize) {
    let extra = varint_length(length as u64) - 1;
    let content = length_at + 1;
    out.resize(out.len() + extra, 0);
    out.copy_within(content..content + length, content + extra);
    let mut rest = length;
    for byte in &mut out[length_at..length_at + extra] {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    out[length_at + extra] = rest as u8;
}

#[inline(never)]
fn append_long_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::reader::{Fields, Value};

    #[test]
    fn omits_defaults_but_never_elements() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        writer.int32(1, 0);
        writer.int64(2, 0);
        writer.fixed32(3, 0);
        writer.fixed64(4, 0);
        writer.bytes(5, b"");
        assert!(out.is_empty());
        let mut writer = Writer::new(&mut out);
        writer.int32_element(1, 0);
        writer.fixed64_element(4, 0);
        writer.bytes_element(5, b"");
        writer.message(6, |_| {});
        assert_eq!(out, [0x08, 0, 0x21, 0, 0, 0, 0, 0, 0, 0, 0, 0x2a, 0, 0x32, 0]);
    }

    #[test]
    fn negative_int32_takes_ten_bytes() {
        let mut out = Vec::new();
        Writer::new(&mut out).int32(1, -2);
        assert_eq!(out, [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    }

    #[test]
    fn lengths_of_all_sizes_are_filled_in() {
        for length in [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_151, 2_097_152] {
            let content = vec![7; length];
            let (mut filled, mut announced) = (Vec::new(), Vec::new());
            Writer::new(&mut filled).message(2, |writer| writer.raw(&content));
            Writer::new(&mut announced).message_with_length(2, length, |w| w.raw(&content));
            assert_eq!(filled, announced);
            let mut fields = Fields::new(&filled);
            assert_eq!(fields.next(), Some(Ok((2, Value::Bytes(&content)))));
            assert_eq!(fields.next(), None);
        }
    }

    #[test]
    fn varint_length_agrees_with_what_is_written() {
        for shift in 0..64 {
            for value in [(1_u64 << shift) - 1, 1 << shift, (1 << shift) + 1] {
                let mut out = Vec::new();
                Writer::new(&mut out).varint(value);
                assert_eq!(out.len(), varint_length(value), "{value}");
                let mut message = vec![0x08];
                message.extend_from_slice(&out);
                assert_eq!(Fields::new(&message).next(), Some(Ok((1, Value::Varint(value)))));
            }
        }
    }
}
