//! Cutting a stream of bytes into frames.

use crate::error::{WireError, WireErrorKind};
use crate::packet::PREFIX_BYTES;

/// Finds frames at the start of what has arrived; copies and keeps nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Splitter {
    /// The longest frame that is accepted, without its prefix. Never above `i32::MAX`.
    packet_bytes_max: u32,
}

impl Splitter {
    /// A splitter that refuses frames longer than `packet_bytes_max` bytes.
    pub fn new(packet_bytes_max: usize) -> Splitter {
        let packet_bytes_max = u32::try_from(packet_bytes_max).unwrap_or(u32::MAX);
        Splitter { packet_bytes_max: packet_bytes_max.min(i32::MAX as u32) }
    }

    /// The first frame in `bytes`, and how many bytes it takes with its prefix.
    ///
    /// `None`: it is not whole yet. An error: its length is out of range, which is known as soon as
    /// the prefix is there.
    #[inline]
    pub fn split<'a>(&self, bytes: &'a [u8]) -> Result<Option<(&'a [u8], usize)>, WireError> {
        let Some(total) = self.first_frame_bytes(bytes)? else {
            return Ok(None);
        };
        Ok(bytes.get(PREFIX_BYTES..total).map(|frame| (frame, total)))
    }

    /// How many bytes the first frame takes with its prefix, `None` while the prefix is not whole.
    #[inline]
    pub fn first_frame_bytes(&self, bytes: &[u8]) -> Result<Option<usize>, WireError> {
        let Some(prefix) = bytes.first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*prefix);
        // A negative length is above the limit, too.
        if length > self.packet_bytes_max {
            return Err(WireError::new(0, WireErrorKind::FrameLength));
        }
        Ok(Some(length as usize + PREFIX_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_of_two_frames() {
        let bytes = [0, 0, 0, 2, 7, 8, 0, 0, 0, 0];
        let splitter = Splitter::new(2);
        for cut in 0..=bytes.len() {
            let part = &bytes[..cut];
            let first = splitter.split(part).expect("in range");
            assert_eq!(first, if cut < 6 { None } else { Some((&[7, 8][..], 6)) });
            if cut >= 6 {
                let second = splitter.split(&part[6..]).expect("in range");
                assert_eq!(second, if cut < 10 { None } else { Some((&[][..], 4)) });
            }
        }
    }

    #[test]
    fn lengths_out_of_range_are_refused_at_once() {
        let table = [
            (0_u32, true),
            (5, true),
            (6, false),
            (i32::MAX as u32, false),
            (1 << 31, false),
            (u32::MAX, false),
        ];
        for (length, accepted) in table {
            let prefix = length.to_be_bytes();
            assert_eq!(Splitter::new(5).split(&prefix).is_ok(), accepted, "{length}");
        }
        let unlimited = Splitter::new(usize::MAX);
        assert_eq!(unlimited.split(&(i32::MAX as u32).to_be_bytes()), Ok(None));
        assert!(unlimited.split(&(1_u32 << 31).to_be_bytes()).is_err());
    }
}
