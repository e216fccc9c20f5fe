//! Little-endian bytes: appending to a vector, and a reader that cannot run over its end.

use alloc::vec::Vec;
use core::fmt;

/// Bytes that are not a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecodeError {
    /// Where reading stopped, counted from the first byte after the length.
    pub offset: usize,
    /// What is wrong there.
    pub fault: DecodeFault,
}

/// What can be wrong with a message's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeFault {
    /// They end too early.
    Short,
    /// They go on after the message's end.
    Long,
    /// They are of a version that this code does not read.
    Version(u8),
    /// There is no message of this kind.
    Kind(u8),
    /// A field has a value that it may not have.
    Value,
    /// A list is longer than its limit.
    Limit,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "not a raft message: {:?} at byte {}", self.fault, self.offset)
    }
}

impl core::error::Error for DecodeError {}

pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, offset: 0 }
    }

    /// Splits off the part that the length in front of it covers.
    pub(crate) fn framed(bytes: &'a [u8]) -> Result<(Reader<'a>, &'a [u8]), DecodeError> {
        let short = DecodeError { offset: 0, fault: DecodeFault::Short };
        let (length, after) = bytes.split_first_chunk::<4>().ok_or(short)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| short)?;
        let (framed, rest) = after.split_at_checked(length).ok_or(short)?;
        Ok((Reader::new(framed), rest))
    }

    pub(crate) fn fault(&self, fault: DecodeFault) -> DecodeError {
        DecodeError { offset: self.offset, fault }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let left = self.bytes.get(self.offset..).unwrap_or_default();
        let taken = left.first_chunk::<N>().ok_or(self.fault(DecodeFault::Short))?;
        self.offset += N;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A list's length, refused above `limit` before anything is allocated for it.
    pub(crate) fn count(&mut self, limit: usize) -> Result<usize, DecodeError> {
        let count = usize::from(self.u16()?);
        if count > limit { Err(self.fault(DecodeFault::Limit)) } else { Ok(count) }
    }

    pub(crate) fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.fault(DecodeFault::Value)),
        }
    }

    /// All that is left.
    pub(crate) fn remaining(&mut self) -> &'a [u8] {
        let left = self.bytes.get(self.offset..).unwrap_or_default();
        self.offset = self.bytes.len();
        left
    }

    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.offset == self.bytes.len() { Ok(()) } else { Err(self.fault(DecodeFault::Long)) }
    }
}

pub(crate) fn put_u8(out: &mut Vec<u8>, value: u8) {
    out.push(value);
}

pub(crate) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// A list's length. Lists are built within their limits, all of which fit.
pub(crate) fn put_count(out: &mut Vec<u8>, count: usize) {
    assert!(count <= usize::from(u16::MAX), "a list in a message is longer than its limit");
    put_u16(out, count as u16);
}

/// Writes the length of what came after it into the four bytes at `start`.
pub(crate) fn fill_length(out: &mut [u8], start: usize) {
    let length = out.len() - start - 4;
    assert!(length <= 1 << 30, "a message is longer than any list in it allows");
    out[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
}

#[cfg(test)]
pub(crate) fn assert_round_trip(body: super::Body) {
    use super::Message;
    use crate::types::Term;

    let message = Message { term: Term(0x0102_0304), body };
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    assert_eq!(Message::decode(&bytes), Ok((message, &[][..])));
    for cut in 0..bytes.len() {
        assert!(Message::decode(&bytes[..cut]).is_err(), "a message cut at {cut} was read");
        if cut > 4 {
            let mut shorter = bytes[..cut].to_vec();
            fill_length(&mut shorter, 0);
            assert!(Message::decode(&shorter).is_err(), "a body cut at {cut} was read");
        }
    }
    bytes.push(0);
    fill_length(&mut bytes, 0);
    assert!(Message::decode(&bytes).is_err(), "a message with a byte too many was read");
}
