//! `inspect log|snapshot|hard-state`: the files of a stopped node, read with the same checks as at its start.

use std::fs;
use std::path::{Path, PathBuf};

use kv_api::{KvRequest, Payload};
use raft_core::entry::Record;
use raft_core::{EntryKind, GroupId};
use raft_host::hard_state::{SavedState, newest};
use raft_host::log::recovery::{Damage, Fed, Recovered, Recovery};
use raft_host::log::segment::{BLOCK, Identity, segment_name, segment_number};
use runtime::{DirLock, lock_data_dir};
use serde_json::{Map, Value, json};

use super::arguments::{InspectVerb, RecordRange};
use super::bytes::{insert, printable};
use super::exit::{Exit, Failure};
use super::inspect_snapshot::snapshots;
use super::mapped::MappedFile;
use super::output::Output;
use crate::group_options;
use crate::identity;

/// Names below a group's directory.
const HARD_STATE: &str = "hard-state";
const LOG: &str = "log";
/// No frame is longer, whatever limits the node had: a segment is 2 GiB at most.
const FRAME_BYTES_MAX: u64 = 1 << 31;

pub(super) fn run(verb: &InspectVerb, group: i32, output: &mut Output) -> Result<(), Failure> {
    match verb {
        InspectVerb::Log { data_dir, range } => log(&Files::of(data_dir, group)?, *range, output),
        InspectVerb::Snapshot { data_dir } => snapshots(&Files::of(data_dir, group)?, output),
        InspectVerb::HardState { data_dir } => hard_state(&Files::of(data_dir, group)?, output),
    }
}

/// The files of one group, and whose they are. No node can write to them meanwhile.
pub(super) struct Files {
    pub(super) identity: Identity,
    pub(super) folder: PathBuf,
    _lock: DirLock,
}

impl Files {
    fn of(data_dir: &Path, group: i32) -> Result<Files, Failure> {
        let path = data_dir.join(identity::FILE);
        // Before the lock, which would make the directory.
        fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
        let lock = lock_data_dir(data_dir).map_err(|error| unreadable(data_dir, &error))?;
        let node = identity::decode(&read(&path)?).ok_or_else(|| damaged(&path, 0, "damaged"))?;
        let folder = data_dir.join(group_options::directory(group));
        let identity = Identity { cluster: node.cluster_hash(), group: GroupId(group) };
        Ok(Files { identity, folder, _lock: lock })
    }

    fn saved_state(&self) -> Result<(SavedState, Option<String>), Failure> {
        let path = self.folder.join(HARD_STATE);
        let found = newest(self.identity, &read(&path)?)
            .map_err(|fault| damaged(&path, 0, &fault.to_string()))?;
        let other = found.damaged.map(|(slot, fault)| format!("slot {slot}: {fault}"));
        Ok((found.state, other))
    }

    /// Numbers of the log's segments, rising.
    fn segments(&self) -> Result<Vec<u64>, Failure> {
        let folder = self.log_folder();
        let names = fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))?;
        let numbers = names.filter_map(|entry| segment_number(entry.ok()?.file_name().to_str()?));
        let mut numbers: Vec<u64> = numbers.collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn log_folder(&self) -> PathBuf {
        self.folder.join(LOG)
    }

    fn segment(&self, number: u64) -> PathBuf {
        self.log_folder().join(segment_name(number))
    }
}

fn hard_state(files: &Files, output: &mut Output) -> Result<(), Failure> {
    let (state, damaged_slot) = files.saved_state()?;
    let vote = state.hard_state.vote.map(|node| node.0);
    if output.is_json() {
        return output.json(&json!({
            "term": state.hard_state.term.0,
            "vote": vote,
            "durable_sequence": state.durable_sequence,
            "durable_index": state.durable_index.0,
            "commit_index": state.commit.0,
            "incarnation": state.incarnation,
            "damaged_slot": damaged_slot,
        }));
    }
    let rows = [
        ("term", state.hard_state.term.0.to_string()),
        ("vote", vote.map_or("nobody".to_owned(), |node| format!("node {node}"))),
        (
            "durable",
            format!("up to frame {}, entry {}", state.durable_sequence, state.durable_index.0),
        ),
        ("committed", format!("up to entry {}, at least", state.commit.0)),
        ("incarnation", format!("{:016x}", state.incarnation)),
        ("other slot", damaged_slot.unwrap_or_else(|| "intact".to_owned())),
    ];
    output.table(&rows.map(|(name, text)| vec![name.to_owned(), text]))
}

fn log(files: &Files, range: RecordRange, output: &mut Output) -> Result<(), Failure> {
    let (state, _) = files.saved_state()?;
    let mut recovery = Recovery::new(files.identity, state.durable_sequence, FRAME_BYTES_MAX);
    let mut rows = Rows { range, printed: 0 };
    for number in files.segments()? {
        let path = files.segment(number);
        let bytes = read(&path)?;
        scan(files, &mut recovery, number, &bytes, &mut |record| rows.print(record, output))?;
    }
    let recovered = recovery.finish().map_err(|damage| damage_at(files, damage))?;
    summary(&recovered, output)
}

/// Gives every record of a segment to `each`.
fn scan(
    files: &Files,
    recovery: &mut Recovery,
    number: u64,
    bytes: &[u8],
    each: &mut dyn FnMut(&Record<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let block = bytes.get(..BLOCK).unwrap_or(bytes);
    recovery
        .begin_segment(number, bytes.len() as u64, block)
        .map_err(|damage| damage_at(files, damage))?;
    let mut rest = bytes.get(BLOCK..).unwrap_or_default();
    while !rest.is_empty() {
        let consumed = match recovery.feed(rest).map_err(|damage| damage_at(files, damage))? {
            Fed::Frame { records, size, .. } => {
                each_record(records, each)?;
                size
            }
            Fed::Nothing(size) => size,
            // The whole rest was given, or none of it matters.
            Fed::More(_) | Fed::Rest => rest.len(),
        };
        rest = rest.get(consumed..).unwrap_or_default();
    }
    Ok(())
}

fn each_record(
    mut records: &[u8],
    each: &mut dyn FnMut(&Record<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    while !records.is_empty() {
        let record = Record::read_verified(records)
            .map_err(|fault| Failure::new(Exit::Integrity, fault.to_string()))?;
        each(&record)?;
        records = records.get(record.size()..).unwrap_or_default();
    }
    Ok(())
}

/// Prints records as they come, so that a long log needs no memory.
struct Rows {
    range: RecordRange,
    printed: u64,
}

impl Rows {
    fn print(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), Failure> {
        let RecordRange { from, limit } = self.range;
        if record.head.index.0 < from || limit.is_some_and(|limit| self.printed >= limit) {
            return Ok(());
        }
        if self.printed == 0 && !output.is_json() {
            output.line("       index   term        time (ms)   bytes  entry")?;
        }
        self.printed += 1;
        if output.is_json() {
            return output.line(&Value::from(as_json(record)).to_string());
        }
        let head = &record.head;
        output.line(&format!(
            "{:>12} {:>6} {:>16} {:>7}  {}",
            head.index.0,
            head.term.0,
            head.time_ms,
            record.payload.len(),
            describe(record)
        ))
    }
}

fn describe(record: &Record<'_>) -> String {
    match record.head.kind {
        EntryKind::Noop => "begin of a term".to_owned(),
        EntryKind::Config => "membership".to_owned(),
        EntryKind::Command => match operation(record.payload) {
            Some((name, keys)) => {
                let keys: Vec<String> = keys.iter().map(|key| printable(key)).collect();
                format!("{name} {}", keys.join(" "))
            }
            None => "command that cannot be decoded".to_owned(),
        },
    }
}

fn as_json(record: &Record<'_>) -> Map<String, Value> {
    let head = &record.head;
    let mut object = Map::new();
    object.insert("index".to_owned(), head.index.0.into());
    object.insert("term".to_owned(), head.term.0.into());
    object.insert("time_ms".to_owned(), head.time_ms.into());
    object.insert("payload_bytes".to_owned(), record.payload.len().into());
    let kind = match head.kind {
        EntryKind::Command => "command",
        EntryKind::Noop => "noop",
        EntryKind::Config => "config",
    };
    object.insert("kind".to_owned(), kind.into());
    if let (EntryKind::Command, Some((name, keys))) = (head.kind, operation(record.payload)) {
        object.insert("operation".to_owned(), name.into());
        let keys = keys.iter().map(|key| {
            let mut object = Map::new();
            insert(&mut object, "key", key);
            Value::from(object)
        });
        object.insert("keys".to_owned(), keys.collect());
    }
    object
}

/// Name and keys of a command.
fn operation(payload: &[u8]) -> Option<(String, Vec<&[u8]>)> {
    let payload = Payload::decode(payload).ok()?;
    let request = KvRequest::decode(payload.body).ok()?;
    let keys: Vec<&[u8]> = match request.key {
        [] => request.keys.iter().collect(),
        key => vec![key],
    };
    Some((format!("{:?}", payload.kind), keys))
}

fn summary(recovered: &Recovered, output: &mut Output) -> Result<(), Failure> {
    let first = recovered.image.first().map(|index| index.0);
    let last = recovered.image.last().index.0;
    if output.is_json() {
        let torn =
            recovered.torn.map(|torn| json!({ "segment": torn.segment, "offset": torn.offset }));
        let object = json!({
            "first_index": first,
            "last_index": last,
            "commit_index": recovered.commit.0,
            "torn": torn,
        });
        return output.line(&object.to_string());
    }
    match first {
        Some(first) => output.line(&format!(
            "entries {first} to {last}, committed up to {} at least",
            recovered.commit.0
        ))?,
        None => output.line("no entries")?,
    }
    match recovered.torn {
        Some(torn) => output.line(&format!(
            "a write was under way when the node ended (segment {}, offset {}); nobody was told of \
             it, and the next start drops it",
            torn.segment, torn.offset
        )),
        None => Ok(()),
    }
}

fn damage_at(files: &Files, damage: Damage) -> Failure {
    let entry = damage.index.map_or(String::new(), |index| format!(" (entry {})", index.0));
    damaged(&files.segment(damage.segment), damage.offset, &format!("{}{entry}", damage.kind))
}

pub(super) fn damaged(path: &Path, offset: u64, what: &str) -> Failure {
    Failure::new(Exit::Integrity, format!("{}, offset {offset}: {what}", path.display()))
}

pub(super) fn read(path: &Path) -> Result<MappedFile, Failure> {
    MappedFile::open(path).map_err(|error| unreadable(path, &error))
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let exit = match error.kind() {
        std::io::ErrorKind::NotFound => Exit::NotFound,
        _ => Exit::Other,
    };
    Failure::new(exit, format!("{}: {error}", path.display()))
}
