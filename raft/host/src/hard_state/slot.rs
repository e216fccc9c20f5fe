//! The hard state's bytes: two slots of a block each, with the same contents.
//!
//! ```text
//!  0  u32  magic
//!  4  u32  checksum: CRC-32 over bytes 8 .. 4096, seeded with the group's identity
//!  8  u16  version
//! 10  u16  slot: 0 or 1
//! 12  u32  zero
//! 16  u64  sequence: one more with each change
//! 24  u32  term
//! 28  u32  vote in that term, zero for none
//! 32  u64  durable sequence: log frames up to this one are known to have been durable
//! 40  u64  index of the last entry in that frame
//! 48  u64  entries up to this one are committed, at least
//! 56  u64  incarnation of the node's disk
//! 64  ..   zeros
//! ```
//!
//! A change is written to one slot and then to the other, each write durable before the next
//! begins, and counts when both are. So whichever single slot is lost, the other one holds all that
//! was ever promised: a vote cannot be forgotten because the slot that held it went bad.

use raft_core::{HardState, Index, NodeId, Term};

use crate::bytes::{Reader, put};
use crate::log::segment::{BLOCK, Identity};

const MAGIC: u32 = u32::from_le_bytes(*b"DThs");
const VERSION: u16 = 1;

/// What a group must never forget, and hints that make its recovery stricter and faster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SavedState {
    /// Term and vote.
    pub hard_state: HardState,
    /// Log frames up to this one are known to have been durable.
    pub durable_sequence: u64,
    /// Index of the last entry in that frame.
    pub durable_index: Index,
    /// Entries up to this one are committed, at least.
    pub commit: Index,
    /// Which life of the node's disk this is.
    pub incarnation: u64,
}

/// The newest state in a file of two slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Newest {
    /// The state.
    pub state: SavedState,
    /// Its sequence number.
    pub sequence: u64,
    /// The slot to write first next time: the one that is damaged or older.
    pub first_slot: usize,
    /// What is wrong with the other slot, if it is damaged.
    pub damaged: Option<(usize, SlotFault)>,
    /// Whether both slots hold this state.
    pub is_mirrored: bool,
}

/// Fills `block`, which must be one block long, with a slot.
pub fn write_slot(
    identity: Identity,
    slot: usize,
    sequence: u64,
    state: &SavedState,
    block: &mut [u8],
) {
    assert_eq!(block.len(), BLOCK, "a slot is one block");
    assert!(slot < 2, "there are two slots");
    block.fill(0);
    put(block, 0, MAGIC.to_le_bytes());
    put(block, 8, VERSION.to_le_bytes());
    put(block, 10, (slot as u16).to_le_bytes());
    put(block, 16, sequence.to_le_bytes());
    put(block, 24, state.hard_state.term.0.to_le_bytes());
    put(block, 28, state.hard_state.vote.map_or(0, |node| node.0).to_le_bytes());
    put(block, 32, state.durable_sequence.to_le_bytes());
    put(block, 40, state.durable_index.0.to_le_bytes());
    put(block, 48, state.commit.0.to_le_bytes());
    put(block, 56, state.incarnation.to_le_bytes());
    let checksum = identity.seed().checksum(&block[8..]);
    put(block, 4, checksum.to_le_bytes());
}

/// The newest state in the two slots of `file`.
///
/// # Errors
/// The first slot's fault when both are damaged, and a newer version's slot in any case.
pub fn newest(identity: Identity, file: &[u8]) -> Result<Newest, SlotFault> {
    let slots = [0, 1].map(|slot| read_slot(identity, slot, file.get(slot * BLOCK..)));
    if let Some(fault) = slots.iter().filter_map(|slot| slot.err()).find(|fault| fault.is_newer()) {
        return Err(fault);
    }
    let (slot, other) = match slots {
        [Ok((first, _)), Ok((second, _))] => {
            if first >= second {
                (0, 1)
            } else {
                (1, 0)
            }
        }
        [Ok(_), Err(_)] => (0, 1),
        [Err(_), Ok(_)] => (1, 0),
        [Err(fault), Err(_)] => return Err(fault),
    };
    let (sequence, state) = slots[slot]?;
    Ok(Newest {
        state,
        sequence,
        first_slot: other,
        damaged: slots[other].err().map(|fault| (other, fault)),
        is_mirrored: slots[other] == Ok((sequence, state)),
    })
}

fn read_slot(
    identity: Identity,
    slot: usize,
    bytes: Option<&[u8]>,
) -> Result<(u64, SavedState), SlotFault> {
    let block = bytes.and_then(|bytes| bytes.get(..BLOCK)).ok_or(SlotFault::Cut)?;
    let mut reader = Reader::new(block);
    let (magic, checksum) = (reader.u32(), reader.u32());
    let (version, number) = (reader.u16(), reader.u16());
    reader.skip(4);
    let sequence = reader.u64();
    let (term, vote) = (reader.u32(), reader.u32());
    let state = SavedState {
        hard_state: HardState { term: Term(term), vote: (vote > 0).then_some(NodeId(vote)) },
        durable_sequence: reader.u64(),
        durable_index: Index(reader.u64()),
        commit: Index(reader.u64()),
        incarnation: reader.u64(),
    };
    let covered = block.get(8..).unwrap_or_default();
    if magic != MAGIC || identity.seed().checksum(covered) != checksum {
        return Err(SlotFault::Invalid);
    }
    if version != VERSION {
        return Err(SlotFault::Version(version));
    }
    if usize::from(number) != slot {
        return Err(SlotFault::Misplaced);
    }
    Ok((sequence, state))
}

/// Why a slot cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotFault {
    /// The file ends before the slot does.
    Cut,
    /// Magic or checksum do not match.
    Invalid,
    /// Intact, but the other slot's content.
    Misplaced,
    /// Intact, but written by a newer version.
    Version(u16),
}

impl SlotFault {
    fn is_newer(self) -> bool {
        matches!(self, SlotFault::Version(_))
    }
}

impl std::fmt::Display for SlotFault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SlotFault::Cut => formatter.write_str("hard state slot is cut off"),
            SlotFault::Invalid => {
                formatter.write_str("hard state slot is damaged or of another group")
            }
            SlotFault::Misplaced => formatter.write_str("hard state slot is the other one's"),
            SlotFault::Version(version) => {
                write!(formatter, "hard state version {version} is newer than this program")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use raft_core::GroupId;

    use super::*;

    const IDENTITY: Identity = Identity { cluster: 5, group: GroupId(6) };

    fn state(term: u32) -> SavedState {
        SavedState {
            hard_state: HardState { term: Term(term), vote: Some(NodeId(3)) },
            durable_sequence: 70,
            durable_index: Index(700),
            commit: Index(650),
            incarnation: 2,
        }
    }

    fn file(sequences: [u64; 2]) -> Vec<u8> {
        let mut file = vec![0xEE; 2 * BLOCK];
        for (slot, block) in file.chunks_mut(BLOCK).enumerate() {
            let sequence = sequences[slot];
            write_slot(IDENTITY, slot, sequence, &state(sequence as u32), block);
        }
        file
    }

    #[test]
    fn the_newest_slot_wins() {
        for (sequences, winner, first_slot) in [([4, 5], 5, 0), ([6, 5], 6, 1), ([5, 5], 5, 1)] {
            let newest = newest(IDENTITY, &file(sequences)).unwrap();
            assert_eq!((newest.sequence, newest.state), (winner, state(winner as u32)));
            assert_eq!((newest.first_slot, newest.damaged), (first_slot, None));
            assert_eq!(newest.is_mirrored, sequences[0] == sequences[1]);
        }
    }

    /// Every flipped bit costs one slot, never the state.
    #[test]
    fn every_flipped_bit_of_a_slot_is_noticed_and_survived() {
        let intact = file([8, 8]);
        for bit in 0..intact.len() * 8 {
            let mut damaged = intact.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let slot = bit / 8 / BLOCK;
            let newest = newest(IDENTITY, &damaged).unwrap();
            assert_eq!(newest.damaged, Some((slot, SlotFault::Invalid)), "bit {bit}");
            assert_eq!((newest.state, newest.first_slot), (state(8), slot));
            assert!(!newest.is_mirrored);
        }
    }

    #[test]
    fn two_damaged_slots_are_an_error() {
        let mut damaged = file([8, 8]);
        damaged[30] ^= 1;
        damaged[BLOCK + 30] ^= 1;
        assert_eq!(newest(IDENTITY, &damaged), Err(SlotFault::Invalid));
        assert_eq!(newest(IDENTITY, &[0; 2 * BLOCK]), Err(SlotFault::Invalid));
        assert_eq!(newest(IDENTITY, &[]), Err(SlotFault::Cut));
    }

    #[test]
    fn every_cut_leaves_one_slot_or_an_error() {
        let intact = file([8, 9]);
        for length in 0..intact.len() {
            match newest(IDENTITY, &intact[..length]) {
                Ok(newest) => {
                    assert_eq!(newest.damaged, Some((1, SlotFault::Cut)));
                    assert!(length >= BLOCK);
                }
                Err(fault) => assert!(fault == SlotFault::Cut && length < BLOCK),
            }
        }
    }

    /// Pitfall 1 and 2: a power cut at any point of a change leaves the old or the new state, and
    /// never less than what both slots held.
    #[test]
    fn pitfall_02_a_torn_change_leaves_the_old_or_the_new_state() {
        const SECTOR: usize = 512;
        let (old, new) = (file([8, 8]), file([9, 9]));
        for first_slot in [0, 1] {
            for written in 0..=2 {
                for subset in 0..1u32 << (BLOCK / SECTOR) {
                    let mut torn = old.clone();
                    for (step, slot) in [first_slot, 1 - first_slot].into_iter().enumerate() {
                        for sector in 0..BLOCK / SECTOR {
                            let whole = step < written;
                            if whole || (step == written && subset & (1 << sector) != 0) {
                                let start = slot * BLOCK + sector * SECTOR;
                                torn[start..start + SECTOR]
                                    .copy_from_slice(&new[start..start + SECTOR]);
                            }
                        }
                    }
                    let found = newest(IDENTITY, &torn).unwrap();
                    let expected = if written > 0 { [9, 9] } else { [8, 9] };
                    assert!(expected.contains(&found.sequence));
                    assert_eq!(found.state, state(found.sequence as u32));
                }
            }
        }
    }

    #[test]
    fn other_groups_other_slots_and_newer_versions_are_refused() {
        let other = Identity { cluster: 5, group: GroupId(7) };
        assert_eq!(newest(other, &file([1, 1])), Err(SlotFault::Invalid));
        let mut swapped = file([1, 1]);
        swapped.copy_within(..BLOCK, BLOCK);
        assert_eq!(newest(IDENTITY, &swapped).unwrap().damaged, Some((1, SlotFault::Misplaced)));
        let mut newer = file([1, 1]);
        newer[8] = 2;
        let checksum = IDENTITY.seed().checksum(&newer[8..BLOCK]);
        newer[4..8].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(newest(IDENTITY, &newer), Err(SlotFault::Version(2)));
    }
}
