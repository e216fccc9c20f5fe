//! What can be wrong with bytes from the network.

use core::fmt;

/// Bytes that cannot be understood, and where.
///
/// On a connection every such error closes it: after it nothing that follows can be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WireError {
    /// Distance from the start of the bytes that were handed in.
    pub offset: usize,
    /// What was found there.
    pub kind: WireErrorKind,
}

/// The kinds of [`WireError`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum WireErrorKind {
    /// The bytes end inside a tag, a length or a value.
    Truncated,
    /// A tag or length of more than 5 bytes, or a value of more than 10.
    VarintTooLong,
    /// Field number 0.
    TagZero,
    /// A group (3, 4) or an undefined wire type (6, 7).
    WireType,
    /// A frame length below zero or above the limit.
    FrameLength,
    /// A packet whose body is not its last field.
    FieldAfterBody,
    /// A packet without a positive command.
    Command,
    /// A message that contradicts itself: wrong magic, counts that do not match, a field that comes
    /// before the one it needs.
    Content,
}

impl WireError {
    /// An error of this kind at this offset.
    pub const fn new(offset: usize, kind: WireErrorKind) -> WireError {
        WireError { offset, kind }
    }
}

impl WireErrorKind {
    /// The kind in words.
    pub const fn text(self) -> &'static str {
        match self {
            WireErrorKind::Truncated => "truncated",
            WireErrorKind::VarintTooLong => "varint too long",
            WireErrorKind::TagZero => "field number 0",
            WireErrorKind::WireType => "unknown wire type",
            WireErrorKind::FrameLength => "frame length out of range",
            WireErrorKind::FieldAfterBody => "field after body",
            WireErrorKind::Command => "no command",
            WireErrorKind::Content => "contradictory content",
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at byte {}", self.kind.text(), self.offset)
    }
}

impl core::error::Error for WireError {}
