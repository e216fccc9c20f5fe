//! The two clocks of a node: how they follow the world's time, and the shard's handle to them.

use std::rc::Rc;

use moment::{Moment, WallTime};

use super::kernel::Kernel;
use super::node::NodeKey;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A node's clocks as functions of the world's time.
///
/// The monotonic one is piecewise linear and never goes back. The wall clock is the monotonic one
/// plus an offset that may jump.
#[derive(Clone, Debug)]
pub(crate) struct NodeClock {
    /// World time and local time at the last change of the rate.
    world_base: Moment,
    local_base: Moment,
    /// Local nanoseconds a second of world time; never 0.
    rate: u64,
    wall_offset_ms: i64,
}

impl NodeClock {
    /// A clock that shows `local` at the world's start and runs at the world's rate.
    pub(crate) fn new(local: Moment, wall: WallTime) -> NodeClock {
        let wall_offset_ms = signed(wall.as_millis()) - signed(local.as_nanos() / 1_000_000);
        NodeClock {
            world_base: Moment::ZERO,
            local_base: local,
            rate: NANOS_PER_SECOND,
            wall_offset_ms,
        }
    }

    /// What the monotonic clock shows at `world`.
    pub(crate) fn local(&self, world: Moment) -> Moment {
        let passed = world.as_nanos().saturating_sub(self.world_base.as_nanos());
        let scaled = u128::from(passed) * u128::from(self.rate) / u128::from(NANOS_PER_SECOND);
        self.local_base.after_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
    }

    /// The first world time at which the monotonic clock shows `local` or more.
    pub(crate) fn world(&self, local: Moment) -> Moment {
        let passed = local.as_nanos().saturating_sub(self.local_base.as_nanos());
        let scaled =
            (u128::from(passed) * u128::from(NANOS_PER_SECOND)).div_ceil(u128::from(self.rate));
        self.world_base.after_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
    }

    /// What the wall clock shows at `world`.
    pub(crate) fn wall(&self, world: Moment) -> WallTime {
        let local_ms = signed(self.local(world).as_nanos() / 1_000_000);
        WallTime::from_millis(local_ms.saturating_add(self.wall_offset_ms).max(0).unsigned_abs())
    }

    /// From `world` on the clock gains `drift_ppm` microseconds a second (loses, when negative).
    pub(crate) fn set_drift(&mut self, world: Moment, drift_ppm: i64) {
        self.local_base = self.local(world);
        self.world_base = world;
        let rate = signed(NANOS_PER_SECOND).saturating_add(drift_ppm.saturating_mul(1_000));
        self.rate = rate.max(1).unsigned_abs();
    }

    /// The monotonic clock starts anew at `local`, as after a boot; the wall clock goes on.
    pub(crate) fn reboot(&mut self, world: Moment, local: Moment) {
        let passed_ms = signed(self.local(world).as_nanos() / 1_000_000);
        self.wall_offset_ms += passed_ms - signed(local.as_nanos() / 1_000_000);
        self.local_base = local;
        self.world_base = world;
    }

    /// Moves the wall clock by this much, either way.
    pub(crate) fn jump_wall(&mut self, milliseconds: i64) {
        self.wall_offset_ms = self.wall_offset_ms.saturating_add(milliseconds);
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A shard's handle to the clocks of its node.
#[derive(Clone)]
pub(crate) struct SimClock {
    kernel: Rc<Kernel>,
    node: NodeKey,
}

impl SimClock {
    pub(crate) fn new(kernel: Rc<Kernel>, node: NodeKey) -> SimClock {
        SimClock { kernel, node }
    }

    pub(crate) fn now(&self) -> Moment {
        self.kernel.local_time(self.node)
    }

    pub(crate) fn wall(&self) -> WallTime {
        self.kernel.wall_time(self.node)
    }

    pub(crate) async fn sleep_until(&self, moment: Moment) {
        self.kernel.sleep_until(self.node, moment).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn world_is_the_first_time_that_shows_local() {
        let mut clock = NodeClock::new(Moment::from_nanos(77), WallTime::from_millis(1_000));
        for drift in [0, 200, -200, 100_000, -900_000] {
            clock.set_drift(Moment::from_nanos(1_000_003), drift);
            for nanos in [0, 1, 999, 1_000_003, 123_456_789_012] {
                let local = clock.local(Moment::from_nanos(1_000_003)).after_nanos(nanos);
                let world = clock.world(local);
                assert!(clock.local(world) >= local, "{drift} {nanos}");
                if nanos > 0 {
                    assert!(clock.local(world - Duration::from_nanos(1)) < local);
                }
            }
        }
    }

    #[test]
    fn a_change_of_the_rate_does_not_jump() {
        let mut clock = NodeClock::new(Moment::ZERO, WallTime::from_millis(5_000));
        let second = Moment::from_nanos(NANOS_PER_SECOND);
        clock.set_drift(second, 500_000);
        assert_eq!(clock.local(second), second);
        assert_eq!(clock.local(second + Duration::from_secs(2)), second + Duration::from_secs(3));
        assert_eq!(clock.wall(second).as_millis(), 6_000);
        clock.jump_wall(-2_500);
        assert_eq!(clock.wall(second).as_millis(), 3_500);
        clock.reboot(second, Moment::from_nanos(5));
        assert_eq!(clock.wall(second).as_millis(), 3_500);
        assert_eq!(clock.local(second), Moment::from_nanos(5));
    }
}
