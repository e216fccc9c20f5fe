//! An answer that is kept in case that its write comes again.

use alloc::boxed::Box;
use alloc::vec::Vec;

use wire::{BizCode, Writer};

use crate::outcome::Outcome;

/// What a client was told of a write, or would have been.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// One result, with the index of the entry that carried the write out.
    One {
        /// That index.
        index: u64,
        /// The result.
        code: BizCode,
    },
    /// Anything else.
    Whole {
        /// The code of the answer as a whole.
        code: BizCode,
        /// Its body, encoded.
        body: Box<[u8]>,
    },
}

/// Bytes of values that a kept answer to a transaction has at most; the steps that read the others say
/// [`BizCode::ValueTooLong`].
const KEPT_READS_MAX: usize = 16 << 10;

impl Answer {
    /// The answer to the write of this entry.
    #[inline]
    pub(crate) fn of(index: u64, outcome: &Outcome) -> Answer {
        match outcome {
            Outcome::One(code) => Answer::One { index, code: *code },
            _ => Answer::whole(index, outcome),
        }
    }

    #[inline(never)]
    fn whole(index: u64, outcome: &Outcome) -> Answer {
        let mut body = Vec::new();
        outcome.encode(&mut Writer::new(&mut body), index, KEPT_READS_MAX);
        Answer::Whole { code: outcome.packet_code(), body: body.into() }
    }

    /// The code of the answer as a whole.
    pub fn code(&self) -> BizCode {
        match self {
            Answer::One { code, .. } | Answer::Whole { code, .. } => *code,
        }
    }

    /// Appends the body of the answer.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Answer::One { index, code } => kv_api::encode_response_body(writer, *index, &[*code]),
            Answer::Whole { body, .. } => writer.raw(body),
        }
    }

    /// Bytes beside those of its place in the session.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Answer::One { .. } => 0,
            Answer::Whole { body, .. } => body.len() as u64,
        }
    }
}
