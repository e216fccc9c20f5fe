//! The file `roster`: written anew with each change, and given its name when it is durable.

use std::io;

use runtime::{BLOCK, OpenOptions, Shard};

use super::amendments::Amendments;
use super::book::Roster;
use crate::config::Config;
use crate::identity::Identity;

/// Name of the file below the data directory. Without it the configuration alone counts.
const FILE: &str = "roster";
/// Name while it is being written.
const NEW_FILE: &str = "roster.new";
/// Longer than any roster that has room.
const BYTES_MAX: u64 = 16 << 20;

/// Writes the roster of one node.
pub struct RosterFile {
    shard: Shard,
    owner: Identity,
}

/// Why it cannot be used.
#[derive(Debug)]
pub enum RosterError {
    /// The system said so.
    Io(io::Error),
    /// It is damaged, or another node's.
    Damaged,
}

impl From<io::Error> for RosterError {
    fn from(error: io::Error) -> RosterError {
        RosterError::Io(error)
    }
}

/// Why a roster was not written.
#[derive(Debug)]
pub enum WriteFailed {
    /// The one before is still there.
    Unchanged(io::Error),
    /// Nobody knows which one a power failure would leave.
    Unknown(io::Error),
}

impl RosterFile {
    /// Reads what was changed since the configuration was written. What it returns is durable.
    pub async fn open(
        shard: &Shard,
        owner: &Identity,
        config: &Config,
    ) -> Result<(RosterFile, Roster), RosterError> {
        let storage = shard.storage();
        if storage.exists(NEW_FILE).await? {
            storage.remove_file(NEW_FILE).await?;
        }
        let file = RosterFile { shard: shard.clone(), owner: owner.clone() };
        if !storage.exists(FILE).await? {
            return Ok((file, Roster::of(config)));
        }
        let (version, amendments) = file.read().await?.ok_or(RosterError::Damaged)?;
        // Whoever renamed it may have been killed before that was durable. What follows from it must
        // not outlive it.
        storage.sync_dir("").await?;
        Ok((file, Roster::amended(config, version, amendments)))
    }

    async fn read(&self) -> io::Result<Option<(u64, Amendments)>> {
        let options = OpenOptions { write: true, create: false, dsync: false };
        let file = self.shard.storage().open(FILE, options).await?;
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < file.len().min(BYTES_MAX) {
            let block = file.read_at(bytes.len() as u64, BLOCK).await?;
            bytes.extend_from_slice(&block);
            if block.len() < BLOCK {
                break;
            }
        }
        file.close().await?;
        Ok(Amendments::decode(&self.owner, &bytes))
    }

    /// Makes a roster durable in place of the one before.
    pub async fn write(&self, roster: &Roster) -> Result<(), WriteFailed> {
        let storage = self.shard.storage();
        self.write_new(roster).await.map_err(WriteFailed::Unchanged)?;
        storage.rename(NEW_FILE, FILE).await.map_err(WriteFailed::Unknown)?;
        storage.sync_dir("").await.map_err(WriteFailed::Unknown)
    }

    async fn write_new(&self, roster: &Roster) -> io::Result<()> {
        let storage = self.shard.storage();
        if storage.exists(NEW_FILE).await? {
            storage.remove_file(NEW_FILE).await?;
        }
        let content = roster.amendments().encode(&self.owner, roster.version());
        let options = OpenOptions { write: true, create: true, dsync: false };
        let file = storage.open(NEW_FILE, options).await?;
        for (number, part) in content.chunks(BLOCK).enumerate() {
            let mut block = self.shard.buffer(BLOCK);
            block.fill(0);
            block[..part.len()].copy_from_slice(part);
            file.write_at(&block.freeze(), 0..BLOCK, (number * BLOCK) as u64).await?;
        }
        file.sync_all().await?;
        file.close().await
    }
}
