//! How a world is made.

use std::time::Duration;

use moment::WallTime;

use super::disk::DiskOptions;
use super::network::NetworkOptions;
use super::scheduler::FiberOrder;

/// Everything a world starts with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorldOptions {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// World time that a poll of a fiber takes, so that a loop which never waits sees time pass.
    pub poll_cost: Duration,
    /// Polls without a timer, disk or network event after which the run fails.
    pub spin_limit: u64,
    /// The order of ready fibers inside a shard.
    pub fiber_order: FiberOrder,
    /// Whether choices are kept for [`World::recording`](super::World::recording); eight bytes each.
    pub is_recording: bool,
    /// What wall clocks show at the start.
    pub wall: WallTime,
    /// Disks of new nodes.
    pub disk: DiskOptions,
    /// The network.
    pub network: NetworkOptions,
}

impl WorldOptions {
    /// Ordinary options with this seed.
    pub fn new(seed: u64) -> WorldOptions {
        WorldOptions { seed, ..WorldOptions::default() }
    }
}

impl Default for WorldOptions {
    fn default() -> WorldOptions {
        WorldOptions {
            seed: 0,
            poll_cost: Duration::from_micros(1),
            spin_limit: 2_000_000,
            fiber_order: FiberOrder::Fifo,
            is_recording: true,
            wall: WallTime::from_millis(1_800_000_000_000),
            disk: DiskOptions::default(),
            network: NetworkOptions::default(),
        }
    }
}
