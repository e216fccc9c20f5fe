//! What was changed while the node ran, and how it is written down.
//!
//! Layout of the file `roster` (little-endian; zeros up to whole blocks of 4096 bytes):
//!
//! | offset | bytes | field |
//! |--:|--:|---|
//! | 0 | 8 | magic `DTROSTR1` |
//! | 8 | 4 | CRC-32 of the rest of the content, without the zeros at the end |
//! | 12 | 4 | bytes of the content |
//! | 16 | 4 | id of the node whose file this is |
//! | 20 | 8 | its incarnation |
//! | 28 | 8 | a number that stands for its cluster |
//! | 36 | 8 | version: how often something was changed |
//! | 44 | 4 | number of nodes |
//! | 48 | 4 | number of groups |
//! | 52 | 4 | 1: the node is drained |
//! | 56 | … | a node: id (4), port (2; 0: removed), bytes of the host (2), host |
//! | … | … | a group: id (4), 1 if it is here and 0 if it was removed (2), shard (2), numbers of members (2) and of observers (2), their ids (4 each) |

use std::collections::BTreeMap;

use crate::config::Endpoint;
use crate::identity::Identity;

const MAGIC: &[u8; 8] = b"DTROSTR1";
const CRC_AT: usize = 8;
const LENGTH_AT: usize = 12;
const BODY_AT: usize = 16;

/// What differs from the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Amendments {
    /// Nodes that were added, or removed (`None`).
    pub nodes: BTreeMap<u32, Option<Endpoint>>,
    /// Groups that were added or removed.
    pub groups: BTreeMap<i32, GroupAmendment>,
    /// Whether the node lets others lead.
    pub is_drained: bool,
}

/// A group that was added or removed. Who founded it is kept of a removed one, too: its log is read
/// with that when it comes back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupAmendment {
    /// Whether the node has it.
    pub is_here: bool,
    /// On which shard.
    pub shard: u16,
    /// Voters that it was founded with.
    pub members: Vec<u32>,
    /// Nodes without a vote that it was founded with.
    pub observers: Vec<u32>,
}

impl Amendments {
    /// The content of the file.
    pub(super) fn encode(&self, owner: &Identity, version: u64) -> Vec<u8> {
        let mut out = vec![0; BODY_AT];
        out.extend_from_slice(&owner.node.to_le_bytes());
        out.extend_from_slice(&owner.incarnation.to_le_bytes());
        out.extend_from_slice(&owner.cluster_hash().to_le_bytes());
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&(self.nodes.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.groups.len() as u32).to_le_bytes());
        out.extend_from_slice(&u32::from(self.is_drained).to_le_bytes());
        for (id, endpoint) in &self.nodes {
            let (host, port) = match endpoint {
                Some(endpoint) => (endpoint.host.as_bytes(), endpoint.port),
                None => (&[][..], 0),
            };
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&port.to_le_bytes());
            out.extend_from_slice(&(host.len() as u16).to_le_bytes());
            out.extend_from_slice(host);
        }
        for (id, group) in &self.groups {
            out.extend_from_slice(&id.to_le_bytes());
            let counts = [group.members.len() as u16, group.observers.len() as u16];
            for number in [u16::from(group.is_here), group.shard].into_iter().chain(counts) {
                out.extend_from_slice(&number.to_le_bytes());
            }
            for node in group.members.iter().chain(&group.observers) {
                out.extend_from_slice(&node.to_le_bytes());
            }
        }
        let length = out.len() as u32;
        out[..CRC_AT].copy_from_slice(MAGIC);
        out[LENGTH_AT..BODY_AT].copy_from_slice(&length.to_le_bytes());
        let crc = crc32fast::hash(&out[LENGTH_AT..]);
        out[CRC_AT..LENGTH_AT].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the file; `None` when it is not whole, or another node's.
    pub(super) fn decode(owner: &Identity, bytes: &[u8]) -> Option<(u64, Amendments)> {
        let length = Reader(bytes.get(LENGTH_AT..BODY_AT)?).u32()? as usize;
        let crc = Reader(bytes.get(CRC_AT..LENGTH_AT)?).u32()?;
        let checked = bytes.get(LENGTH_AT..length)?;
        if bytes.get(..CRC_AT)? != MAGIC || crc32fast::hash(checked) != crc {
            return None;
        }
        let mut reader = Reader(bytes.get(BODY_AT..length)?);
        let is_own = reader.u32()? == owner.node
            && reader.u64()? == owner.incarnation
            && reader.u64()? == owner.cluster_hash();
        if !is_own {
            return None;
        }
        let version = reader.u64()?;
        let (nodes, groups) = (reader.u32()?, reader.u32()?);
        let mut read = Amendments { is_drained: reader.u32()? != 0, ..Amendments::default() };
        for _ in 0..nodes {
            let (id, port, length) = (reader.u32()?, reader.u16()?, reader.u16()?);
            let host = core::str::from_utf8(reader.take(usize::from(length))?).ok()?.to_owned();
            read.nodes.insert(id, (port > 0).then_some(Endpoint { host, port }));
        }
        for _ in 0..groups {
            let (id, is_here, shard) = (reader.u32()? as i32, reader.u16()? != 0, reader.u16()?);
            let (members, observers) = (reader.u16()?, reader.u16()?);
            let (members, observers) = (reader.ids(members)?, reader.ids(observers)?);
            read.groups.insert(id, GroupAmendment { is_here, shard, members, observers });
        }
        reader.0.is_empty().then_some((version, read))
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn ids(&mut self, count: u16) -> Option<Vec<u32>> {
        (0..count).map(|_| self.u32()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Identity {
        Identity { cluster: "orders".into(), node: 1, incarnation: 77 }
    }

    fn sample() -> Amendments {
        let mut sample = Amendments { is_drained: true, ..Amendments::default() };
        sample.nodes.insert(4, Some(Endpoint { host: "fd00::4".into(), port: 9331 }));
        sample.nodes.insert(2, None);
        let group = |is_here, members: &[u32]| GroupAmendment {
            is_here,
            shard: 1,
            members: members.to_vec(),
            observers: vec![4],
        };
        sample.groups.insert(7, group(true, &[1, 2, 3]));
        sample.groups.insert(0, group(false, &[1]));
        sample
    }

    #[test]
    fn the_content_comes_back() {
        for amendments in [Amendments::default(), sample()] {
            let mut bytes = amendments.encode(&owner(), 9);
            bytes.resize(4096, 0);
            assert_eq!(Amendments::decode(&owner(), &bytes), Some((9, amendments)));
        }
    }

    #[test]
    fn every_cut_and_every_flip_is_seen() {
        let mut bytes = sample().encode(&owner(), 9);
        for cut in 0..bytes.len() {
            assert_eq!(Amendments::decode(&owner(), &bytes[..cut]), None, "cut at {cut}");
        }
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Amendments::decode(&owner(), &bytes), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let other = Identity { incarnation: 78, ..owner() };
        assert_eq!(Amendments::decode(&other, &bytes), None);
    }
}
