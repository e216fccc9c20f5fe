//! Fibers that wait for a time of their node's clock.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use moment::Moment;

use super::arena::{Arena, Key};
use super::kernel::Kernel;
use super::node::NodeKey;

/// A wait that has not ended.
pub(crate) struct Timer {
    pub(crate) node: NodeKey,
    /// On the node's monotonic clock.
    pub(crate) deadline: Moment,
    pub(crate) waker: Waker,
}

pub(crate) type Timers = Arena<Timer>;

/// Ready once the node's clock shows the deadline.
pub(crate) struct Sleep<'a> {
    kernel: &'a Kernel,
    node: NodeKey,
    deadline: Moment,
    key: Option<Key>,
}

impl<'a> Sleep<'a> {
    pub(crate) fn new(kernel: &'a Kernel, node: NodeKey, deadline: Moment) -> Sleep<'a> {
        Sleep { kernel, node, deadline, key: None }
    }
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.kernel.local_time(self.node) >= self.deadline {
            return Poll::Ready(());
        }
        if let Some(key) = self.key
            && self.kernel.renew_timer(key, context.waker())
        {
            return Poll::Pending;
        }
        let waker = context.waker().clone();
        let timer = Timer { node: self.node, deadline: self.deadline, waker };
        self.key = Some(self.kernel.add_timer(timer));
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.kernel.cancel_timer(key);
        }
    }
}
