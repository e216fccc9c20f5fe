//! A shard of a simulated node.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use super::kernel::Kernel;
use super::scheduler::LaneId;
use crate::buffer::PlainMemory;

/// Filled into fresh buffers, so that code which leans on zeros is found.
const FRESH_MEMORY: u8 = 0xa5;

#[derive(Clone)]
pub(crate) struct SimShard {
    kernel: Rc<Kernel>,
    lane: LaneId,
}

impl SimShard {
    pub(crate) fn new(kernel: Rc<Kernel>, lane: LaneId) -> SimShard {
        SimShard { kernel, lane }
    }

    pub(crate) fn kernel(&self) -> &Rc<Kernel> {
        &self.kernel
    }

    pub(crate) fn spawn(&self, name: &'static str, task: Pin<Box<dyn Future<Output = ()>>>) {
        self.kernel.spawn(self.lane, name, task);
    }

    /// Goes behind all ready fibers of the shard; events that are due happen meanwhile.
    pub(crate) async fn pass(&self) {
        let mut has_waited = false;
        poll_fn(|context| {
            if has_waited {
                return Poll::Ready(());
            }
            has_waited = true;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    pub(crate) fn buffer(&self, len: usize) -> PlainMemory {
        PlainMemory::filled(len, FRESH_MEMORY)
    }
}
