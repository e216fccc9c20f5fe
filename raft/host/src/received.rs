//! Records that came from a leader: checked before consensus hears of them.

use raft_core::entry::{Record, RecordFault, RecordSeed};
use raft_core::{Body, EntryKind, Message};

/// Checks that `records` are whole and are what the message says of them.
pub(crate) fn check(
    seed: RecordSeed,
    message: &Message,
    records: &[u8],
) -> Result<(), RecordFault> {
    let Body::Append(append) = &message.body else {
        return if records.is_empty() { Ok(()) } else { Err(RecordFault::Cut) };
    };
    let mut rest = records;
    let mut term = append.entries.first_term;
    let mut runs = append.entries.later_runs.iter().peekable();
    let mut configs = append.entries.configs.iter();
    for number in 1..=append.entries.count {
        let record = Record::read(rest, seed)?;
        let head = record.head;
        if let Some(run) = runs.next_if(|run| run.first == head.index) {
            term = run.term;
        }
        let is_told = match head.kind {
            EntryKind::Config => configs.next().is_some_and(|config| config.index == head.index),
            _ => true,
        };
        if head.index != append.previous.index.plus(number) || head.term != term || !is_told {
            return Err(RecordFault::Cut);
        }
        rest = rest.get(record.size()..).unwrap_or_default();
    }
    if rest.is_empty() && configs.next().is_none() { Ok(()) } else { Err(RecordFault::Cut) }
}
