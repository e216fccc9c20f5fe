//! A watch to await.

use std::future::poll_fn;

use client_core::{Error, KeyState, WatchId, WatchUpdate};

use super::driven::Driven;

/// A key that this client watches, until this is dropped.
pub struct Watch<C: Driven> {
    client: C,
    id: WatchId,
}

impl<C: Driven> Drop for Watch<C> {
    fn drop(&mut self) {
        self.client.act(|core, notices, now| {
            core.unwatch(self.id, now);
            notices.close_watch(self.id);
        });
    }
}

impl<C: Driven> Watch<C> {
    pub(crate) fn start(client: &C, key: &[u8], known: u64) -> Result<Watch<C>, Error> {
        let id = client.act(|core, notices, now| {
            let id = core.watch(key, known, now)?;
            notices.open_watch(id);
            Ok::<WatchId, Error>(id)
        })?;
        Ok(Watch { client: client.clone(), id })
    }

    /// Waits for a newer state and its index; states in between are left out. After an error
    /// nothing comes any more.
    pub async fn next(&mut self) -> Result<(u64, KeyState), Error> {
        let id = self.id;
        match poll_fn(|context| self.client.with_notices(|all| all.poll_update(id, context))).await
        {
            WatchUpdate::State { raft_index, state } => Ok((raft_index, state)),
            WatchUpdate::Ended(error) => Err(error),
        }
    }
}
