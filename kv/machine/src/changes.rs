//! What an entry has changed, told from the entry itself.
//!
//! Whoever wants every change of some keys in order reads the log: an entry names what it sets and
//! removes. What it does not say is whether the tree let it. So the machine keeps, for entries that
//! did not do all that they name, what they left out: usually nothing is kept at all, and the
//! memory is bounded by forgetting the oldest ones together with all entries before them.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use kv_api::{
    KvRequest, OperationKind, Owner, Payload, Repeated, SEPARATOR, Step, StepKind,
    TransactionRequest, WatchEvent, WatchState,
};
use wire::BizCode;

use crate::machine::Machine;
use crate::node::NodeId;
use crate::outcome::Outcome;

/// Which entries did less than they name.
pub(crate) struct Shortfalls {
    /// What the entries from this index on left out is known.
    first_index: u64,
    /// In the order of the log.
    kept: VecDeque<Shortfall>,
    kept_bytes: usize,
}

/// An entry that did less than it names.
struct Shortfall {
    index: u64,
    did: Did,
}

/// What such an entry did.
enum Did {
    /// Nothing that anybody could see.
    Nothing,
    /// Some of the elements of a batch.
    Elements(Box<[bool]>),
    /// Some of the steps of a transaction, of the list that its conditions chose.
    Steps { held: bool, done: Box<[bool]> },
}

/// Bytes of what is kept; the older half is forgotten beyond that.
const KEPT_BYTES_MAX: usize = 1 << 20;

impl Shortfalls {
    pub(crate) const fn starting(first_index: u64) -> Shortfalls {
        Shortfalls { first_index, kept: VecDeque::new(), kept_bytes: 0 }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.kept_bytes
    }

    fn find(&self, index: u64) -> Option<&Did> {
        let place = self.kept.binary_search_by_key(&index, |shortfall| shortfall.index).ok()?;
        self.kept.get(place).map(|shortfall| &shortfall.did)
    }

    fn push(&mut self, index: u64, did: Did) {
        self.kept_bytes += did.bytes();
        self.kept.push_back(Shortfall { index, did });
        if self.kept_bytes <= KEPT_BYTES_MAX {
            return;
        }
        while self.kept_bytes > KEPT_BYTES_MAX / 2
            && let Some(oldest) = self.kept.pop_front()
        {
            self.kept_bytes -= oldest.did.bytes();
            self.first_index = oldest.index + 1;
        }
    }
}

impl Did {
    fn bytes(&self) -> usize {
        let elements = match self {
            Did::Nothing => 0,
            Did::Elements(done) | Did::Steps { done, .. } => done.len(),
        };
        size_of::<Shortfall>() + elements
    }
}

impl Machine {
    /// The first entry of which [`Machine::changes_of`] can tell, if it is still in the log.
    pub fn changes_known_from(&self) -> u64 {
        self.shortfalls.first_index
    }

    /// Tells what an applied entry has changed, in order: the value or directory that is there since,
    /// or that a node is gone with all that was below it. A lock's own node comes and goes with its
    /// entries and is not told of.
    ///
    /// # Panics
    /// If the index is below [`Machine::changes_known_from`].
    pub fn changes_of(&self, index: u64, payload: &[u8], tell: &mut impl FnMut(WatchEvent<'_>)) {
        assert!(index >= self.shortfalls.first_index, "what it left out is forgotten");
        let Ok(Payload { kind, owner, body }) = Payload::decode(payload) else { return };
        let did = self.shortfalls.find(index);
        if matches!(did, Some(Did::Nothing)) {
            return;
        }
        let teller = Teller { index, owner: owner.unwrap_or_default() };
        if kind == OperationKind::Transaction {
            let Ok(request) = TransactionRequest::decode(body) else { return };
            match did {
                Some(Did::Steps { held, done }) => {
                    let list = if *held { request.then } else { request.otherwise };
                    teller.steps(list, |position| done.get(position) == Some(&true), tell);
                }
                _ => teller.steps(request.then, |_| true, tell),
            }
            return;
        }
        let Ok(request) = KvRequest::decode(body) else { return };
        match did {
            Some(Did::Elements(done)) => {
                let is_done = |position: usize| done.get(position) == Some(&true);
                teller.elements(kind, &request, is_done, tell);
            }
            _ => teller.elements(kind, &request, |_| true, tell),
        }
    }

    /// Keeps what an entry left out, if anything.
    #[inline]
    pub(crate) fn note_shortfall(&mut self, index: u64, payload: &[u8], outcome: &Outcome) {
        let is_changed = self.tree.nodes[NodeId::ROOT].update_index == index;
        match outcome {
            Outcome::One(_) | Outcome::Holding { .. } if is_changed => {}
            _ => self.note_other_shortfall(index, payload, outcome, is_changed),
        }
    }

    #[inline(never)]
    fn note_other_shortfall(
        &mut self,
        index: u64,
        payload: &[u8],
        outcome: &Outcome,
        is_changed: bool,
    ) {
        let did = match outcome {
            Outcome::Many(codes) if is_changed => {
                let done: Box<[bool]> = codes.iter().copied().map(is_change).collect();
                (!done.iter().all(|&done| done)).then_some(Did::Elements(done))
            }
            Outcome::Transaction(outcome) if is_changed => {
                steps_done(payload, outcome.held, outcome.results.iter().map(|step| step.code))
            }
            _ => says_something(payload).then_some(Did::Nothing),
        };
        if let Some(did) = did {
            self.shortfalls.push(index, did);
        }
    }
}

/// Whether somebody who knows no outcome would take the entry for a change.
fn says_something(payload: &[u8]) -> bool {
    let kind = Payload::decode(payload).map(|payload| payload.kind);
    !matches!(
        kind,
        Err(_)
            | Ok(OperationKind::UpdateTtl
                | OperationKind::UpdateLockLease
                | OperationKind::OpenSession)
    )
}

fn is_change(code: BizCode) -> bool {
    matches!(code, BizCode::Success | BizCode::SuccessOverwrite)
}

fn steps_done(payload: &[u8], held: bool, codes: impl Iterator<Item = BizCode>) -> Option<Did> {
    let body = Payload::decode(payload).ok()?.body;
    let request = TransactionRequest::decode(body).ok()?;
    let list = if held { request.then } else { request.otherwise };
    let done: Vec<bool> = list
        .iter()
        .zip(codes)
        .map(|(step, code)| is_change(code) || matches!(step.kind, StepKind::Get))
        .collect();
    let is_whole = held && done.iter().all(|&done| done);
    (!is_whole).then(|| Did::Steps { held, done: done.into() })
}

/// Turns what an entry names into events.
struct Teller {
    index: u64,
    owner: Owner,
}

impl Teller {
    fn elements(
        &self,
        kind: OperationKind,
        request: &KvRequest<'_>,
        is_done: impl Fn(usize) -> bool,
        tell: &mut impl FnMut(WatchEvent<'_>),
    ) {
        let KvRequest { key, value, .. } = *request;
        match kind {
            OperationKind::Put | OperationKind::PutTemp => self.value(key, value, tell),
            OperationKind::Cas if value.is_empty() => self.gone(key, tell),
            OperationKind::Cas => self.value(key, value, tell),
            OperationKind::Mkdir | OperationKind::MakeTempDir => self.directory(key, tell),
            OperationKind::Remove | OperationKind::Expire => self.gone(key, tell),
            OperationKind::TryLock => self.value(&self.entry_key(key), value, tell),
            OperationKind::Unlock => self.gone(&self.entry_key(key), tell),
            OperationKind::BatchPut => {
                let elements = request.keys.iter().zip(request.values).enumerate();
                for (_, (key, value)) in elements.filter(|(position, _)| is_done(*position)) {
                    match value.is_empty() {
                        true => self.directory(key, tell),
                        false => self.value(key, value, tell),
                    }
                }
            }
            OperationKind::BatchRemove => {
                let elements = request.keys.iter().enumerate();
                for (_, key) in elements.filter(|(position, _)| is_done(*position)) {
                    self.gone(key, tell);
                }
            }
            OperationKind::UpdateTtl
            | OperationKind::UpdateLockLease
            | OperationKind::Transaction
            | OperationKind::OpenSession => {}
        }
    }

    fn steps(
        &self,
        list: Repeated<'_, Step<'_>>,
        is_done: impl Fn(usize) -> bool,
        tell: &mut impl FnMut(WatchEvent<'_>),
    ) {
        for (_, step) in list.iter().enumerate().filter(|(position, _)| is_done(*position)) {
            match step.kind {
                StepKind::Put | StepKind::PutTemp => self.value(step.key, step.value, tell),
                StepKind::Remove => self.gone(step.key, tell),
                StepKind::Mkdir | StepKind::MakeTempDir => self.directory(step.key, tell),
                StepKind::Get | StepKind::UpdateTtl | StepKind::Unknown => {}
            }
        }
    }

    fn value(&self, key: &[u8], value: &[u8], tell: &mut impl FnMut(WatchEvent<'_>)) {
        tell(WatchEvent { raft_index: self.index, state: WatchState::Value, key, value });
    }

    fn directory(&self, key: &[u8], tell: &mut impl FnMut(WatchEvent<'_>)) {
        let (state, value) = (WatchState::Directory, &b""[..]);
        tell(WatchEvent { raft_index: self.index, state, key, value });
    }

    fn gone(&self, key: &[u8], tell: &mut impl FnMut(WatchEvent<'_>)) {
        let (state, value) = (WatchState::Missing, &b""[..]);
        tell(WatchEvent { raft_index: self.index, state, key, value });
    }

    fn entry_key(&self, lock: &[u8]) -> Vec<u8> {
        [lock, &[SEPARATOR], &self.owner.name()].concat()
    }
}
