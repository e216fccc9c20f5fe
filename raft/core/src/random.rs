//! A sequence of numbers that looks random and repeats from its seed.

use core::time::Duration;

/// SplitMix64; spreads election timeouts, protects nothing.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From one to two times `least`.
    pub(crate) fn up_to_twice(&mut self, least: Duration) -> Duration {
        let nanos = u64::try_from(least.as_nanos()).unwrap_or(u64::MAX / 2);
        least + Duration::from_nanos(self.next() % nanos.max(1))
    }
}
