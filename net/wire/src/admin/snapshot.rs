//! The snapshots of a group on one node: commands 1102 and 1103. The requests are one `fixed32`, the
//! group.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::WireError;
use crate::reader::{Fields, Value, int32, text};
use crate::writer::Writer;

/// A snapshot on a node's disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SnapshotEntry {
    /// Index of the last entry in it.
    pub index: u64,
    /// Term of that entry.
    pub term: i32,
    /// Bytes of the file.
    pub bytes: u64,
    /// How long ago its newest entry was made, on the clock of the entries.
    pub age_ms: u64,
}

/// Answer of both commands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SnapshotsResp {
    /// The node that answers.
    pub node_id: i32,
    /// Of 1103 all that are kept, the oldest first; of 1102 the one that has all that was applied
    /// when it was asked for, none if that is still being saved.
    pub snapshots: Vec<SnapshotEntry>,
    /// Whether one is being saved.
    pub is_saving: bool,
    /// Why the last attempt to save or receive one failed, for people.
    pub problem: String,
}

impl SnapshotEntry {
    fn decode(bytes: &[u8]) -> Result<SnapshotEntry, WireError> {
        let mut entry = SnapshotEntry::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Fixed64(value)) => entry.index = value,
                (2, Value::Varint(value)) => entry.term = int32(value),
                (3, Value::Fixed64(value)) => entry.bytes = value,
                (4, Value::Fixed64(value)) => entry.age_ms = value,
                _ => {}
            }
        }
        Ok(entry)
    }

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.fixed64(1, self.index);
        writer.int32(2, self.term);
        writer.fixed64(3, self.bytes);
        writer.fixed64(4, self.age_ms);
    }
}

impl SnapshotsResp {
    /// Decodes a body.
    pub fn decode(bytes: &[u8]) -> Result<SnapshotsResp, WireError> {
        let mut answer = SnapshotsResp::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Varint(value)) => answer.node_id = int32(value),
                (2, Value::Bytes(value)) => answer.snapshots.push(SnapshotEntry::decode(value)?),
                (3, Value::Varint(value)) => answer.is_saving = value != 0,
                (4, Value::Bytes(value)) => answer.problem = text(value),
                _ => {}
            }
        }
        Ok(answer)
    }

    /// Appends the fields.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.node_id);
        for entry in &self.snapshots {
            writer.message(2, |writer| entry.encode(writer));
        }
        writer.int32(3, i32::from(self.is_saving));
        writer.bytes(4, self.problem.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_and_no_cut_panics() {
        let entry = SnapshotEntry { index: 900, term: 4, bytes: 315_000_000, age_ms: 61_000 };
        let answer = SnapshotsResp {
            node_id: 3,
            snapshots: [entry, SnapshotEntry { index: 1_900, ..entry }].to_vec(),
            is_saving: true,
            problem: "disk full".into(),
        };
        let mut bytes = Vec::new();
        answer.encode(&mut Writer::new(&mut bytes));
        assert_eq!(SnapshotsResp::decode(&bytes), Ok(answer.clone()));
        for cut in 0..bytes.len() {
            assert_ne!(SnapshotsResp::decode(&bytes[..cut]), Ok(answer.clone()), "{cut}");
        }
    }
}
