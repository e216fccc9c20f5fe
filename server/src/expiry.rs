//! Removal of what has expired: the leader proposes it, the entry does it.
//!
//! One fiber a group sleeps until the earliest countdown is over, proposes a round of expiries, and
//! waits until all of the round have been applied or refused. What is due then and still there is the
//! next round. So nothing is proposed twice, a storm of countdowns takes turns with the clients'
//! requests, and whatever was refused or lost comes up again by itself. An expiry that reaches the
//! log twice, or after its countdown was restarted, does nothing: it names the entry that started
//! the countdown.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use kv_api::{OperationKind, Owner, Payload, encode_expire};
use planted::{Bug, is_on};
use raft_host::{Group, Refusal};
use runtime::{Clock, Signal, race};
use wire::Writer;

use crate::caller::Origin;
use crate::machine::KvStateMachine;
use crate::news::News;

/// Expiries under way at the same time.
const ROUND_MAX: usize = 1000;
/// How long a refused round waits. On a follower the leader's expiries come long before.
const RETRY_DELAY: Duration = Duration::from_millis(10);
/// The longest sleep: the time of entries goes at its own rate.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Where the state machine and the fiber of its group meet.
#[derive(Default)]
pub struct ExpiryDesk {
    /// Expiries that were proposed and neither applied nor refused.
    under_way: Cell<usize>,
    /// The deadline that the fiber sleeps for; 0 while it does not look for an earlier one.
    awaited_ms: Cell<u64>,
    /// The round is over, or there is an earlier deadline.
    wake: Signal,
}

impl ExpiryDesk {
    /// An expiry was applied, or refused after it had been taken.
    pub fn settled(&self) {
        let left = self.under_way.get() - 1;
        self.under_way.set(left);
        if left == 0 {
            self.wake.set();
        }
    }

    /// The earliest deadline may have changed.
    #[inline]
    pub fn next_deadline(&self, deadline_ms: Option<u64>) {
        if deadline_ms.is_some_and(|deadline_ms| deadline_ms < self.awaited_ms.get()) {
            self.wake.set();
        }
    }
}

/// Removes what expires in a group, as long as this node leads it and the group accepts proposals.
pub async fn expire(group: Group<KvStateMachine>, clock: Clock, news: Rc<News>) {
    let desk = &news.expiry;
    let mut body = Vec::new();
    loop {
        sleep_until_due(&group, &clock, desk).await;
        let refusal = propose_round(&group, desk, &mut body);
        while desk.under_way.get() > 0 {
            desk.wake.wait().await;
        }
        match refusal {
            None => {}
            Some(Refusal::Stopping | Refusal::Failed) => return,
            Some(_) => clock.sleep(RETRY_DELAY).await,
        }
    }
}

async fn sleep_until_due(group: &Group<KvStateMachine>, clock: &Clock, desk: &ExpiryDesk) {
    loop {
        let next = group.with_machine(|machine| machine.tree().next_expiry());
        let now_ms = group.time_ms();
        let wait = match next {
            Some(deadline_ms) if deadline_ms + late_ms() < now_ms + early_ms() => return,
            Some(deadline_ms) => Duration::from_millis(deadline_ms + late_ms() + 1 - now_ms),
            None => SLEEP_MAX,
        };
        desk.awaited_ms.set(next.unwrap_or(u64::MAX));
        race(desk.wake.wait(), clock.sleep(wait.min(SLEEP_MAX))).await;
        desk.awaited_ms.set(0);
    }
}

/// How much too late things expire when that is planted.
fn late_ms() -> u64 {
    if is_on(Bug::ExpiryLate) { 3_000 } else { 0 }
}

/// How much too early things expire when that is planted.
fn early_ms() -> u64 {
    if is_on(Bug::ExpiryEarly) { 500 } else { 0 }
}

/// Proposes what is due until the round is full or one is refused.
fn propose_round(
    group: &Group<KvStateMachine>,
    desk: &ExpiryDesk,
    body: &mut Vec<u8>,
) -> Option<Refusal> {
    // No expiry carries a time before it was due.
    group.advance_time();
    group.with_machine(|machine| {
        // The time of an entry has lost its fraction: only the following millisecond is late enough.
        let over_ms = (group.time_ms() + early_ms()).saturating_sub(1 + late_ms());
        for expired in machine.tree().due(over_ms).take(ROUND_MAX) {
            body.clear();
            encode_expire(&mut Writer::new(body), expired.key, expired.ttl_index);
            let (head, length) = Payload::new(OperationKind::Expire, Owner::default(), body).head();
            if let Err((_, refusal)) = group.propose([&head[..length], body], Origin::Expiry) {
                return Some(refusal);
            }
            desk.under_way.set(desk.under_way.get() + 1);
        }
        None
    })
}
