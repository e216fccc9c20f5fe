//! The tree of keys as the state machine of a raft group.

use std::rc::Rc;
use std::sync::Arc;

use kv_api::encode_response_body;
use kv_machine::{Loader, LockGranted, Machine, MachineOptions, Malformed, Outcome, Shed, Stamp};
use moment::Moment;
use planted::{Bug, is_on};
use raft_core::GroupId;
use raft_host::{Entry, LoadFault, Refusal, SnapshotPiece, StateMachine};
use runtime::Clock;
use wire::{BizCode, Command, RespCode, ResponseHead, encode_response};

use crate::caller::{Caller, Origin};
use crate::news::News;
use crate::refusal::refuse;
use crate::replies::Replies;
use crate::witness::Witness;

/// Applies entries to the tree and answers those who wait for them.
pub struct KvStateMachine {
    tree: Machine,
    hash_seed: u64,
    /// The tree that is to take its place.
    loading: Option<Loader>,
    /// The tree whose place was taken.
    replaced: Option<Shed>,
    replies: Rc<Replies>,
    clock: Clock,
    /// Nobody listens while the log is replayed.
    news: Option<Rc<News>>,
    /// Read once a batch: answers of one batch leave together.
    batch_started: Option<Moment>,
    last_apply: Moment,
    witness: Option<(GroupId, Arc<dyn Witness>)>,
}

impl KvStateMachine {
    /// An empty tree. The seed only spreads keys over the hash table.
    pub fn new(hash_seed: u64, replies: Rc<Replies>, clock: Clock) -> KvStateMachine {
        let tree = Machine::new(MachineOptions { hash_seed });
        let last_apply = clock.now();
        KvStateMachine {
            tree,
            hash_seed,
            loading: None,
            replaced: None,
            replies,
            clock,
            news: None,
            batch_started: None,
            last_apply,
            witness: None,
        }
    }

    /// From now on there are fibers to be told of news.
    pub fn open_news(&mut self) -> Rc<News> {
        self.news.get_or_insert_default().clone()
    }

    /// Takes the locks that were granted since the last call.
    pub fn take_granted(&mut self) -> impl Iterator<Item = LockGranted> {
        self.tree.take_granted()
    }

    /// The same machine with somebody who is told of each entry.
    pub fn with_witness(self, group: GroupId, witness: Arc<dyn Witness>) -> KvStateMachine {
        KvStateMachine { witness: Some((group, witness)), ..self }
    }

    /// When the last batch was applied.
    pub fn last_apply(&self) -> Moment {
        self.last_apply
    }

    /// The tree, for reads.
    pub fn tree(&self) -> &Machine {
        &self.tree
    }

    /// The tree, for watches. Only entries change its nodes.
    pub fn tree_mut(&mut self) -> &mut Machine {
        &mut self.tree
    }

    fn expiry_settled(&self) {
        if let Some(news) = &self.news {
            news.expiry.settled();
        }
    }
}

impl StateMachine for KvStateMachine {
    type Caller = Origin;

    fn apply(&mut self, entry: Entry<'_>, origin: Option<Origin>) {
        if let Some((group, witness)) = &self.witness {
            witness.applies(*group, &entry);
        }
        let index = entry.index.0;
        let stamp = Stamp { index, time_ms: entry.time_ms };
        let outcome = self.tree.apply(stamp, entry.payload);
        if origin.is_none() && is_on(Bug::AnswerOnLeaderOnly) {
            self.tree.forget_newest_answer();
        }
        let now = *self.batch_started.get_or_insert_with(|| self.clock.now());
        match origin {
            Some(Origin::Client(mut caller)) => {
                if is_on(Bug::AnswersSwapped) {
                    caller.seq ^= 1;
                }
                let encode = |out: &mut Vec<u8>| encode_outcome(out, &caller, index, &outcome);
                self.replies.answer(&caller, now, encode);
            }
            Some(Origin::Expiry) => self.expiry_settled(),
            None => {}
        }
        if self.news.is_none() {
            // What was granted in the past is not news.
            drop(self.tree.take_granted());
        }
    }

    fn read_ahead<'a>(&self, payloads: impl Iterator<Item = &'a [u8]>) {
        self.tree.read_ahead(payloads);
    }

    fn refuse(&mut self, origin: Origin, refusal: Refusal) {
        match origin {
            Origin::Client(caller) => refuse(&self.replies, &caller, self.clock.now(), refusal),
            Origin::Expiry => self.expiry_settled(),
        }
    }

    fn batch_end(&mut self) {
        if let Some(started) = self.batch_started.take() {
            self.last_apply = started;
        }
        if let Some(news) = &self.news {
            news.expiry.next_deadline(self.tree.next_expiry());
            if self.tree.has_granted() {
                news.locks.set();
            }
            if news.is_followed.get() {
                news.changes.set();
            }
            if self.tree.has_changes() {
                news.watches.set();
            }
        }
        self.replies.flush();
    }

    fn begin_snapshot(&mut self, kept_bytes_max: usize, stream: &mut Vec<u8>) {
        self.tree.begin_snapshot(kept_bytes_max, stream);
    }

    fn snapshot_piece(&mut self, bytes: usize, stream: &mut Vec<u8>) -> SnapshotPiece {
        match self.tree.snapshot_piece(bytes, stream) {
            kv_machine::SnapshotPiece::More => SnapshotPiece::More,
            kv_machine::SnapshotPiece::Last => SnapshotPiece::Last,
            kv_machine::SnapshotPiece::Overrun => SnapshotPiece::Overrun,
        }
    }

    fn end_snapshot(&mut self) {
        self.tree.end_snapshot();
    }

    fn begin_load(&mut self) {
        self.loading = Some(Loader::new(MachineOptions { hash_seed: self.hash_seed }));
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadFault> {
        match &mut self.loading {
            Some(loading) => loading.feed(bytes).map_err(load_fault),
            None => Err(LoadFault::Malformed("nothing is being loaded".to_owned())),
        }
    }

    fn prepare_load(&mut self) -> Result<bool, LoadFault> {
        match &mut self.loading {
            Some(loading) => loading.link(LINK_STEPS).map_err(load_fault),
            None => Err(LoadFault::Malformed("nothing is being loaded".to_owned())),
        }
    }

    fn finish_load(&mut self) {
        let Some(loading) = self.loading.take() else { return };
        self.replaced = Some(loading.finish().replace(&mut self.tree));
        if let Some((group, witness)) = &self.witness {
            witness.restored(*group, self.tree.applied_index());
        }
        // Deadlines and watched keys are others now.
        self.batch_end();
    }

    fn drop_replaced(&mut self) -> bool {
        let is_more = self.replaced.as_mut().is_some_and(Shed::step);
        if !is_more {
            self.replaced = None;
        }
        is_more
    }
}

/// Steps of fitting a loaded tree together before others get their turn: some hundred microseconds.
const LINK_STEPS: u32 = 4096;

/// What the tree says of a stream that is none.
fn load_fault(malformed: Malformed) -> LoadFault {
    let text = malformed.to_string();
    match malformed {
        Malformed::Version(_) => LoadFault::Newer(text),
        _ => LoadFault::Malformed(text),
    }
}

/// Appends the answer to a write.
#[inline]
fn encode_outcome(out: &mut Vec<u8>, caller: &Caller, index: u64, outcome: &Outcome) {
    let Caller { command, seq, .. } = *caller;
    match outcome {
        Outcome::One(code) => encode_codes(out, command, seq, *code, index, &[*code]),
        Outcome::Many(codes) => encode_codes(out, command, seq, BizCode::Success, index, codes),
        Outcome::Refused(code) => encode_codes(out, command, seq, *code, index, &[]),
        Outcome::Malformed => {
            let text = "the request cannot be decoded";
            let head = ResponseHead::refusal(command, seq, RespCode::ClientError, text);
            encode_response(out, &head, |_| {});
        }
        outcome => {
            let head = ResponseHead::success(command, seq).with_biz_code(outcome.packet_code());
            encode_response(out, &head, |writer| outcome.encode(writer, index, usize::MAX));
        }
    }
}

#[inline]
fn encode_codes(
    out: &mut Vec<u8>,
    command: Command,
    seq: i32,
    packet_code: BizCode,
    index: u64,
    codes: &[BizCode],
) {
    let head = ResponseHead::success(command, seq).with_biz_code(packet_code);
    encode_response(out, &head, |writer| encode_response_body(writer, index, codes));
}
