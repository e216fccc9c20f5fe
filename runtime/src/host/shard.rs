//! Fibers as tasks of the executor.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::host::HostBuffer;

/// The executor that runs this thread.
#[derive(Clone)]
pub(crate) struct HostShard;

impl HostShard {
    pub(crate) fn spawn(&self, task: Pin<Box<dyn Future<Output = ()>>>) {
        glommio::spawn_local(Deferred { task, started: false }).detach();
    }

    /// The executor looks at its rings only when no task is runnable, so a fiber that wants that
    /// has to wait for something that takes time. Yielding would keep it runnable.
    pub(crate) async fn pass(&self) {
        glommio::timer::sleep(Duration::from_micros(1)).await;
    }

    pub(crate) fn buffer(&self, len: usize) -> HostBuffer {
        HostBuffer::new(len)
    }
}

/// The executor polls a new task inside of the call that spawns it. Fibers start later, so that
/// the spawning code may hold a borrow, as it may in the simulation.
struct Deferred {
    task: Pin<Box<dyn Future<Output = ()>>>,
    started: bool,
}

impl Future for Deferred {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.started {
            return self.task.as_mut().poll(context);
        }
        self.started = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
