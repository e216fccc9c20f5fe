//! A lock to await.

use std::future::poll_fn;
use std::time::Duration;

use client_core::{Error, LockEvent, LockId, LockLoss, LockOptions};

use super::driven::Driven;
use crate::notices::Acquired;

/// A lock that this client has acquired. Its lease is renewed until it is lost or given back;
/// dropping it gives it back without waiting for that.
pub struct Lock<C: Driven> {
    claim: Claim<C>,
    fencing_token: u64,
}

/// Gives the lock, or the place in its queue, back.
struct Claim<C: Driven> {
    client: C,
    id: LockId,
}

impl<C: Driven> Drop for Claim<C> {
    fn drop(&mut self) {
        self.client.act(|core, notices, now| {
            core.unlock(self.id, now);
            notices.close_lock(self.id);
        });
    }
}

impl<C: Driven> Lock<C> {
    pub(crate) async fn acquire(
        client: &C,
        key: &[u8],
        options: LockOptions,
    ) -> Result<Option<Lock<C>>, Error> {
        let id = client.act(|core, notices, now| {
            let id = core.lock(key, options, now)?;
            notices.open_lock(id);
            Ok::<LockId, Error>(id)
        })?;
        let claim = Claim { client: client.clone(), id };
        let acquired = poll_fn(|context| client.with_notices(|all| all.poll_acquired(id, context)));
        match acquired.await {
            Acquired::Yes { fencing_token } => Ok(Some(Lock { claim, fencing_token })),
            Acquired::No(LockEvent::Failed(error)) => Err(error),
            Acquired::No(_) => Ok(None),
        }
    }

    /// Greater than that of every earlier holder of the lock.
    pub fn fencing_token(&self) -> u64 {
        self.fencing_token
    }

    /// How long this client holds the lock for sure, by its own clock, which ends before that of
    /// the server. `None`: it is lost.
    pub fn held_for(&self) -> Option<Duration> {
        let Claim { client, id } = &self.claim;
        let now = client.now();
        let held = client.with_core(|core| core.lock_held_until(*id, now));
        held.map(|until| until.since(now))
    }

    /// Whether this client holds the lock at this moment.
    pub fn is_held(&self) -> bool {
        self.held_for().is_some()
    }

    /// Renews the lease now, which happens on its own unless the options say otherwise.
    pub fn renew(&self) {
        self.claim.client.act(|core, _, now| core.renew_lock(self.claim.id, now));
    }

    /// Waits until the lock is lost. Dropping the future changes nothing.
    pub async fn lost(&mut self) -> LockLoss {
        loop {
            if let LockEvent::Lost(loss) = self.last_event().await {
                return loss;
            }
        }
    }

    /// Gives the lock back, and waits until it is. An error says that the server may keep it until
    /// its lease ends. A lock that was lost needs nothing.
    pub async fn unlock(self) -> Result<(), Error> {
        self.claim.client.act(|core, _, now| core.unlock(self.claim.id, now));
        match self.last_event().await {
            LockEvent::NotReleased(error) => Err(error),
            _ => Ok(()),
        }
    }

    async fn last_event(&self) -> LockEvent {
        let Claim { client, id } = &self.claim;
        poll_fn(|context| client.with_notices(|all| all.poll_last(*id, context))).await
    }
}
