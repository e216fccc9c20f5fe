//! Whose data directory this is: cluster, node and incarnation, in one block that is written once.
//!
//! Layout of the file `identity` (one block of 4096 bytes, little-endian):
//!
//! | offset | bytes | field |
//! |--:|--:|---|
//! | 0 | 8 | magic `DTIDENT1` |
//! | 8 | 4 | CRC-32 of everything behind this field |
//! | 12 | 4 | node id |
//! | 16 | 8 | incarnation, random: a directory that was wiped comes back with another one |
//! | 24 | 2 | length of the cluster's name |
//! | 26 | … | the cluster's name, UTF-8; zeros up to the end of the block |

use std::io;

use runtime::{BLOCK, OpenOptions, Shard};

/// Name of the file below the data directory.
pub(crate) const FILE: &str = "identity";
const MAGIC: &[u8; 8] = b"DTIDENT1";
const CRC_AT: usize = 8;
const BODY_AT: usize = 12;
const NAME_AT: usize = 26;
/// A cluster's name is at most this long, in bytes.
pub const CLUSTER_NAME_BYTES_MAX: usize = 255;

/// Who a data directory belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The cluster's name.
    pub cluster: String,
    /// The node's id in the cluster.
    pub node: u32,
    /// Told apart from every earlier life of the same node on another (or a wiped) disk.
    pub incarnation: u64,
}

impl Identity {
    /// A number that stands for the cluster in checksums (FNV-1a of its name).
    pub fn cluster_hash(&self) -> u64 {
        self.cluster.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// Why the data directory cannot be used.
#[derive(Debug)]
pub enum IdentityError {
    /// The file could not be read or written.
    Io(io::Error),
    /// The file is damaged or missing, and with it the proof whose data lies beside it.
    Damaged,
    /// The directory belongs to another node or cluster.
    Foreign {
        /// What the directory says.
        found: Identity,
    },
}

/// Reads the identity of the data directory, or makes it when the directory is new. What it returns
/// is durable.
///
/// A file that a crash left half-written is made again, but only while the directory holds nothing
/// else: with data beside it, a damaged or missing file is an error.
pub async fn open_or_create(
    shard: &Shard,
    cluster: &str,
    node: u32,
) -> Result<Identity, IdentityError> {
    let exists = shard.storage().exists(FILE).await.map_err(IdentityError::Io)?;
    let found = if exists { read(shard).await.map_err(IdentityError::Io)? } else { None };
    match found {
        Some(found) if found.cluster == cluster && found.node == node => return Ok(found),
        Some(found) => return Err(IdentityError::Foreign { found }),
        None if holds_data(shard).await.map_err(IdentityError::Io)? => {
            return Err(IdentityError::Damaged);
        }
        None if exists => shard.storage().remove_file(FILE).await.map_err(IdentityError::Io)?,
        None => {}
    }
    let identity =
        Identity { cluster: cluster.to_owned(), node, incarnation: shard.random().next_u64() };
    write(shard, &identity).await.map_err(IdentityError::Io)?;
    Ok(identity)
}

pub(crate) async fn holds_data(shard: &Shard) -> io::Result<bool> {
    Ok(shard.storage().list("").await?.iter().any(|name| name.starts_with("group-")))
}

async fn read(shard: &Shard) -> io::Result<Option<Identity>> {
    let options = OpenOptions { write: true, create: false, dsync: false };
    let file = shard.storage().open(FILE, options).await?;
    if file.len() < BLOCK as u64 {
        file.close().await?;
        return Ok(None);
    }
    let block = file.read_at(0, BLOCK).await?;
    let found = decode(&block);
    // Whoever wrote it may have been killed before it was durable, or may have been told by a failed
    // sync that it never will be: what is read is not yet what a power failure leaves. Data that
    // relies on it must not outlive it, so the same bytes are written again.
    if found.is_some() {
        file.write_at(&block.freeze(), 0..BLOCK, 0).await?;
    }
    file.sync_all().await?;
    file.close().await?;
    shard.storage().sync_dir("").await?;
    Ok(found)
}

async fn write(shard: &Shard, identity: &Identity) -> io::Result<()> {
    let options = OpenOptions { write: true, create: true, dsync: false };
    let file = shard.storage().open(FILE, options).await?;
    let mut block = shard.buffer(BLOCK);
    encode(identity, &mut block);
    file.write_at(&block.freeze(), 0..BLOCK, 0).await?;
    file.sync_all().await?;
    file.close().await?;
    shard.storage().sync_dir("").await
}

fn encode(identity: &Identity, block: &mut [u8]) {
    let name = identity.cluster.as_bytes();
    assert!(name.len() <= CLUSTER_NAME_BYTES_MAX, "the configuration limits the cluster's name");
    block.fill(0);
    block[..8].copy_from_slice(MAGIC);
    block[12..16].copy_from_slice(&identity.node.to_le_bytes());
    block[16..24].copy_from_slice(&identity.incarnation.to_le_bytes());
    block[24..26].copy_from_slice(&(name.len() as u16).to_le_bytes());
    block[NAME_AT..NAME_AT + name.len()].copy_from_slice(name);
    let crc = crc32fast::hash(&block[BODY_AT..]);
    block[CRC_AT..BODY_AT].copy_from_slice(&crc.to_le_bytes());
}

/// The identity in a block; none if it is damaged.
pub fn decode(block: &[u8]) -> Option<Identity> {
    let crc = u32::from_le_bytes(block.get(CRC_AT..BODY_AT)?.try_into().ok()?);
    if block.get(..8)? != MAGIC || crc32fast::hash(block.get(BODY_AT..)?) != crc {
        return None;
    }
    let length = usize::from(u16::from_le_bytes(block.get(24..26)?.try_into().ok()?));
    Some(Identity {
        node: u32::from_le_bytes(block.get(12..16)?.try_into().ok()?),
        incarnation: u64::from_le_bytes(block.get(16..24)?.try_into().ok()?),
        cluster: core::str::from_utf8(block.get(NAME_AT..NAME_AT + length)?).ok()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Identity, Vec<u8>) {
        let identity = Identity { cluster: "orders".into(), node: 3, incarnation: 0x0102_0304 };
        let mut block = vec![0xff; BLOCK];
        encode(&identity, &mut block);
        (identity, block)
    }

    #[test]
    fn block_comes_back_as_it_was() {
        let (identity, block) = sample();
        assert_eq!(decode(&block), Some(identity));
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_seen() {
        let (_, block) = sample();
        for at in 0..64 {
            let mut damaged = block.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            assert_eq!(decode(&damaged), None, "bit {at}");
        }
        for bit in (64..BLOCK * 8).step_by(7) {
            let mut damaged = block.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged), None, "bit {bit}");
        }
        for length in 0..BLOCK {
            assert_eq!(decode(&block[..length]), None, "cut at {length}");
        }
    }
}
