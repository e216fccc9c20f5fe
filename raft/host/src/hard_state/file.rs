//! The hard state's file: made once, changed in place.

use planted::{Bug, is_on};
use runtime::{DirectFile, OpenOptions, Shard, SharedBuffer};

use super::slot::{SavedState, SlotFault, newest, write_slot};
use crate::error::{GroupError, during};
use crate::log::segment::{BLOCK, Identity};

/// The open file of a group's hard state.
pub struct HardStateFile {
    shard: Shard,
    file: DirectFile,
    path: String,
    identity: Identity,
    state: SavedState,
    sequence: u64,
    /// The slot to write first: not the only one that holds the state.
    first_slot: usize,
}

impl HardStateFile {
    /// Makes the file in `dir` with `state` in both slots. It gets its name when it is durable, so
    /// that a file of this name is never half made.
    pub async fn create(
        shard: &Shard,
        dir: &str,
        name: &str,
        identity: Identity,
        state: SavedState,
    ) -> Result<HardStateFile, GroupError> {
        let storage = shard.storage();
        let (path, unfinished) = (format!("{dir}/{name}"), format!("{dir}/{name}.new"));
        let at = during("create", &unfinished);
        if storage.exists(&unfinished).await.map_err(&at)? {
            storage.remove_file(&unfinished).await.map_err(&at)?;
        }
        let options = OpenOptions { write: true, create: true, dsync: false };
        let file = storage.open(&unfinished, options).await.map_err(&at)?;
        file.write_at(&slots(shard, identity, 1, &state), 0..2 * BLOCK, 0).await.map_err(&at)?;
        file.sync_all().await.map_err(&at)?;
        file.close().await.map_err(&at)?;
        storage.rename(&unfinished, &path).await.map_err(&at)?;
        storage.sync_dir(dir).await.map_err(&at)?;
        let (opened, _) = HardStateFile::open(shard, dir, name, identity).await?;
        Ok(opened)
    }

    /// Opens the file and makes both slots equal again. Reports a slot that was damaged; after a
    /// crash during a change that is expected.
    pub async fn open(
        shard: &Shard,
        dir: &str,
        name: &str,
        identity: Identity,
    ) -> Result<(HardStateFile, Option<(usize, SlotFault)>), GroupError> {
        let path = format!("{dir}/{name}");
        let at = during("open", &path);
        let dsync = !is_on(Bug::HardStateVolatile);
        let options = OpenOptions { write: true, create: false, dsync };
        let file = shard.storage().open(&path, options).await.map_err(&at)?;
        let bytes = file.read_at(0, 2 * BLOCK).await.map_err(&at)?;
        let found = newest(identity, &bytes).map_err(|fault| GroupError::Damaged {
            path: path.clone(),
            offset: 0,
            index: None,
            what: fault.to_string(),
        })?;
        let mut opened = HardStateFile {
            shard: shard.clone(),
            file,
            path,
            identity,
            state: found.state,
            sequence: found.sequence,
            first_slot: found.first_slot,
        };
        if !found.is_mirrored {
            opened.store(found.state).await?;
        }
        Ok((opened, found.damaged))
    }

    /// What was stored last.
    pub fn state(&self) -> &SavedState {
        &self.state
    }

    /// Makes `state` durable. After an error nothing may be stored any more: the group has failed.
    pub async fn store(&mut self, state: SavedState) -> Result<(), GroupError> {
        let (old, new) = (&self.state.hard_state, &state.hard_state);
        assert!(new.term >= old.term, "a term never goes back");
        assert!(
            new.term > old.term || old.vote.is_none() || new.vote == old.vote,
            "a vote is never changed within its term"
        );
        let sequence = self.sequence + 1;
        let slots = slots(&self.shard, self.identity, sequence, &state);
        if is_on(Bug::HardStateInOneSlot) {
            self.first_slot = 1 - self.first_slot;
        }
        let slots_written = if is_on(Bug::HardStateInOneSlot) { 1 } else { 2 };
        for slot in [self.first_slot, 1 - self.first_slot].into_iter().take(slots_written) {
            let start = slot * BLOCK;
            self.file
                .write_at(&slots, start..start + BLOCK, start as u64)
                .await
                .map_err(during("write", &self.path))?;
        }
        self.sequence = sequence;
        self.state = state;
        Ok(())
    }

    /// Closes the file.
    pub async fn close(self) -> Result<(), GroupError> {
        self.file.close().await.map_err(during("close", &self.path))
    }
}

fn slots(shard: &Shard, identity: Identity, sequence: u64, state: &SavedState) -> SharedBuffer {
    let mut buffer = shard.buffer(2 * BLOCK);
    for (slot, block) in buffer.chunks_mut(BLOCK).enumerate() {
        write_slot(identity, slot, sequence, state, block);
    }
    buffer.freeze()
}
