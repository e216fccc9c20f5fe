//! Verified records, some at a time, so that the state machine can read ahead for them.

use raft_core::entry::Record;

/// Records that the state machine reads ahead for; also those between two looks at the clock.
const BURST: usize = 32;

/// Records in memory that lie one behind the other.
pub(crate) struct Bursts<'a> {
    bytes: &'a [u8],
    consumed: usize,
    records: Vec<Record<'a>>,
}

impl<'a> Bursts<'a> {
    /// Records that are verified already; none when there are no bytes.
    pub(crate) fn new(bytes: Option<&'a [u8]>) -> Bursts<'a> {
        let bytes = bytes.unwrap_or_default();
        Bursts { bytes, consumed: 0, records: Vec::with_capacity(BURST) }
    }

    /// The next records, at most `limit`; none at the end, or where there is something else.
    pub(crate) fn read(&mut self, limit: usize) -> &[Record<'a>] {
        self.records.clear();
        while self.records.len() < limit.min(BURST)
            && let Some(rest) = self.bytes.get(self.consumed..)
            && let Ok(record) = Record::read_verified(rest)
        {
            self.consumed += record.size();
            self.records.push(record);
        }
        &self.records
    }

    /// Bytes of the records that were read.
    pub(crate) fn consumed(&self) -> usize {
        self.consumed
    }
}
