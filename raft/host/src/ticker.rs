//! The fiber that tells consensus the time.

use std::rc::Rc;

use runtime::{Moment, race};

use crate::execute::Shared;
use crate::ports::StateMachine;

/// Ticks until the group ends.
pub(crate) async fn run<M: StateMachine>(group: Rc<Shared<M>>) {
    while !group.has_ended() {
        let clock = group.shard.clock();
        let deadline = group.core.borrow().raft.next_deadline();
        if deadline == Moment::MAX {
            group.tick_work.wait().await;
        } else {
            let _ = race(group.tick_work.wait(), clock.sleep_until(deadline)).await;
        }
        group.core.borrow_mut().raft.tick(clock.now());
        group.drain(&[]);
    }
}
