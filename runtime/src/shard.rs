//! A shard: one executor and the handle to everything its fibers may use.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use crate::buffer::Buffer;
use crate::fiber::{FiberGroup, Spawner};
use crate::stop::StopHandle;
use crate::{Clock, Network, Random, Storage, host, sim};

/// Number of a shard within its node, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardId(pub u16);

/// Handle to a shard; it and all that comes from it stays on the shard's thread.
#[derive(Clone)]
pub struct Shard(Rc<State>);

struct State {
    id: ShardId,
    spawner: Spawner,
    fibers: FiberGroup,
    clock: Clock,
    random: Random,
    storage: Storage,
    network: Network,
    stop: StopHandle,
}

/// What a backend hands over to make a [`Shard`].
pub(crate) struct Parts {
    pub(crate) id: ShardId,
    pub(crate) backend: Backend,
    pub(crate) clock: Clock,
    /// Seed of the shard's random numbers.
    pub(crate) seed: u64,
    pub(crate) storage: Storage,
    pub(crate) network: Network,
    pub(crate) stop: StopHandle,
}

/// What runs fibers.
#[derive(Clone)]
pub(crate) enum Backend {
    Host(host::HostShard),
    Sim(sim::SimShard),
}

impl Shard {
    pub(crate) fn new(parts: Parts) -> Shard {
        let spawner = Spawner::new(parts.backend);
        Shard(Rc::new(State {
            id: parts.id,
            fibers: FiberGroup::with_spawner(spawner.clone(), "root"),
            spawner,
            clock: parts.clock,
            random: Random::seeded(parts.seed),
            storage: parts.storage,
            network: parts.network,
            stop: parts.stop,
        }))
    }

    pub(crate) fn spawner(&self) -> &Spawner {
        &self.0.spawner
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.0.spawner.backend
    }

    /// This shard's number.
    pub fn id(&self) -> ShardId {
        self.0.id
    }

    /// The shard's clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The shard's source of random numbers.
    pub fn random(&self) -> &Random {
        &self.0.random
    }

    /// Files below the node's data directory.
    pub fn storage(&self) -> &Storage {
        &self.0.storage
    }

    /// Listeners and streams.
    pub fn network(&self) -> &Network {
        &self.0.network
    }

    /// The shard's root group, stopped and joined when `main` returns.
    pub fn fibers(&self) -> &FiberGroup {
        &self.0.fibers
    }

    /// A buffer of `len` bytes that starts on a 4096-byte boundary.
    ///
    /// Its contents are unspecified: whoever writes it to a file fills all of it.
    pub fn buffer(&self, len: usize) -> Buffer {
        match self.backend() {
            Backend::Host(shard) => Buffer::from_host(shard.buffer(len)),
            Backend::Sim(shard) => Buffer::from_plain(shard.buffer(len)),
        }
    }

    /// Lets the reactor do one pass over all I/O before the fiber goes on.
    ///
    /// A fiber that can work for long without waiting calls this every 200 µs or so.
    pub async fn pass(&self) {
        match self.backend() {
            Backend::Host(shard) => shard.pass().await,
            Backend::Sim(shard) => shard.pass().await,
        }
    }

    /// True once the node was asked to stop.
    pub fn is_stopping(&self) -> bool {
        self.0.stop.is_stopped()
    }

    /// Resolves when the node is asked to stop.
    pub async fn stopping(&self) {
        self.0.stop.stopped().await;
    }

    /// Asks the whole node to stop.
    pub fn stop_node(&self) {
        self.0.stop.stop();
    }
}

impl Backend {
    pub(crate) fn spawn(&self, name: &'static str, task: Pin<Box<dyn Future<Output = ()>>>) {
        match self {
            Backend::Host(shard) => shard.spawn(task),
            Backend::Sim(shard) => shard.spawn(name, task),
        }
    }
}
