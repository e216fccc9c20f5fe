//! Writes that came while leadership was being handed over. They wait until it is known who leads and
//! are then taken, or sent on to the new leader, so that a planned hand-over fails no request.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use raft_core::GroupId;
use raft_host::{Group, Refusal};
use wire::ProcessId;

use crate::caller::Caller;
use crate::machine::KvStateMachine;
use crate::mail::ForeignRequest;
use crate::refusal::refuse;
use crate::requests::Requests;

/// A hand-over takes less, or fails.
const HELD_MAX: Duration = Duration::from_secs(2);

/// The writes that wait, for each group; one fiber waits for all of a group.
#[derive(Default)]
pub struct Held(RefCell<BTreeMap<GroupId, Vec<ForeignRequest>>>);

impl Requests {
    /// Keeps a write until the hand-over has ended.
    pub(crate) fn hold(
        self: &Rc<Self>,
        caller: Caller,
        process: ProcessId,
        group: &Group<KvStateMachine>,
        body: &[u8],
    ) {
        let mut held = self.held.0.borrow_mut();
        let is_first = !held.contains_key(&group.id());
        let waiting = held.entry(group.id()).or_default();
        if waiting.len() >= self.plan.config.raft.pending_tasks_max as usize {
            let now = self.shard.clock().now();
            return refuse(&self.replies, &caller, now, Refusal::FlowControl);
        }
        waiting.push(ForeignRequest { caller, process, body: body.to_vec() });
        drop(held);
        if is_first {
            let (requests, group) = (self.clone(), group.clone());
            self.shard.fibers().spawn_daemon("held writes", async move {
                let clock = requests.shard.clock();
                // Whatever has come of it: the writes are tried again.
                let _ = clock.timeout(HELD_MAX, group.settled()).await;
                requests.release(&group);
            });
        }
    }

    /// Tries the held writes of a group again.
    fn release(self: &Rc<Self>, group: &Group<KvStateMachine>) {
        let held = self.held.0.borrow_mut().remove(&group.id());
        let now = self.shard.clock().now();
        for request in held.unwrap_or_default() {
            match now <= request.caller.deadline {
                true => {
                    let ForeignRequest { caller, process, body } = &request;
                    self.propose(*caller, *process, group, body, now);
                }
                false => self.replies.drop_request(&request.caller),
            }
        }
        self.replies.flush();
    }
}
