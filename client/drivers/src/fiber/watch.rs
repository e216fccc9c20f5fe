//! A watch to await.

use std::future::poll_fn;

use client_core::{Error, KeyState, WatchId, WatchUpdate};

use crate::fiber::client::Client;

/// A key that this client watches, until this is dropped.
pub struct Watch {
    client: Client,
    id: WatchId,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.client.driver().act(|core, notices, now| {
            core.unwatch(self.id, now);
            notices.close_watch(self.id);
        });
    }
}

impl Watch {
    pub(super) fn start(client: &Client, key: &[u8], known: u64) -> Result<Watch, Error> {
        let id = client.driver().act(|core, notices, now| {
            let id = core.watch(key, known, now)?;
            notices.open_watch(id);
            Ok::<WatchId, Error>(id)
        })?;
        Ok(Watch { client: client.clone(), id })
    }

    /// Waits for a newer state and its index; states in between are left out. After an error
    /// nothing comes any more.
    pub async fn next(&mut self) -> Result<(u64, KeyState), Error> {
        let (driver, id) = (self.client.driver(), self.id);
        match poll_fn(|context| driver.with_notices(|all| all.poll_update(id, context))).await {
            WatchUpdate::State { raft_index, state } => Ok((raft_index, state)),
            WatchUpdate::Ended(error) => Err(error),
        }
    }
}
