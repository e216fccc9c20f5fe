//! The doors of the machine: apply an entry, read, watch, and ask what has expired.

use alloc::vec::{self, Vec};

use kv_api::{
    KvNode, KvRequest, OpenSession, OperationKind, Owner, Payload, RootKey, SessionStamp,
    TransactionRequest, WatchEvent, WatchState, check_key, validate,
};
use planted::{Bug, is_on};
use wire::BizCode;

use crate::changes::Shortfalls;
use crate::children::Children;
use crate::lock::LockGranted;
use crate::node::Marks;
use crate::outcome::Outcome;
use crate::session::{Admitted, Answer, Sessions};
use crate::stamp::Stamp;
use crate::state_hash::state_hash;
use crate::tree::Tree;
use crate::watched::WatchId;

/// The key-value tree of one raft group.
pub struct Machine {
    pub(crate) tree: Tree,
    pub(crate) granted: Vec<LockGranted>,
    pub(crate) shortfalls: Shortfalls,
    pub(crate) sessions: Sessions,
    applied_index: u64,
}

/// A machine that is not used any more, to be dropped in steps: a large one takes long.
pub struct Shed(Tree);

impl Shed {
    /// Drops some thousand nodes. Returns whether there are more.
    pub fn step(&mut self) -> bool {
        self.0.nodes.shed()
    }
}

/// What a machine is told at its start.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineOptions {
    /// Keeps clients from choosing keys that collide; need not be the same on all replicas.
    pub hash_seed: u64,
}

/// An operation on one key: done, or refused without any change.
pub(crate) type Verdict = Result<BizCode, BizCode>;

impl Machine {
    /// An empty tree, before the first entry.
    pub fn new(options: MachineOptions) -> Machine {
        Machine {
            tree: Tree::new(options.hash_seed),
            granted: Vec::new(),
            shortfalls: Shortfalls::starting(1),
            sessions: Sessions::new(),
            applied_index: 0,
        }
    }

    /// A machine with the tree and the sessions of a snapshot.
    pub(crate) fn loaded(tree: Tree, sessions: Sessions, applied_index: u64) -> Machine {
        let shortfalls = Shortfalls::starting(applied_index + 1);
        Machine { tree, granted: Vec::new(), shortfalls, sessions, applied_index }
    }

    /// Takes the place of `old`: whatever was watched there is watched here, under the same ids, and
    /// counts as changed. What is left of the old one is returned.
    pub fn replace(mut self, old: &mut Machine) -> Shed {
        let mut watched = core::mem::take(&mut old.tree.watched);
        watched.renew(|key| match self.tree.find(key) {
            Some(id) => {
                let node = &mut self.tree.nodes[id];
                node.marks = node.marks.with(Marks::WATCHED);
                None
            }
            None => Some(self.nearest_update_index(key)),
        });
        self.tree.watched = watched;
        Shed(core::mem::replace(old, self).tree)
    }

    /// Applies a committed entry, whatever its payload is.
    ///
    /// # Panics
    /// If the index is not above that of the entry before: the host would have applied an entry
    /// twice.
    pub fn apply(&mut self, stamp: Stamp, payload: &[u8]) -> Outcome {
        assert!(stamp.index > self.applied_index, "entries are applied in order and once");
        self.applied_index = stamp.index;
        let outcome = self.carry_out_entry(stamp, payload);
        self.note_shortfall(stamp.index, payload, &outcome);
        outcome
    }

    #[inline]
    fn carry_out_entry(&mut self, stamp: Stamp, payload: &[u8]) -> Outcome {
        let Ok(payload) = Payload::decode(payload) else {
            return Outcome::Malformed;
        };
        if payload.kind.needs_owner() && payload.owner.is_none() {
            return Outcome::Malformed;
        }
        let owner = payload.owner.unwrap_or_default();
        if payload.kind == OperationKind::OpenSession {
            return self.open_session(stamp, owner, payload.body);
        }
        if payload.kind == OperationKind::Transaction {
            let Ok(request) = TransactionRequest::decode(payload.body) else {
                return Outcome::Malformed;
            };
            let admitted = match &request.session {
                None => None,
                Some(session) => match self.admit(stamp, session) {
                    Ok(admitted) => admitted,
                    Err(outcome) => return outcome,
                },
            };
            let outcome = self.transact(stamp, owner, &request);
            return self.remembered(stamp, admitted, outcome);
        }
        let Ok(request) = KvRequest::decode(payload.body) else {
            return Outcome::Malformed;
        };
        // One place from where writes are carried out, so that it stays inline.
        let admitted = match &request.session {
            None => None,
            Some(session) => match self.admit(stamp, session) {
                Ok(admitted) => admitted,
                Err(outcome) => return outcome,
            },
        };
        let outcome = self.carry_out_request(stamp, payload.kind, owner, &request);
        self.remembered(stamp, admitted, outcome)
    }

    #[cold]
    fn open_session(&mut self, stamp: Stamp, owner: Owner, body: &[u8]) -> Outcome {
        match OpenSession::decode(body) {
            Ok(OpenSession { limits, .. }) => {
                let check = SessionStamp::check_of(owner.low);
                Outcome::Opened(self.sessions.open(stamp.index, check, limits))
            }
            Err(_) => Outcome::Malformed,
        }
    }

    /// Says that a write of a session is to be carried out, or what it gets instead.
    #[inline(never)]
    fn admit(&mut self, stamp: Stamp, session: &SessionStamp) -> Result<Option<Admitted>, Outcome> {
        match self.sessions.admit(stamp.index, session) {
            Ok(admitted) => Ok(Some(admitted)),
            Err(Ok(answer)) => Err(Outcome::Repeated(answer)),
            Err(Err(BizCode::SessionExpired)) if is_on(Bug::ExpiredCarriedOut) => Ok(None),
            Err(Err(code)) => Err(Outcome::Refused(code)),
        }
    }

    #[inline]
    fn remembered(
        &mut self,
        stamp: Stamp,
        admitted: Option<Admitted>,
        outcome: Outcome,
    ) -> Outcome {
        if let Some(admitted) = admitted {
            self.sessions.keep(admitted, Answer::of(stamp.index, &outcome));
        }
        outcome
    }

    #[inline]
    fn carry_out_request(
        &mut self,
        stamp: Stamp,
        kind: OperationKind,
        owner: Owner,
        request: &KvRequest<'_>,
    ) -> Outcome {
        match kind {
            OperationKind::BatchPut => self.batch_put(stamp, request),
            OperationKind::BatchRemove => self.batch_remove(stamp, owner, request),
            kind @ (OperationKind::TryLock | OperationKind::UpdateLockLease) => {
                let (Ok(code) | Err(code)) = self.apply_one(stamp, kind, owner, request);
                let holding = matches!(code, BizCode::Success | BizCode::LockBySelf);
                match self.holder_token(request.key) {
                    Some(fencing_token) if holding => Outcome::Holding { code, fencing_token },
                    _ => Outcome::One(code),
                }
            }
            kind => {
                let (Ok(code) | Err(code)) = self.apply_one(stamp, kind, owner, request);
                Outcome::One(code)
            }
        }
    }

    #[inline]
    fn apply_one(
        &mut self,
        stamp: Stamp,
        kind: OperationKind,
        owner: Owner,
        request: &KvRequest<'_>,
    ) -> Verdict {
        // Only a leader with other limits, or nobody at all, lets such a request through.
        validate(kind, request).map_err(|refusal| refusal.code)?;
        let KvRequest { key, value, .. } = *request;
        // Validated to be above 0 wherever it is used.
        let millis = request.ttl_millis as u64;
        match kind {
            OperationKind::Put => self.put(stamp, key, value),
            OperationKind::Remove => self.remove(stamp, owner, key),
            OperationKind::Mkdir => self.make_directory(stamp, key),
            OperationKind::Cas => self.compare_and_set(stamp, key, request.expect_value, value),
            OperationKind::PutTemp => self.put_temporary(stamp, owner, key, value, millis),
            OperationKind::MakeTempDir => self.make_temporary_directory(stamp, owner, key, millis),
            OperationKind::Expire => self.expire(stamp, key, millis),
            OperationKind::UpdateTtl => self.update_ttl(stamp, owner, key, millis),
            OperationKind::TryLock => self.try_lock(stamp, owner, key, value, millis),
            OperationKind::Unlock => self.unlock(stamp, owner, key),
            OperationKind::UpdateLockLease => self.update_lock_lease(stamp, owner, key, millis),
            OperationKind::BatchPut
            | OperationKind::BatchRemove
            | OperationKind::Transaction
            | OperationKind::OpenSession => Err(BizCode::Error),
        }
    }

    /// The node with this key, the empty one being the root's.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Result<KvNode<'_>, BizCode> {
        check_key(key, RootKey::Allowed)?;
        let id = self.tree.find(key).ok_or(BizCode::NotFound)?;
        Ok(self.tree.nodes[id].view())
    }

    /// The node with this key as one of several, where the root cannot be asked for.
    #[inline]
    pub fn get_in_batch(&self, key: &[u8]) -> Result<KvNode<'_>, BizCode> {
        check_key(key, RootKey::Refused)?;
        self.get(key)
    }

    /// The children of a directory, in the order of their creation.
    pub fn list(&self, key: &[u8]) -> Result<Children<'_>, BizCode> {
        check_key(key, RootKey::Allowed)?;
        let id = self.tree.find(key).ok_or(BizCode::NotFound)?;
        if !self.tree.nodes[id].marks.is_directory() {
            return Err(BizCode::ParentNotDir);
        }
        Ok(Children::new(&self.tree, id))
    }

    /// The children of a directory behind a cursor of [`Children::cursor_behind`].
    ///
    /// # Errors
    /// As [`Machine::list`].
    pub fn list_from(&self, key: &[u8], cursor: &[u8]) -> Result<Children<'_>, BizCode> {
        Ok(self.list(key)?.skip_to(key, cursor))
    }

    /// How many nodes there are, without the root.
    pub fn len(&self) -> usize {
        self.tree.nodes.len() - 1
    }

    /// Whether there is only the root.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that were asked of the allocator.
    pub fn memory_bytes(&self) -> usize {
        let others = self.shortfalls.memory_bytes() + self.sessions.memory_bytes();
        size_of::<Machine>() + self.tree.memory_bytes() + others
    }

    /// The index of the last entry that was applied, 0 at the start.
    pub fn applied_index(&self) -> u64 {
        self.applied_index
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Forgets what became of the newest write of the session that was used last: a bug to be found.
    pub fn forget_newest_answer(&mut self) {
        self.sessions.forget_newest();
    }

    /// A hash of all nodes and sessions and their order. Replicas that have applied the same entries have the
    /// same one. Takes as long as reading everything.
    pub fn state_hash(&self) -> u64 {
        match self.sessions.is_untouched() {
            true => state_hash(&self.tree),
            false => state_hash(&self.tree) ^ self.sessions.state_hash(),
        }
    }

    /// Whether [`Machine::take_granted`] has something to take.
    #[inline]
    pub fn has_granted(&self) -> bool {
        !self.granted.is_empty()
    }

    /// Takes the locks that were granted to waiters since the last call.
    ///
    /// The leader tells the new holders; others drop them.
    pub fn take_granted(&mut self) -> vec::Drain<'_, LockGranted> {
        self.granted.drain(..)
    }

    /// Watches a key, which need not exist, once more: from now on its changes are among those of
    /// [`Machine::take_changes`]. The key has been checked.
    pub fn watch(&mut self, key: &[u8]) -> WatchId {
        let found = self.tree.find(key);
        let missing_index = match found {
            Some(_) => 0,
            None => self.nearest_update_index(key),
        };
        if let Some(id) = found {
            let node = &mut self.tree.nodes[id];
            node.marks = node.marks.with(Marks::WATCHED);
        }
        self.tree.watched.add(key, missing_index)
    }

    /// Undoes one call of [`Machine::watch`]; after the last one the id means nothing.
    pub fn unwatch(&mut self, id: WatchId) {
        let Some(key) = self.tree.watched.take(id) else {
            return;
        };
        if let Some(id) = self.tree.find(&key) {
            let node = &mut self.tree.nodes[id];
            node.marks = node.marks.without(Marks::WATCHED);
        }
    }

    /// Whether [`Machine::take_changes`] has something to take.
    #[inline]
    pub fn has_changes(&self) -> bool {
        self.tree.watched.has_changes()
    }

    /// Appends the watched keys that were created, updated or removed since the last call, each
    /// once. Now and then a key is among them that has not changed.
    pub fn take_changes(&mut self, out: &mut Vec<WatchId>) {
        self.tree.watched.drain_changes(out);
    }

    /// What a watcher is told of its key at this moment.
    pub fn watched_state(&self, id: WatchId) -> WatchEvent<'_> {
        let watched = &self.tree.watched;
        let key = watched.key(id);
        let Some(node) = self.tree.find(key).map(|id| &self.tree.nodes[id]) else {
            let raft_index = watched.missing_index(id);
            return WatchEvent { raft_index, state: WatchState::Missing, key, value: &[] };
        };
        let directory = node.marks.is_directory();
        let state = if directory { WatchState::Directory } else { WatchState::Value };
        WatchEvent { raft_index: node.update_index, state, key, value: node.value() }
    }

    /// When the existence of the key may have changed last: its nearest ancestor knows.
    fn nearest_update_index(&self, key: &[u8]) -> u64 {
        let (mut ancestor, _) = kv_api::split_key(key);
        loop {
            if let Some(id) = self.tree.find(ancestor) {
                return self.tree.nodes[id].update_index;
            }
            (ancestor, _) = kv_api::split_key(ancestor);
        }
    }
}
