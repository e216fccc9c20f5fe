//! The fiber runtime: one pinned executor a core, and everything a fiber may touch.
//!
//! All types here are concrete. Each of them holds a small enum, chosen at start: the production
//! backend (`host`, io_uring through glommio, the only files that name it) or the simulated one
//! ([`sim`]). Code written over this crate runs on both without a change and without a generic
//! parameter.
//!
//! What a fiber may rely on, on both backends:
//! - A fiber runs for the first time after the spawning code's next await, never inside `spawn`.
//! - Between two awaits nothing else runs on the shard, so `Rc` and `RefCell` are enough.
//! - Wakers may be woken from any thread; that is how [`mailbox`] and [`StopHandle`] work.
//! - A write that was started is never taken back by dropping its future.
//! - A panic in a fiber ends the whole node with a cause.
//!
//! What it deliberately does not do: files through the page cache, datagrams, name resolution,
//! thread pools, task priorities.

mod boot;
mod buffer;
mod channel;
mod clock;
mod condition;
mod fiber;
mod file;
mod host;
mod mesh;
mod oneshot;
mod probe;
mod race;
mod random;
mod shard;
pub mod sim;
mod stop;
mod stream;

pub use boot::{BootError, BootPlan, ShardPlacement, boot};
pub use buffer::{BLOCK, Buffer, SharedBuffer};
pub use channel::{Receiver, Rejected, Sender, channel};
pub use clock::Clock;
pub use condition::{Condition, Signal};
pub use fiber::{Fiber, FiberGroup};
pub use file::{DirectFile, OpenOptions, Storage};
pub use mesh::{Closed, MailReceiver, MailSender, mailbox};
pub use moment::{Moment, WallTime};
pub use oneshot::{OneReceiver, OneSender, oneshot};
pub use probe::{DirLock, ProbeError, Problem, lock_data_dir, probe};
pub use race::{Either, race};
pub use random::Random;
pub use shard::{Shard, ShardId};
pub use stop::StopHandle;
pub use stream::{DetachedStream, ListenOptions, Listener, Network, ReadHalf, Stream, WriteHalf};
