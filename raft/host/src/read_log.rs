//! Applied entries, read back from the log for whoever wants to know what they were.

use raft_core::entry::Record;
use raft_core::{EntryKind, Index, Sendable};

use crate::error::GroupError;
use crate::group::Group;
use crate::log::reader::LogReader;
use crate::ports::{Entry, StateMachine};

/// Reads the log of a group; to be closed.
pub struct LogPages<M: StateMachine> {
    group: Group<M>,
    reader: LogReader,
}

/// Entries that follow each other in the log.
pub struct LogPage {
    records: Vec<u8>,
    /// The last one, whatever its kind.
    pub last: Index,
}

impl LogPage {
    /// The commands among them, in order. The others are of no concern outside of consensus.
    pub fn commands(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut rest = self.records.as_slice();
        let records = core::iter::from_fn(move || {
            let record = Record::read_verified(rest).ok()?;
            rest = rest.get(record.size()..).unwrap_or_default();
            Some(record)
        });
        records.filter(|record| record.head.kind == EntryKind::Command).map(|record| Entry {
            index: record.head.index,
            time_ms: record.head.time_ms,
            payload: record.payload,
        })
    }
}

impl<M: StateMachine> Group<M> {
    /// The last entry that was applied.
    pub fn applied(&self) -> Index {
        self.0.core.borrow().tail.applied()
    }

    /// Something that reads applied entries.
    pub fn log_pages(&self) -> LogPages<M> {
        LogPages { group: self.clone(), reader: LogReader::new(&self.0.shard, &self.0.options) }
    }

    /// Whether applied entries stay in memory for readers, as far as the cache goes, also on a leader
    /// that has no followers.
    pub fn keep_applied(&self, keep: bool) {
        self.0.keeps_applied.set(keep);
    }
}

impl<M: StateMachine> LogPages<M> {
    /// Entries from `first` on that were applied, about as many bytes, but at least one. `None` when
    /// the log does not have it any more.
    ///
    /// # Errors
    /// When the disk fails or what it gives is damaged.
    ///
    /// # Panics
    /// If it was not applied yet.
    pub async fn page(
        &mut self,
        first: Index,
        bytes_max: u64,
    ) -> Result<Option<LogPage>, GroupError> {
        let mut records = Vec::new();
        let shared = &self.group.0;
        let place = {
            let core = shared.core.borrow();
            let last = core.tail.applied();
            assert!(first <= last, "only what was applied is read");
            if let Some(last) = core.tail.copy_records(first, last, bytes_max, &mut records) {
                return Ok(Some(LogPage { records, last }));
            }
            core.tail.place_of(first)
        };
        let place = match place {
            Some(place) => Some(place),
            None => shared.find_in_front(first).await,
        };
        let Some(place) = place else { return Ok(None) };
        let frame = self.reader.frame(place).await;
        let core = shared.core.borrow();
        if core.tail.place_of(first) != Some(place) {
            // Dropped while it was read: whatever was read is of no interest.
            return Ok(None);
        }
        let wanted = Sendable { first, last: core.tail.applied(), bytes_max };
        let last = place.copy_records(frame?.records(), wanted, &mut records);
        Ok(last.map(|last| LogPage { records, last }))
    }

    /// Closes the file.
    pub async fn close(self) {
        self.reader.close().await;
    }
}
