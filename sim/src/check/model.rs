//! The tree as it should be: slow, obvious, and with a memory of every earlier state.

use std::collections::{BTreeMap, BTreeSet};

use client::BizCode;
use kv_api::Owner;

use crate::workload::{Answer, Request, View, lock_value};

/// A tree of keys with all its versions, by index of the log.
pub struct Model {
    /// Versions of each key in ascending order of index.
    pub(super) versions: BTreeMap<Vec<u8>, Vec<Version>>,
    /// What is there now.
    pub(super) present: BTreeMap<Vec<u8>, Node>,
}

/// An entry's place and time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Index in the log.
    pub index: u64,
    /// The leader's time in it.
    pub time_ms: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Version {
    index: u64,
    node: Option<Node>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Node {
    pub(super) view: View,
    /// Position among the nodes that one entry creates.
    position: u64,
    pub(super) mark: Mark,
    pub(super) life: Option<Life>,
}

/// What a node is beside value or directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    Plain,
    Temporary,
    Lock,
    LockEntry,
}

/// The countdown of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Life {
    pub(super) owner: Owner,
    pub(super) ttl_index: u64,
    pub(super) start_ms: u64,
    pub(super) ttl_ms: u64,
    /// For how long the owner wants to hold the lock it waits for.
    pub(super) lease_ms: u64,
}

impl Life {
    pub(super) fn starting(stamp: Stamp, owner: Owner, ttl_ms: u64) -> Life {
        let Stamp { index: ttl_index, time_ms: start_ms } = stamp;
        Life { owner, ttl_index, start_ms, ttl_ms, lease_ms: 0 }
    }

    pub(super) fn deadline_ms(self) -> u64 {
        self.start_ms.saturating_add(self.ttl_ms)
    }
}

impl Default for Model {
    fn default() -> Model {
        Model::new()
    }
}

impl Model {
    /// Only the root.
    pub fn new() -> Model {
        let view = View { created: 0, updated: 0, value: None };
        let root = Node { view, position: 0, mark: Mark::Plain, life: None };
        let version = Version { index: 0, node: Some(root.clone()) };
        Model {
            versions: BTreeMap::from([(Vec::new(), vec![version])]),
            present: BTreeMap::from([(Vec::new(), root)]),
        }
    }

    /// Carries out a write of nobody in particular at an index above all before.
    pub fn apply(&mut self, index: u64, request: &Request) -> Vec<BizCode> {
        self.apply_at(Stamp { index, time_ms: 0 }, Owner::default(), request)
    }

    /// Carries out a write at an index above all before. One code for each key.
    pub fn apply_at(&mut self, stamp: Stamp, owner: Owner, request: &Request) -> Vec<BizCode> {
        let index = stamp.index;
        match request {
            Request::PutTemporary(key, value, ttl_ms) => {
                vec![self.put_temporary(stamp, owner, key, value, *ttl_ms)]
            }
            Request::MakeTemporary(key, ttl_ms) => {
                vec![self.make_temporary_directory(stamp, owner, key, *ttl_ms)]
            }
            Request::UpdateTtl(key, ttl_ms) => vec![self.update_ttl(stamp, owner, key, *ttl_ms)],
            Request::TryLock(key, lease_ms, wait_ms) => {
                let value = lock_value(*lease_ms);
                vec![self.try_lock(stamp, owner, key, &value, [*lease_ms, *wait_ms])]
            }
            Request::Unlock(key) => vec![self.unlock(stamp, owner, key)],
            Request::UpdateLease(key, lease_ms) => {
                vec![self.update_lease(stamp, owner, key, *lease_ms)]
            }
            Request::Put(key, value) => vec![self.put(index, 0, key, value)],
            Request::Remove(key) => vec![self.remove(index, owner, key)],
            Request::Mkdir(key) => vec![self.make_directory(index, 0, key)],
            Request::BatchPut(pairs) => (0..)
                .zip(pairs)
                .map(|(position, (key, value))| self.put(index, position, key, value))
                .collect(),
            Request::BatchRemove(keys) => {
                keys.iter().map(|key| self.remove(index, owner, key)).collect()
            }
            Request::Cas(key, expected, new) => {
                vec![self.compare_and_set(index, key, expected.as_deref(), new.as_deref())]
            }
            // Those tell more than codes.
            Request::Transaction(_)
            | Request::Get(_)
            | Request::GetFrom(..)
            | Request::List(_)
            | Request::BatchGet(_) => Vec::new(),
        }
    }

    pub(super) fn put(&mut self, index: u64, position: u64, key: &[u8], value: &[u8]) -> BizCode {
        match self.present.get(key).map(|node| node.view.value.is_none()) {
            Some(true) => BizCode::DirExists,
            Some(false) => {
                self.overwrite(index, key, value);
                BizCode::SuccessOverwrite
            }
            None => match self.refusal_of_parent(key) {
                Some(code) => code,
                None => {
                    self.create(index, position, key, Some(value));
                    BizCode::Success
                }
            },
        }
    }

    pub(super) fn make_directory(&mut self, index: u64, position: u64, key: &[u8]) -> BizCode {
        match self.present.get(key).map(|node| node.view.value.is_none()) {
            Some(true) => BizCode::DirExists,
            Some(false) => BizCode::ValueExists,
            None => match self.refusal_of_parent(key) {
                Some(code) => code,
                None => {
                    self.create(index, position, key, None);
                    BizCode::Success
                }
            },
        }
    }

    pub(super) fn remove(&mut self, index: u64, owner: Owner, key: &[u8]) -> BizCode {
        let Some(node) = self.present.get(key) else { return BizCode::NotFound };
        if node.life.is_some_and(|life| life.owner != owner) {
            return BizCode::NotOwner;
        }
        if self.children(key).next().is_some() {
            return BizCode::HasChildren;
        }
        self.present.remove(key);
        self.record(index, key);
        self.touch(index, parent(key));
        BizCode::Success
    }

    fn compare_and_set(
        &mut self,
        index: u64,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> BizCode {
        let Some(node) = self.present.get(key) else {
            return match (self.refusal_of_parent(key), expected, new) {
                (Some(code), _, _) => code,
                (None, None, Some(value)) => {
                    self.create(index, 0, key, Some(value));
                    BizCode::Success
                }
                (None, _, _) => BizCode::CasMismatch,
            };
        };
        if expected.is_none() || node.view.value.as_deref() != expected {
            return BizCode::CasMismatch;
        }
        match new {
            Some(value) => self.overwrite(index, key, value),
            None => {
                self.present.remove(key);
                self.record(index, key);
                self.touch(index, parent(key));
            }
        }
        BizCode::Success
    }

    fn refusal_of_parent(&self, key: &[u8]) -> Option<BizCode> {
        match self.present.get(parent(key)) {
            None => Some(BizCode::ParentDirNotExists),
            Some(node) if node.view.value.is_some() => Some(BizCode::ParentNotDir),
            Some(_) => None,
        }
    }

    pub(super) fn create(&mut self, index: u64, position: u64, key: &[u8], value: Option<&[u8]>) {
        let view = View { created: index, updated: index, value: value.map(<[u8]>::to_vec) };
        let node = Node { view, position, mark: Mark::Plain, life: None };
        self.present.insert(key.to_vec(), node);
        self.record(index, key);
        self.touch(index, parent(key));
    }

    pub(super) fn overwrite(&mut self, index: u64, key: &[u8], value: &[u8]) {
        if let Some(node) = self.present.get_mut(key) {
            node.view.value = Some(value.to_vec());
        }
        self.touch(index, key);
    }

    /// Notes the update of a node and of all directories above it.
    pub(super) fn touch(&mut self, index: u64, key: &[u8]) {
        if let Some(node) = self.present.get_mut(key) {
            node.view.updated = index;
        }
        self.record(index, key);
        if !key.is_empty() {
            self.touch(index, parent(key));
        }
    }

    pub(super) fn record(&mut self, index: u64, key: &[u8]) {
        let node = self.present.get(key).cloned();
        let versions = self.versions.entry(key.to_vec()).or_default();
        match versions.last_mut() {
            Some(last) if last.index == index => last.node = node,
            _ => versions.push(Version { index, node }),
        }
    }

    pub(super) fn children<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = &'a Vec<u8>> {
        self.present.keys().filter(move |other| !other.is_empty() && parent(other) == key)
    }

    /// The first index from `from` on, and not above `to`, at which a read has this answer.
    pub fn first_match(
        &self,
        request: &Request,
        answer: &Answer,
        from: u64,
        to: u64,
    ) -> Option<u64> {
        if self.read(request, from) == *answer {
            return Some(from);
        }
        let is_it = |index: &u64| self.read(request, *index) == *answer;
        match request {
            // A directory changes with everything below it.
            Request::Get(key) | Request::GetFrom(_, key) | Request::List(key) => {
                self.changes(key, from, to).find(is_it)
            }
            Request::BatchGet(keys) => {
                let all = keys.iter().flat_map(|key| self.changes(key, from, to));
                let all: BTreeSet<u64> = all.collect();
                all.into_iter().find(is_it)
            }
            _ => None,
        }
    }

    /// Indexes behind `from` and up to `to` at which a key changed, rising.
    fn changes(&self, key: &[u8], from: u64, to: u64) -> impl Iterator<Item = u64> {
        let versions = self.versions.get(key).map_or(&[][..], Vec::as_slice);
        let first = versions.partition_point(|version| version.index <= from);
        let later = versions.iter().skip(first).map(|version| version.index);
        later.take_while(move |index| *index <= to)
    }

    /// What a read says at an index.
    pub fn read(&self, request: &Request, index: u64) -> Answer {
        let view = |key: &Vec<u8>| self.node_at(key, index).map(|node| node.view.clone());
        match request {
            Request::Get(key) | Request::GetFrom(_, key) => Answer::Nodes(vec![Ok(view(key))]),
            Request::BatchGet(keys) => {
                Answer::Nodes(keys.iter().map(|key| Ok(view(key))).collect())
            }
            Request::List(key) => Answer::Children(self.list(key, index)),
            _ => Answer::Open,
        }
    }

    fn list(&self, key: &[u8], index: u64) -> Result<Vec<(Vec<u8>, View)>, BizCode> {
        let directory = self.node_at(key, index).ok_or(BizCode::NotFound)?;
        if directory.view.value.is_some() {
            return Err(BizCode::ParentNotDir);
        }
        let mut children: Vec<(&Vec<u8>, &Node)> = self
            .versions
            .keys()
            .filter(|other| !other.is_empty() && parent(other) == key)
            .filter_map(|other| Some((other, self.node_at(other, index)?)))
            .collect();
        children.sort_by_key(|(_, node)| (node.view.created, node.position));
        let children = children.into_iter();
        Ok(children.map(|(key, node)| (last_part(key).to_vec(), node.view.clone())).collect())
    }

    /// The node of a key after an entry.
    pub fn view_at(&self, key: &[u8], index: u64) -> Option<&View> {
        self.node_at(key, index).map(|node| &node.view)
    }

    fn node_at(&self, key: &[u8], index: u64) -> Option<&Node> {
        let versions = self.versions.get(key)?;
        let behind = versions.partition_point(|version| version.index <= index);
        versions.get(behind.checked_sub(1)?)?.node.as_ref()
    }
}

/// The key of the directory that a key is in.
pub(super) fn parent(key: &[u8]) -> &[u8] {
    let dot = key.iter().rposition(|byte| *byte == b'.').unwrap_or(0);
    key.get(..dot).unwrap_or_default()
}

fn last_part(key: &[u8]) -> &[u8] {
    key.rsplit(|byte| *byte == b'.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Vec<u8> {
        text.as_bytes().to_vec()
    }

    fn sample() -> Model {
        let mut model = Model::new();
        let steps = [
            (1, Request::Mkdir(key("d")), BizCode::Success),
            (2, Request::Put(key("d.a"), key("1")), BizCode::Success),
            (3, Request::Put(key("x.a"), key("1")), BizCode::ParentDirNotExists),
            (4, Request::Put(key("d.a"), key("2")), BizCode::SuccessOverwrite),
            (5, Request::Put(key("d.a.b"), key("2")), BizCode::ParentNotDir),
            (6, Request::Remove(key("d")), BizCode::HasChildren),
            (7, Request::Cas(key("d.a"), Some(key("1")), None), BizCode::CasMismatch),
            (8, Request::Cas(key("d.a"), Some(key("2")), None), BizCode::Success),
            (9, Request::Put(key("d"), key("2")), BizCode::DirExists),
            (10, Request::Remove(key("d")), BizCode::Success),
            (11, Request::Remove(key("d")), BizCode::NotFound),
        ];
        for (index, request, code) in steps {
            assert_eq!(model.apply(index, &request), [code], "{request}");
        }
        model
    }

    #[test]
    fn every_earlier_state_can_be_read() {
        let model = sample();
        let list = Request::List(Vec::new());
        let at = |index| match model.read(&list, index) {
            Answer::Children(Ok(children)) => children.into_iter().map(|(_, view)| view).collect(),
            _ => Vec::new(),
        };
        let directory = |updated| View { created: 1, updated, value: None };
        assert_eq!(at(0), []);
        assert_eq!(at(1), [directory(1)]);
        assert_eq!(at(3), [directory(2)]);
        assert_eq!(at(5), [directory(4)]);
        assert_eq!(at(9), [directory(8)]);
        assert_eq!(at(10), []);
    }

    #[test]
    fn first_match_is_the_earliest_in_the_window() {
        let model = sample();
        let absent = Answer::Nodes(vec![Ok(None)]);
        let get = Request::Get(key("d.a"));
        assert_eq!(model.first_match(&get, &absent, 0, 11), Some(0));
        assert_eq!(model.first_match(&get, &absent, 2, 11), Some(8));
        assert_eq!(model.first_match(&get, &absent, 2, 7), None);
        assert_eq!(model.first_match(&get, &absent, 9, 9), Some(9));
        let view = View { created: 2, updated: 4, value: Some(key("2")) };
        assert_eq!(model.first_match(&get, &Answer::Nodes(vec![Ok(Some(view))]), 0, 11), Some(4));
    }
}
