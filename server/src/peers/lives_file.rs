//! The file `lives`: two slots, written in turn, so that one of them is always whole.

use std::io;

use runtime::{DirectFile, OpenOptions, Shard};

use super::lives::{Lives, SLOT_BYTES};
use crate::identity::{Identity, holds_data};

/// Name of the file below the data directory.
const FILE: &str = "lives";

/// The open file. A failed write leaves what was durable before.
pub struct LivesFile {
    shard: Shard,
    file: DirectFile,
    owner: Identity,
    sequence: u64,
}

/// Why it cannot be used.
#[derive(Debug)]
pub enum LivesError {
    /// The system said so.
    Io(io::Error),
    /// It is damaged, missing beside data, or another node's.
    Damaged,
}

impl From<io::Error> for LivesError {
    fn from(error: io::Error) -> LivesError {
        LivesError::Io(error)
    }
}

impl LivesFile {
    /// Opens the file of a data directory, or makes it while there is no data that relies on it.
    pub async fn open_or_create(
        shard: &Shard,
        owner: &Identity,
    ) -> Result<(LivesFile, Lives), LivesError> {
        let exists = shard.storage().exists(FILE).await?;
        if exists && let Some(opened) = open(shard, owner).await? {
            return Ok(opened);
        }
        if holds_data(shard).await? {
            return Err(LivesError::Damaged);
        }
        if exists {
            shard.storage().remove_file(FILE).await?;
        }
        let options = OpenOptions { write: true, create: true, dsync: false };
        let file = shard.storage().open(FILE, options).await?;
        let mut made = LivesFile { shard: shard.clone(), file, owner: owner.clone(), sequence: 0 };
        let lives = Lives::default();
        made.write_slot(&lives).await?;
        made.write_slot(&lives).await?;
        made.file.sync_all().await?;
        shard.storage().sync_dir("").await?;
        Ok((made, lives))
    }

    /// Makes a newer state durable.
    pub async fn write(&mut self, lives: &Lives) -> io::Result<()> {
        self.write_slot(lives).await?;
        self.file.sync_data().await
    }

    async fn write_slot(&mut self, lives: &Lives) -> io::Result<()> {
        self.sequence += 1;
        let mut slot = self.shard.buffer(SLOT_BYTES);
        lives.encode(&self.owner, self.sequence, &mut slot);
        let offset = self.sequence % 2 * SLOT_BYTES as u64;
        self.file.write_at(&slot.freeze(), 0..SLOT_BYTES, offset).await
    }
}

/// What the file holds; `None` when nothing of it is whole.
async fn open(shard: &Shard, owner: &Identity) -> Result<Option<(LivesFile, Lives)>, LivesError> {
    let options = OpenOptions { write: true, create: false, dsync: false };
    let file = shard.storage().open(FILE, options).await?;
    if file.len() < 2 * SLOT_BYTES as u64 {
        file.close().await?;
        return Ok(None);
    }
    let mut newest: Option<(u64, Lives)> = None;
    for slot in 0..2 {
        let bytes = file.read_at(slot * SLOT_BYTES as u64, SLOT_BYTES).await?;
        if let Some(found) = Lives::decode(owner, &bytes)
            && newest.as_ref().is_none_or(|best| best.0 < found.0)
        {
            newest = Some(found);
        }
    }
    let Some((sequence, lives)) = newest else {
        file.close().await?;
        return Ok(None);
    };
    let mut opened = LivesFile { shard: shard.clone(), file, owner: owner.clone(), sequence };
    // Whoever wrote it may have been killed before it was durable, or may have been told by a failed
    // sync that it never will be: what was read is written again before anything relies on it.
    opened.write_slot(&lives).await?;
    opened.file.sync_all().await?;
    shard.storage().sync_dir("").await?;
    Ok(Some((opened, lives)))
}
