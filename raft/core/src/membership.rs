//! Who belongs to a group, and how that changes.
//!
//! A change is *prepared*: from then on every decision needs a majority of the current and of the
//! next voters. It is then *committed* (the next members become the current ones) or *aborted*.
//! Each step is an entry of the log, holds from the moment it is in the log, and is undone when
//! the entry is cut off.

use alloc::vec::Vec;

use crate::message::{DecodeError, DecodeFault, Reader, put_u8, put_u16, put_u32};
use crate::types::{Index, NodeId};

/// Most nodes in one list of a membership.
pub const MEMBERS_MAX: usize = 32;

/// The voters and observers of a group; both lists are sorted and have no node twice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Members {
    /// Nodes that vote and count for commits.
    pub voters: Vec<NodeId>,
    /// Nodes that only receive the log.
    pub observers: Vec<NodeId>,
}

/// A membership as an entry of the log holds it: complete in itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// The members in force.
    pub current: Members,
    /// The members of a prepared change; while there are any, both sets decide.
    pub next: Option<Members>,
}

/// A membership and the entry that brought it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigEntry {
    /// The entry's index; zero for the membership a group was founded with.
    pub index: Index,
    /// The membership.
    pub config: Config,
}

/// A request to change the membership.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Begin a change. The newcomers are first brought up to date, then the entry is appended.
    Prepare {
        /// What the caller takes for the current members; refused when it is not so.
        current: Members,
        /// The members to come.
        next: Members,
    },
    /// Put the prepared members in force.
    Commit {
        /// The entry that the caller takes for the newest membership.
        prepared: Index,
    },
    /// Drop the prepared members.
    Abort,
}

/// Why a change was not begun. Nothing has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeRefused {
    /// Only the leader changes the membership.
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// The leader has not committed an entry of its term yet, is handing over, or another change is
    /// under way or not committed yet. Trying again later is safe.
    Busy,
    /// The caller's current members are not the current ones.
    CurrentDiffers,
    /// The new members have no voter.
    NoVoters,
    /// More nodes than [`MEMBERS_MAX`].
    TooMany,
    /// A node would be voter and observer at once.
    VoterAndObserver(NodeId),
    /// Another entry is the newest membership.
    IndexDiffers {
        /// The newest one.
        newest: Index,
    },
}

impl Members {
    /// Members from lists in any order.
    pub fn of(
        voters: impl IntoIterator<Item = NodeId>,
        observers: impl IntoIterator<Item = NodeId>,
    ) -> Members {
        let sorted = |nodes: &mut Vec<NodeId>| {
            nodes.sort_unstable();
            nodes.dedup();
        };
        let (mut voters, mut observers) = (Vec::from_iter(voters), Vec::from_iter(observers));
        sorted(&mut voters);
        sorted(&mut observers);
        Members { voters, observers }
    }

    /// Whether the node is in one of the lists.
    pub fn contains(&self, node: NodeId) -> bool {
        self.votes(node) || self.observers.binary_search(&node).is_ok()
    }

    /// Whether the node is a voter.
    pub fn votes(&self, node: NodeId) -> bool {
        self.voters.binary_search(&node).is_ok()
    }

    /// Checks what every membership must fulfil.
    ///
    /// # Errors
    /// When there is no voter, a list is too long, or a node is in both.
    pub fn check(&self) -> Result<(), ChangeRefused> {
        if self.voters.is_empty() {
            return Err(ChangeRefused::NoVoters);
        }
        if self.voters.len() > MEMBERS_MAX || self.observers.len() > MEMBERS_MAX {
            return Err(ChangeRefused::TooMany);
        }
        match self.observers.iter().find(|&&node| self.votes(node)) {
            Some(&node) => Err(ChangeRefused::VoterAndObserver(node)),
            None => Ok(()),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        for nodes in [&self.voters, &self.observers] {
            assert!(nodes.len() <= MEMBERS_MAX, "a membership is longer than its limit");
            put_u16(out, nodes.len() as u16);
            nodes.iter().for_each(|node| put_u32(out, node.0));
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Members, DecodeError> {
        let mut lists = [Vec::new(), Vec::new()];
        for nodes in &mut lists {
            for _ in 0..reader.count(MEMBERS_MAX)? {
                nodes.push(NodeId(reader.u32()?));
            }
            if !nodes.is_sorted_by(|left, right| left < right) {
                return Err(reader.fault(DecodeFault::Value));
            }
        }
        let [voters, observers] = lists;
        Ok(Members { voters, observers })
    }
}

impl Config {
    /// A membership without a change.
    pub fn of(
        voters: impl IntoIterator<Item = NodeId>,
        observers: impl IntoIterator<Item = NodeId>,
    ) -> Config {
        Config { current: Members::of(voters, observers), next: None }
    }

    /// Whether the node votes in one of the sets.
    pub fn votes(&self, node: NodeId) -> bool {
        self.halves().any(|members| members.votes(node))
    }

    /// Whether the node is in one of the lists.
    pub fn contains(&self, node: NodeId) -> bool {
        self.halves().any(|members| members.contains(node))
    }

    /// The sets that decide: one, or two while a change is prepared.
    pub fn halves(&self) -> impl Iterator<Item = &Members> {
        core::iter::once(&self.current).chain(self.next.as_ref())
    }

    /// Every node in any list, sorted, once.
    pub fn nodes(&self) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = self
            .halves()
            .flat_map(|members| members.voters.iter().chain(&members.observers))
            .copied()
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// Appends the body of a [`crate::EntryKind::Config`] entry to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.current.write(out);
        put_u8(out, u8::from(self.next.is_some()));
        if let Some(next) = &self.next {
            next.write(out);
        }
    }

    /// Reads the body of a [`crate::EntryKind::Config`] entry.
    ///
    /// # Errors
    /// When the bytes are not exactly one membership.
    pub fn decode(bytes: &[u8]) -> Result<Config, DecodeError> {
        let mut reader = Reader::new(bytes);
        let config = Config::read(&mut reader)?;
        reader.end()?;
        Ok(config)
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Config, DecodeError> {
        let current = Members::read(reader)?;
        let next = if reader.flag()? { Some(Members::read(reader)?) } else { None };
        let config = Config { current, next };
        if config.halves().any(|members| members.check().is_err()) {
            return Err(reader.fault(DecodeFault::Value));
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes<const N: usize>(ids: [u32; N]) -> [NodeId; N] {
        ids.map(NodeId)
    }

    #[test]
    fn config_round_trips_and_every_cut_is_refused() {
        let plain = Config::of(nodes([3, 1, 2]), nodes([9]));
        let joint = Config { next: Some(Members::of(nodes([4, 5]), [])), ..plain.clone() };
        for config in [plain, joint] {
            let mut bytes = Vec::new();
            config.encode(&mut bytes);
            assert_eq!(Config::decode(&bytes), Ok(config));
            for cut in 0..bytes.len() {
                assert!(Config::decode(&bytes[..cut]).is_err(), "cut at {cut}");
            }
            bytes.push(0);
            assert!(Config::decode(&bytes).is_err());
        }
    }

    #[test]
    fn members_are_checked() {
        assert_eq!(Members::of([], nodes([1])).check(), Err(ChangeRefused::NoVoters));
        let twice = Members::of(nodes([1, 2]), nodes([2]));
        assert_eq!(twice.check(), Err(ChangeRefused::VoterAndObserver(NodeId(2))));
        let many = Members::of((0..=MEMBERS_MAX as u32).map(NodeId), []);
        assert_eq!(many.check(), Err(ChangeRefused::TooMany));
    }
}
