//! Which life of its disk each node is in, as far as this node has met it.
//!
//! A node that lost its disk comes back under its old id with a new incarnation, and knows nothing of
//! the votes and entries that it had acknowledged. Whoever knew the earlier life tells it so, and
//! listens to no message of that life any more.
//!
//! Layout of a slot of the file `lives` (little-endian; [`SLOT_BYTES`], zeros up to the end):
//!
//! | offset | bytes | field |
//! |--:|--:|---|
//! | 0 | 8 | magic `DTLIVES1` |
//! | 8 | 4 | CRC-32 of everything behind this field |
//! | 12 | 4 | id of the node whose file this is |
//! | 16 | 8 | its incarnation |
//! | 24 | 8 | a number that stands for its cluster |
//! | 32 | 8 | sequence; of two whole slots the higher one counts |
//! | 40 | 2 | number of nodes |
//! | 42 | 2 | number of groups |
//! | 44 | 40 each | a node: its id, how many incarnations follow (1 to 4), four of them, newest first |
//! | … | 4 each | a group in which this node may vote |

use std::collections::{BTreeMap, BTreeSet};

use crate::identity::Identity;

/// Bytes of a slot.
pub(super) const SLOT_BYTES: usize = 16 * runtime::BLOCK;
/// Nodes that are remembered.
const NODES_MAX: usize = 256;
/// Lives of one node that are remembered.
const LIVES_MAX: usize = 4;
const MAGIC: &[u8; 8] = b"DTLIVES1";
const CRC_AT: usize = 8;
const BODY_AT: usize = 12;
const NODES_AT: usize = 44;
const NODE_BYTES: usize = 8 + 8 * LIVES_MAX;
/// Groups that have room beside all nodes.
const GROUPS_MAX: usize = (SLOT_BYTES - NODES_AT - NODES_MAX * NODE_BYTES) / 4;

/// Every node that was met, and the groups in which this node is trusted with a vote.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lives {
    /// The incarnations of each node, newest first; never empty.
    nodes: BTreeMap<u32, Vec<u64>>,
    trusted: BTreeSet<i32>,
}

/// What is known of a node that introduces itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meeting {
    /// It is known under this incarnation.
    Known {
        /// It was known under another one before.
        had_another: bool,
    },
    /// Nothing is known of this incarnation yet.
    News,
    /// This life is over: the node was met in a later one.
    Over,
}

impl Lives {
    /// What is known of this incarnation of a node.
    pub fn meeting(&self, node: u32, incarnation: u64) -> Meeting {
        let known = self.nodes.get(&node).map(Vec::as_slice).unwrap_or_default();
        match known.iter().position(|&life| life == incarnation) {
            Some(0) => Meeting::Known { had_another: known.len() > 1 },
            Some(_) => Meeting::Over,
            None => Meeting::News,
        }
    }

    /// The life that a node is in.
    pub fn current(&self, node: u32) -> Option<u64> {
        self.nodes.get(&node)?.first().copied()
    }

    /// Notes a life that nothing was known of. `false` when there is no room for the node.
    pub fn learn(&mut self, node: u32, incarnation: u64) -> bool {
        if self.meeting(node, incarnation) != Meeting::News {
            return true;
        }
        if !self.nodes.contains_key(&node) && self.nodes.len() == NODES_MAX {
            return false;
        }
        let known = self.nodes.entry(node).or_default();
        known.insert(0, incarnation);
        known.truncate(LIVES_MAX);
        true
    }

    /// All nodes that were met.
    pub fn nodes(&self) -> impl Iterator<Item = u32> {
        self.nodes.keys().copied()
    }

    /// Whether this node may vote in a group.
    pub fn is_trusted(&self, group: i32) -> bool {
        self.trusted.contains(&group)
    }

    /// The groups in which this node may vote.
    pub fn trusted(&self) -> impl Iterator<Item = i32> {
        self.trusted.iter().copied()
    }

    /// From now on this node may vote in the group. `false` when there is no room for it.
    pub fn trust(&mut self, group: i32) -> bool {
        if self.trusted.len() == GROUPS_MAX && !self.is_trusted(group) {
            return false;
        }
        self.trusted.insert(group);
        true
    }

    /// Fills a slot.
    pub(super) fn encode(&self, owner: &Identity, sequence: u64, slot: &mut [u8]) {
        let mut body = Vec::with_capacity(SLOT_BYTES);
        body.extend_from_slice(&owner.node.to_le_bytes());
        body.extend_from_slice(&owner.incarnation.to_le_bytes());
        body.extend_from_slice(&owner.cluster_hash().to_le_bytes());
        body.extend_from_slice(&sequence.to_le_bytes());
        body.extend_from_slice(&(self.nodes.len() as u16).to_le_bytes());
        body.extend_from_slice(&(self.trusted.len() as u16).to_le_bytes());
        for (node, lives) in &self.nodes {
            body.extend_from_slice(&node.to_le_bytes());
            body.extend_from_slice(&(lives.len() as u32).to_le_bytes());
            for place in 0..LIVES_MAX {
                let life = lives.get(place).copied().unwrap_or_default();
                body.extend_from_slice(&life.to_le_bytes());
            }
        }
        for group in &self.trusted {
            body.extend_from_slice(&group.to_le_bytes());
        }
        body.resize(SLOT_BYTES - BODY_AT, 0);
        slot[..CRC_AT].copy_from_slice(MAGIC);
        slot[CRC_AT..BODY_AT].copy_from_slice(&crc32fast::hash(&body).to_le_bytes());
        slot[BODY_AT..].copy_from_slice(&body);
    }

    /// Reads a slot and its sequence; `None` when it is not whole, or another node's.
    pub(super) fn decode(owner: &Identity, slot: &[u8]) -> Option<(u64, Lives)> {
        let (head, body) = slot.split_at_checked(BODY_AT)?;
        let crc = u32::from_le_bytes(head.get(CRC_AT..)?.try_into().ok()?);
        if head.get(..CRC_AT)? != MAGIC || crc32fast::hash(body) != crc {
            return None;
        }
        let mut rest = body;
        let is_own = take_u32(&mut rest)? == owner.node
            && take_u64(&mut rest)? == owner.incarnation
            && take_u64(&mut rest)? == owner.cluster_hash();
        if !is_own {
            return None;
        }
        let sequence = take_u64(&mut rest)?;
        let counts = take_u32(&mut rest)?;
        let mut lives = Lives::default();
        for _ in 0..counts & 0xffff {
            let (node, count) = (take_u32(&mut rest)?, take_u32(&mut rest)? as usize);
            let mut all = Vec::with_capacity(LIVES_MAX);
            for _ in 0..LIVES_MAX {
                all.push(take_u64(&mut rest)?);
            }
            if count == 0 || count > LIVES_MAX {
                return None;
            }
            all.truncate(count);
            lives.nodes.insert(node, all);
        }
        for _ in 0..counts >> 16 {
            lives.trusted.insert(take_u32(&mut rest)? as i32);
        }
        Some((sequence, lives))
    }
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (number, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u32::from_le_bytes(*number))
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    let (number, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Identity {
        Identity { cluster: "orders".into(), node: 1, incarnation: 77 }
    }

    fn sample() -> Lives {
        let mut lives = Lives::default();
        assert!(lives.learn(2, 20) && lives.learn(3, 30) && lives.learn(3, 31));
        assert!(lives.trust(0) && lives.trust(-5));
        lives
    }

    #[test]
    fn a_later_life_ends_the_earlier_ones() {
        let mut lives = sample();
        assert_eq!(lives.meeting(2, 20), Meeting::Known { had_another: false });
        assert_eq!(lives.meeting(3, 31), Meeting::Known { had_another: true });
        assert_eq!(lives.meeting(3, 30), Meeting::Over);
        assert_eq!(lives.meeting(3, 32), Meeting::News);
        assert_eq!(lives.meeting(4, 40), Meeting::News);
        for life in 100..110 {
            assert!(lives.learn(3, life));
        }
        assert_eq!(lives.current(3), Some(109));
        assert_eq!(lives.meeting(3, 106), Meeting::Over);
    }

    #[test]
    fn a_slot_comes_back_and_any_flipped_bit_is_seen() {
        let mut slot = vec![0xff; SLOT_BYTES];
        sample().encode(&owner(), 9, &mut slot);
        assert_eq!(Lives::decode(&owner(), &slot), Some((9, sample())));
        for bit in (0..200 * 8).chain((200 * 8..SLOT_BYTES * 8).step_by(1009)) {
            slot[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Lives::decode(&owner(), &slot), None, "bit {bit}");
            slot[bit / 8] ^= 1 << (bit % 8);
        }
        for cut in (0..SLOT_BYTES).step_by(61) {
            assert_eq!(Lives::decode(&owner(), &slot[..cut]), None, "cut at {cut}");
        }
        let other = Identity { incarnation: 78, ..owner() };
        assert_eq!(Lives::decode(&other, &slot), None);
    }

    #[test]
    fn everything_has_room_and_no_more_is_taken() {
        let mut lives = Lives::default();
        for node in 0..NODES_MAX as u32 {
            assert!(lives.learn(node, 1));
        }
        assert!(!lives.learn(9999, 1) && lives.learn(0, 2));
        for group in 0..GROUPS_MAX as i32 {
            assert!(lives.trust(group));
        }
        assert!(!lives.trust(-1) && lives.trust(0));
        let mut slot = vec![0; SLOT_BYTES];
        lives.encode(&owner(), 1, &mut slot);
        assert_eq!(Lives::decode(&owner(), &slot), Some((1, lives)));
    }
}
