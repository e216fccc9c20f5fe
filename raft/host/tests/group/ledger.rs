//! A state machine that keeps what it is given, and the book of what its callers were told.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use raft_core::{Config, GroupId, NodeId, RaftOptions};
use raft_host::{
    Entry, Group, GroupError, GroupOptions, Identity, LoadFault, Refusal, SnapshotPiece,
    StateMachine,
};
use runtime::{BootError, Shard};

pub(crate) const IDENTITY: Identity = Identity { cluster: 0xD0, group: GroupId(7) };

/// What callers were told, across all lives of a node.
#[derive(Default, Debug)]
pub(crate) struct Book {
    pub(crate) proposed: u64,
    pub(crate) acknowledged: Vec<u64>,
    pub(crate) refused: Vec<(u64, Refusal)>,
    /// What the machine of the current life has applied: index and number.
    pub(crate) applied: Vec<(u64, u64)>,
    /// Applied by the end of recovery.
    pub(crate) recovered: Vec<(u64, u64)>,
    pub(crate) opened: u64,
    /// How often a snapshot was loaded.
    pub(crate) loads: u64,
    /// The newest term in which this node served.
    pub(crate) term: u32,
}

#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Book>>);

impl Ledger {
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }
}

/// Bytes of an entry in a snapshot, most of them zero: several chunks are soon full.
const RECORD: usize = 512;

/// Applies numbers.
pub(crate) struct Machine {
    ledger: Ledger,
    answers: Vec<u64>,
    /// Which of the entries a snapshot still lacks.
    saving: Option<Range<usize>>,
    loading: Vec<u8>,
}

impl Machine {
    pub(crate) fn new(ledger: &Ledger) -> Machine {
        ledger.book().applied.clear();
        Machine { ledger: ledger.clone(), answers: Vec::new(), saving: None, loading: Vec::new() }
    }
}

impl StateMachine for Machine {
    type Caller = u64;

    fn apply(&mut self, entry: Entry<'_>, caller: Option<u64>) {
        let number = number_of(entry.payload);
        assert!(caller.is_none_or(|caller| caller == number), "an answer goes to its caller");
        let mut book = self.ledger.book();
        let last = book.applied.last().map_or(0, |(index, _)| *index);
        assert!(entry.index.0 > last, "indexes rise");
        book.applied.push((entry.index.0, number));
        self.answers.extend(caller);
    }

    fn refuse(&mut self, caller: u64, refusal: Refusal) {
        self.ledger.book().refused.push((caller, refusal));
    }

    fn batch_end(&mut self) {
        self.ledger.book().acknowledged.append(&mut self.answers);
    }

    /// What was applied, the oldest first: later applies come behind it.
    fn begin_snapshot(&mut self, _: usize, stream: &mut Vec<u8>) {
        let length = self.ledger.book().applied.len();
        stream.extend_from_slice(&(length as u64).to_le_bytes());
        self.saving = Some(0..length);
    }

    fn snapshot_piece(&mut self, bytes: usize, stream: &mut Vec<u8>) -> SnapshotPiece {
        let rest = self.saving.as_mut().unwrap();
        let next = rest.start..rest.end.min(rest.start + bytes / RECORD);
        for (index, number) in &self.ledger.book().applied[next.clone()] {
            stream.extend_from_slice(&index.to_le_bytes());
            stream.extend_from_slice(&number.to_le_bytes());
            stream.resize(stream.len() + RECORD - 16, 0);
        }
        rest.start = next.end;
        if rest.start == rest.end { SnapshotPiece::Last } else { SnapshotPiece::More }
    }

    fn end_snapshot(&mut self) {
        self.saving = None;
    }

    fn begin_load(&mut self) {
        self.loading.clear();
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadFault> {
        self.loading.extend_from_slice(bytes);
        Ok(())
    }

    fn prepare_load(&mut self) -> Result<bool, LoadFault> {
        let (words, rest) = self.loading.as_chunks::<8>();
        let is_whole = words.first().is_some_and(|length| {
            let words_each = RECORD as u64 / 8;
            u64::from_le_bytes(*length) * words_each + 1 == words.len() as u64 && rest.is_empty()
        });
        is_whole.then_some(true).ok_or(LoadFault::Malformed("another length".to_owned()))
    }

    fn finish_load(&mut self) {
        let (words, _) = self.loading.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let records = words[1..].chunks(RECORD / 8);
        let mut book = self.ledger.book();
        book.applied = records.map(|record| (record[0], record[1])).collect();
        book.loads += 1;
    }

    fn drop_replaced(&mut self) -> bool {
        false
    }
}

/// The payload of a number: its length and bytes follow from it.
pub(crate) fn payload_of(number: u64) -> Vec<u8> {
    let length = (number * 37 % 900) as usize;
    let mut payload = number.to_le_bytes().to_vec();
    payload.extend((0..length).map(|position| (number as usize * 31 + position) as u8));
    payload
}

pub(crate) fn number_of(payload: &[u8]) -> u64 {
    let number = u64::from_le_bytes(payload[..8].try_into().unwrap());
    assert_eq!(payload, payload_of(number), "payloads come back as they were proposed");
    number
}

/// Options with small files, so that a short run sees every kind of change.
pub(crate) fn small_options() -> GroupOptions {
    let node = NodeId(1);
    let founding = Config::of([node], []);
    let mut options = GroupOptions::new("groups/7", IDENTITY, RaftOptions::new(node, 99), founding);
    options.segment_bytes = 64 << 10;
    options.batch_bytes = 16 << 10;
    options.payload_bytes_max = 4 << 10;
    options.cache_bytes_max = 32 << 10;
    // No snapshots, unless a test wants them.
    options.snapshots.at_stop = false;
    options.snapshots.interval = Duration::ZERO;
    options.snapshots.log_bytes = 0;
    options
}

/// Checks what must hold after every restart: all that was acknowledged is there, once, in the
/// order of proposal; nothing else than what was proposed.
pub(crate) fn check_recovered(book: &Book) {
    let numbers: Vec<u64> = book.recovered.iter().map(|(_, number)| *number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "each number once and in order: {numbers:?}");
    assert!(numbers.last().is_none_or(|last| *last <= book.proposed));
    for number in &book.acknowledged {
        assert!(numbers.binary_search(number).is_ok(), "acknowledged {number} is lost");
    }
}

/// A life of a node: opens the group, checks it, and proposes numbers in uneven bursts until
/// `proposals` were made or the node stops.
pub(crate) async fn live(
    shard: Shard,
    options: GroupOptions,
    ledger: Ledger,
    proposals: u64,
) -> Result<(), LifeError> {
    let group = Group::open(&shard, options, Machine::new(&ledger)).await?;
    group.serving().await?;
    {
        let mut book = ledger.book();
        book.opened += 1;
        book.recovered = book.applied.clone();
        check_recovered(&book);
        let term = group.status().raft.term.0;
        assert!(term > book.term, "a node that has led in a term never leads in it again");
        book.term = term;
    }
    for round in 0..proposals {
        for _ in 0..[1, 1, 5, 2, 30, 1, 12][round as usize % 7] {
            let number = {
                let mut book = ledger.book();
                book.proposed += 1;
                book.proposed
            };
            let payload = payload_of(number);
            let (head, body) = payload.split_at(payload.len().min(3));
            if let Err((number, refusal)) = group.propose([head, body], number) {
                ledger.book().refused.push((number, refusal));
            }
        }
        let pause = Duration::from_micros([0, 50, 400, 3000][round as usize % 4]);
        shard.clock().sleep(pause).await;
        if let Some(error) = group.status().failure {
            return Err(error.into());
        }
    }
    group.stop().await?;
    Ok(())
}

#[derive(Debug)]
pub(crate) enum LifeError {
    #[expect(dead_code, reason = "shown when a test fails")]
    Boot(BootError),
    Group(GroupError),
}

impl From<BootError> for LifeError {
    fn from(error: BootError) -> LifeError {
        LifeError::Boot(error)
    }
}

impl From<GroupError> for LifeError {
    fn from(error: GroupError) -> LifeError {
        LifeError::Group(error)
    }
}
