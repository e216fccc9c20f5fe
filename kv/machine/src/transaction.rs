//! Transactions: conditions, then one of two lists of steps, as a whole or not at all.
//!
//! A list is rehearsed before anything is done: each step is judged against the tree with what the
//! steps before it would have made of it. Only a list that goes through is carried out, so that
//! nothing ever has to be undone.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use kv_api::{
    Condition, KvNode, KvResult, Owner, Repeated, RootKey, Step, StepKind, Subject,
    TransactionRequest, check_key, encode_transaction, split_key,
};
use planted::{Bug, is_on};
use wire::{BizCode, Writer};

use crate::machine::{Machine, Verdict};
use crate::node::Marks;
use crate::outcome::Outcome;
use crate::put::check_value;
use crate::stamp::Stamp;

/// What a transaction came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionOutcome {
    /// Whether all conditions held.
    pub held: bool,
    /// The results of the list's steps. If the tree refused one, it is the last, and nothing was
    /// done.
    pub results: Vec<StepResult>,
    /// Whether the list was carried out.
    pub done: bool,
}

/// What one step came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepResult {
    /// Its code.
    pub code: BizCode,
    /// What a read found: the node with its value in a place of its own.
    pub node: Option<(KvNode<'static>, Box<[u8]>)>,
}

/// A node as it would be; `None` where there would be none.
type Rehearsed = Option<NodeShape>;

/// What of a node matters to whether a step is refused.
#[derive(Clone, Copy)]
struct NodeShape {
    marks: Marks,
    /// Of what expires.
    owner: Option<Owner>,
    children: usize,
}

/// The tree with changes that were not made.
struct Rehearsal<'a> {
    machine: &'a Machine,
    owner: Owner,
    changed: BTreeMap<&'a [u8], Rehearsed>,
}

impl Machine {
    pub(crate) fn transact(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        request: &TransactionRequest<'_>,
    ) -> Outcome {
        if request.check().is_err() {
            return Outcome::Malformed;
        }
        let held = request.conditions.iter().all(|condition| self.holds(&condition))
            || is_on(Bug::ConditionsIgnored);
        let list = if held { request.then } else { request.otherwise };
        if let Err(codes) = self.rehearse(owner, list) {
            if is_on(Bug::TransactionHalfDone) {
                let before = list.iter().zip(1..codes.len()).map(|(step, _)| step);
                before.for_each(|step| drop(self.carry_out(stamp, owner, &step)));
            }
            let results = codes.into_iter().map(StepResult::of_code).collect();
            return Outcome::Transaction(TransactionOutcome { held, results, done: false });
        }
        let mut read_bytes = 0;
        let results = list.iter().map(|step| {
            let result = self.carry_out(stamp, owner, &step);
            read_bytes += result.node.as_ref().map_or(0, |(_, value)| value.len());
            // Nobody would take an answer with all of it.
            let is_left_out = result.node.is_some() && read_bytes > READ_BYTES_MAX;
            if is_left_out { StepResult::of_code(BizCode::ValueTooLong) } else { result }
        });
        let results = results.collect();
        Outcome::Transaction(TransactionOutcome { held, results, done: true })
    }

    fn holds(&self, condition: &Condition<'_>) -> bool {
        let Condition { key, subject, relation, number, value } = *condition;
        let node = self.get(key).ok();
        let found = match subject {
            Subject::Existence => u64::from(node.is_some()),
            Subject::UpdateIndex => node.map_or(0, |node| node.update_index),
            Subject::CreateIndex => node.map_or(0, |node| node.create_index),
            Subject::FencingToken => self.holder_token(key).unwrap_or(0),
            Subject::Value => {
                // Values are never empty: that is what a directory has.
                return match node.filter(|node| !node.value.is_empty()) {
                    Some(node) => relation.holds(node.value.cmp(value)),
                    None => relation == kv_api::Relation::NotEqual,
                };
            }
            Subject::Unknown => return false,
        };
        relation.holds(found.cmp(&number))
    }

    /// Whether the list would go through; if not, the codes of its steps up to the refusal.
    fn rehearse(&self, owner: Owner, list: Repeated<'_, Step<'_>>) -> Result<(), Vec<BizCode>> {
        let mut rehearsal = Rehearsal { machine: self, owner, changed: BTreeMap::new() };
        let mut codes = Vec::new();
        for step in list {
            let (Ok(code) | Err(code)) = rehearsal.act(&step);
            codes.push(code);
            if !is_done(step.kind, code) {
                return Err(codes);
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, stamp: Stamp, owner: Owner, step: &Step<'_>) -> StepResult {
        let Step { kind, key, value, ttl_millis } = *step;
        // Checked to be above 0 where it counts.
        let ttl_ms = ttl_millis as u64;
        let verdict = match kind {
            StepKind::Put => self.put(stamp, key, value),
            StepKind::Remove => self.remove(stamp, owner, key),
            StepKind::Mkdir => self.make_directory(stamp, key),
            StepKind::PutTemp => self.put_temporary(stamp, owner, key, value, ttl_ms),
            StepKind::MakeTempDir => self.make_temporary_directory(stamp, owner, key, ttl_ms),
            StepKind::UpdateTtl => self.update_ttl(stamp, owner, key, ttl_ms),
            StepKind::Get => return StepResult::of_read(self.get(key)),
            StepKind::Unknown => Err(BizCode::ClientReqError),
        };
        let (Ok(code) | Err(code)) = verdict;
        assert!(is_done(kind, code), "what was rehearsed goes through");
        StepResult::of_code(code)
    }
}

/// Bytes of all values that a transaction reads.
const READ_BYTES_MAX: usize = 4 << 20;

/// Codes after which a list goes on: what was wanted is so.
fn is_done(kind: StepKind, code: BizCode) -> bool {
    match code {
        BizCode::Success | BizCode::SuccessOverwrite => true,
        BizCode::NotFound => matches!(kind, StepKind::Remove | StepKind::Get),
        BizCode::DirExists => matches!(kind, StepKind::Mkdir | StepKind::MakeTempDir),
        _ => false,
    }
}

impl<'a> Rehearsal<'a> {
    /// The code that the step would have, with its checks in the same order.
    fn act(&mut self, step: &Step<'a>) -> Verdict {
        match step.kind {
            StepKind::Put => {
                check_value(step.value)?;
                self.put(step.key)
            }
            StepKind::Mkdir => self.make_directory(step.key),
            StepKind::Remove => self.remove(step.key),
            StepKind::PutTemp => {
                check_value(step.value)?;
                self.make_temporary(step.key, Marks::TEMPORARY)
            }
            StepKind::MakeTempDir => {
                self.make_temporary(step.key, Marks::TEMPORARY.with(Marks::DIRECTORY))
            }
            StepKind::UpdateTtl => self.update_ttl(step.key),
            StepKind::Get => {
                check_key(step.key, RootKey::Allowed)?;
                self.find(step.key).map(|_| BizCode::Success).ok_or(BizCode::NotFound)
            }
            StepKind::Unknown => Err(BizCode::ClientReqError),
        }
    }

    fn find(&self, key: &[u8]) -> Rehearsed {
        if let Some(rehearsed) = self.changed.get(key) {
            return *rehearsed;
        }
        let tree = &self.machine.tree;
        let node = &tree.nodes[tree.find(key)?];
        let marks = node.marks;
        let children = if marks.is_directory() { node.links().count as usize } else { 0 };
        let owner = node.lifetime().map(|lifetime| lifetime.owner);
        Some(NodeShape { marks, owner, children })
    }

    /// The node of a key, if it has one, and its parent's marks.
    fn place(&self, key: &[u8]) -> Result<(Rehearsed, Marks), BizCode> {
        check_key(key, RootKey::Refused)?;
        let parent = self.find(split_key(key).0).ok_or(BizCode::ParentDirNotExists)?.marks;
        if !parent.is_directory() {
            return Err(BizCode::ParentNotDir);
        }
        if parent.is_lock_directory() {
            return Err(BizCode::ParentIsLock);
        }
        Ok((self.find(key), parent))
    }

    fn put(&mut self, key: &'a [u8]) -> Verdict {
        match self.place(key)? {
            (None, parent) => self.create(key, Marks::VALUE, parent),
            (Some(node), _) => {
                check_permanent(node.marks)?;
                match node.marks.is_directory() {
                    true => Err(BizCode::DirExists),
                    false => Ok(BizCode::SuccessOverwrite),
                }
            }
        }
    }

    fn make_directory(&mut self, key: &'a [u8]) -> Verdict {
        match self.place(key)? {
            (None, parent) => self.create(key, Marks::DIRECTORY, parent),
            (Some(node), _) => {
                check_permanent(node.marks)?;
                let directory = node.marks.is_directory();
                Err(if directory { BizCode::DirExists } else { BizCode::ValueExists })
            }
        }
    }

    fn make_temporary(&mut self, key: &'a [u8], marks: Marks) -> Verdict {
        let (node, parent) = self.place(key)?;
        if parent.contains(Marks::TEMPORARY) || parent.contains(Marks::UNDER_TEMPORARY) {
            return Err(BizCode::UnderTempDir);
        }
        let Some(node) = node else { return self.create(key, marks, parent) };
        if node.marks.contains(Marks::LOCK) {
            return Err(BizCode::IsLockNode);
        }
        self.check_own(node)?;
        match (marks.is_directory(), node.marks.is_directory()) {
            (false, false) => Ok(BizCode::SuccessOverwrite),
            (false, true) => Err(BizCode::DirExists),
            (true, true) => Ok(BizCode::DirExists),
            (true, false) => Err(BizCode::ValueExists),
        }
    }

    fn update_ttl(&self, key: &[u8]) -> Verdict {
        check_key(key, RootKey::Refused)?;
        let node = self.find(key).ok_or(BizCode::NotFound)?;
        self.check_own(node)?;
        match node.marks.contains(Marks::LOCK) {
            true => Err(BizCode::IsLockNode),
            false => Ok(BizCode::Success),
        }
    }

    fn remove(&mut self, key: &'a [u8]) -> Verdict {
        check_key(key, RootKey::Refused)?;
        let node = self.find(key).ok_or(BizCode::NotFound)?;
        if node.marks.contains(Marks::LOCK) {
            return Err(BizCode::IsLockNode);
        }
        if node.owner.is_some_and(|owner| owner != self.owner) {
            return Err(BizCode::NotOwner);
        }
        if node.children > 0 {
            return Err(BizCode::HasChildren);
        }
        self.changed.insert(key, None);
        self.count_children(key, |children| children - 1);
        Ok(BizCode::Success)
    }

    /// A node would be there, with the marks that follow from its parent's.
    fn create(&mut self, key: &'a [u8], marks: Marks, parent: Marks) -> Verdict {
        let below = parent.contains(Marks::TEMPORARY) || parent.contains(Marks::UNDER_TEMPORARY);
        let owner = marks.contains(Marks::TEMPORARY).then_some(self.owner);
        let marks = if below { marks.with(Marks::UNDER_TEMPORARY) } else { marks };
        self.changed.insert(key, Some(NodeShape { marks, owner, children: 0 }));
        self.count_children(key, |children| children + 1);
        Ok(BizCode::Success)
    }

    fn count_children(&mut self, key: &'a [u8], count: impl FnOnce(usize) -> usize) {
        let parent = split_key(key).0;
        let Some(mut node) = self.find(parent) else {
            unreachable!("what has a child is there");
        };
        node.children = count(node.children);
        self.changed.insert(parent, Some(node));
    }

    fn check_own(&self, node: NodeShape) -> Result<(), BizCode> {
        if !node.marks.contains(Marks::TEMPORARY) {
            return Err(BizCode::NotTempNode);
        }
        match node.owner == Some(self.owner) {
            true => Ok(()),
            false => Err(BizCode::NotOwner),
        }
    }
}

fn check_permanent(marks: Marks) -> Result<(), BizCode> {
    if marks.contains(Marks::LOCK) {
        return Err(BizCode::IsLockNode);
    }
    if marks.contains(Marks::TEMPORARY) {
        return Err(BizCode::IsTempNode);
    }
    Ok(())
}

impl StepResult {
    fn of_code(code: BizCode) -> StepResult {
        StepResult { code, node: None }
    }

    fn of_read(read: Result<KvNode<'_>, BizCode>) -> StepResult {
        match read {
            Ok(node) => {
                let value = node.value.into();
                let node = KvNode { value: &[], ..node };
                StepResult { code: BizCode::Success, node: Some((node, value)) }
            }
            Err(code) => StepResult::of_code(code),
        }
    }
}

impl TransactionOutcome {
    /// Appends the body of the answer. Nodes are left out once their values have more than
    /// `reads_max` bytes.
    pub(crate) fn encode(&self, writer: &mut Writer<'_>, index: u64, reads_max: usize) {
        let branch = if self.held { 1 } else { 2 };
        let branch = if self.done { branch } else { -branch };
        let mut bytes = 0;
        let results = self.results.iter().map(|result| match &result.node {
            Some((node, value)) => {
                bytes += value.len();
                match bytes > reads_max {
                    true => KvResult::of_code(BizCode::ValueTooLong),
                    false => KvResult::of_read(Ok(KvNode { value, ..*node })),
                }
            }
            None => KvResult::of_code(result.code),
        });
        encode_transaction(writer, index, branch, results);
    }

    /// The code of the answer as a whole: that of the step that was refused, if one was.
    pub fn packet_code(&self) -> BizCode {
        match self.results.last() {
            Some(result) if !self.done => result.code,
            _ => BizCode::Success,
        }
    }
}
