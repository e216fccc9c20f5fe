//! What became of a log entry.

use alloc::vec::Vec;
use core::slice;

use wire::BizCode;

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
    /// A batch without keys or values: no result.
    Refused(BizCode),
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
            Outcome::Refused(_) | Outcome::Malformed | Outcome::Transaction(_) => &[],
        }
    }

    /// The code of the answer as a whole, in the head of its packet.
    #[inline]
    pub fn packet_code(&self) -> BizCode {
        match self {
            Outcome::One(code) | Outcome::Refused(code) | Outcome::Holding { code, .. } => *code,
            Outcome::Transaction(outcome) => outcome.packet_code(),
            Outcome::Many(_) => BizCode::Success,
            Outcome::Malformed => BizCode::Error,
        }
    }
}
