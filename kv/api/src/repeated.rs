//! Repeated fields without a list: decoded on the way, from bytes that were checked before.

use core::fmt;
use core::slice;

use wire::{Fields, Value};

/// What can stand in a repeated field.
pub trait Element<'a>: Copy + 'a {
    /// The element, if the value has its wire type and, for a message, can be decoded.
    fn from_value(value: Value<'a>) -> Option<Self>;
}

/// Repeated bytes.
pub type ByteStrings<'a> = Repeated<'a, &'a [u8]>;

/// The elements of one repeated field: a slice of the caller, or the message that they stand in.
///
/// Two of them are equal if their elements are.
#[derive(Clone, Copy)]
pub struct Repeated<'a, T>(Source<'a, T>);

#[derive(Clone, Copy)]
enum Source<'a, T> {
    Slice(&'a [T]),
    /// `fields` starts with the first of `count` elements; other fields may lie in between.
    Encoded {
        fields: &'a [u8],
        tag: u32,
        count: usize,
    },
}

impl<'a, T: Element<'a>> Repeated<'a, T> {
    /// These elements, for encoding.
    pub const fn new(elements: &'a [T]) -> Repeated<'a, T> {
        Repeated(Source::Slice(elements))
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Slice(elements) => elements.len(),
            Source::Encoded { count, .. } => count,
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements in the order of the message.
    #[inline]
    pub fn iter(&self) -> RepeatedIter<'a, T> {
        RepeatedIter(match self.0 {
            Source::Slice(elements) => Walk::Slice(elements.iter()),
            Source::Encoded { fields, tag, count } => {
                Walk::Encoded { fields: Fields::new(fields), tag, left: count }
            }
        })
    }

    /// Counts one more element, which the decoder of `message` found and checked at `start`.
    #[inline]
    pub(crate) fn note(&mut self, message: &'a [u8], start: usize, tag: u32) {
        match &mut self.0 {
            Source::Encoded { count, .. } => *count += 1,
            Source::Slice(_) => {
                let fields = message.get(start..).unwrap_or_default();
                self.0 = Source::Encoded { fields, tag, count: 1 };
            }
        }
    }
}

impl<T> Default for Repeated<'_, T> {
    fn default() -> Self {
        Repeated(Source::Slice(&[]))
    }
}

impl<'a, T: Element<'a>> IntoIterator for Repeated<'a, T> {
    type Item = T;
    type IntoIter = RepeatedIter<'a, T>;

    fn into_iter(self) -> RepeatedIter<'a, T> {
        self.iter()
    }
}

impl<'a, T: Element<'a> + PartialEq> PartialEq for Repeated<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Element<'a> + fmt::Debug> fmt::Debug for Repeated<'a, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

/// Iterates over the elements of a [`Repeated`].
#[derive(Clone)]
pub struct RepeatedIter<'a, T>(Walk<'a, T>);

#[derive(Clone)]
enum Walk<'a, T> {
    Slice(slice::Iter<'a, T>),
    Encoded { fields: Fields<'a>, tag: u32, left: usize },
}

impl<'a, T: Element<'a>> Iterator for RepeatedIter<'a, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            Walk::Slice(elements) => elements.next().copied(),
            Walk::Encoded { fields, tag, left } => {
                *left = left.checked_sub(1)?;
                // An error cannot come: the whole message was decoded before.
                while let Some(Ok((found, value))) = fields.next() {
                    if found != *tag {
                        continue;
                    }
                    if let Some(element) = T::from_value(value) {
                        return Some(element);
                    }
                }
                None
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            Walk::Slice(elements) => elements.len(),
            Walk::Encoded { left, .. } => *left,
        };
        (left, Some(left))
    }
}

impl<'a, T: Element<'a>> ExactSizeIterator for RepeatedIter<'a, T> {}

impl<'a> Element<'a> for &'a [u8] {
    #[inline]
    fn from_value(value: Value<'a>) -> Option<&'a [u8]> {
        match value {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// A signed number of eight bytes.
impl Element<'_> for i64 {
    #[inline]
    fn from_value(value: Value<'_>) -> Option<i64> {
        match value {
            Value::Fixed64(number) => Some(number as i64),
            _ => None,
        }
    }
}

/// A signed number as a varint.
impl Element<'_> for i32 {
    #[inline]
    fn from_value(value: Value<'_>) -> Option<i32> {
        match value {
            Value::Varint(number) => Some(wire::int32(number)),
            _ => None,
        }
    }
}
