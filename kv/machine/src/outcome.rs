//! What became of a log entry.

use alloc::vec::Vec;
use core::slice;

use kv_api::{SessionOpened, encode_grant, encode_response_body};
use wire::{BizCode, Writer};

use crate::session::Answer;
use crate::transaction::TransactionOutcome;

/// The codes of the answer to a write. Every replica gets the same ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// An operation on one key: one result.
    One(BizCode),
    /// A lock operation after which the caller holds the lock: one result.
    Holding {
        /// Its code.
        code: BizCode,
        /// Greater than that of every earlier holder of the lock.
        fencing_token: u64,
    },
    /// A transaction.
    Transaction(TransactionOutcome),
    /// A batch: one result for each element.
    Many(Vec<BizCode>),
    /// A batch without keys or values, or a write that its session does not allow: no result.
    Refused(BizCode),
    /// A session was opened; so many of its numbers may be open at a time.
    Opened(u32),
    /// A write of a session that came before: nothing was done, and this was the answer.
    Repeated(Answer),
    /// Bytes that are no operation, or one of which this version knows nothing. A leader checks
    /// what it proposes, so that nobody waits for this answer.
    Malformed,
}

impl Outcome {
    /// One code for each result of the answer, except of a transaction, which has its own.
    #[inline]
    pub fn codes(&self) -> &[BizCode] {
        match self {
            Outcome::One(code) | Outcome::Holding { code, .. } => slice::from_ref(code),
            Outcome::Many(codes) => codes,
            Outcome::Refused(_)
            | Outcome::Malformed
            | Outcome::Transaction(_)
            | Outcome::Opened(_)
            | Outcome::Repeated(_) => &[],
        }
    }

    /// The code of the answer as a whole, in the head of its packet.
    #[inline]
    pub fn packet_code(&self) -> BizCode {
        match self {
            Outcome::One(code) | Outcome::Refused(code) | Outcome::Holding { code, .. } => *code,
            Outcome::Transaction(outcome) => outcome.packet_code(),
            Outcome::Repeated(answer) => answer.code(),
            Outcome::Many(_) | Outcome::Opened(_) => BizCode::Success,
            Outcome::Malformed => BizCode::Error,
        }
    }

    /// Appends the body of the answer of the entry with this index. The nodes that a transaction reads
    /// are left out once their values have more than `reads_max` bytes.
    pub fn encode(&self, writer: &mut Writer<'_>, index: u64, reads_max: usize) {
        match self {
            Outcome::Holding { code, fencing_token } => {
                encode_grant(writer, index, *code, *fencing_token);
            }
            Outcome::Transaction(outcome) => outcome.encode(writer, index, reads_max),
            Outcome::Opened(results_max) => {
                SessionOpened { session: index, results_max: *results_max }.encode(writer);
            }
            Outcome::Repeated(answer) => answer.encode(writer),
            Outcome::One(_) | Outcome::Many(_) | Outcome::Refused(_) => {
                encode_response_body(writer, index, self.codes());
            }
            Outcome::Malformed => {}
        }
    }
}
