//! Random numbers: seeded by the operating system in production, by the tape in a simulation.

use std::cell::Cell;

/// A source of random numbers of one shard (xoshiro256++); not for secrets.
pub struct Random(Cell<[u64; 4]>);

impl Random {
    /// A source that repeats the same numbers for the same seed.
    pub(crate) fn seeded(seed: u64) -> Random {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        Random(Cell::new([next(), next(), next(), next()]))
    }

    /// The next number, all 64 bits random.
    pub fn next_u64(&self) -> u64 {
        let [mut a, mut b, mut c, mut d] = self.0.get();
        let output = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let shifted = b << 17;
        c ^= a;
        d ^= b;
        b ^= c;
        a ^= d;
        c ^= shifted;
        d = d.rotate_left(45);
        self.0.set([a, b, c, d]);
        output
    }

    /// A number in `0..bound`; 0 when `bound` is 0. The bias is below `bound / 2^64`.
    pub fn below(&self, bound: u64) -> u64 {
        let product = u128::from(self.next_u64()) * u128::from(bound);
        // The upper half of a product of two 64-bit numbers fits.
        (product >> 64) as u64
    }

    /// Fills `bytes` with random bytes.
    pub fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_numbers() {
        let (one, two) = (Random::seeded(7), Random::seeded(7));
        for _ in 0..100 {
            assert_eq!(one.next_u64(), two.next_u64());
        }
        assert_ne!(Random::seeded(7).next_u64(), Random::seeded(8).next_u64());
    }

    #[test]
    fn below_stays_below_and_reaches_all() {
        let random = Random::seeded(1);
        let mut seen = [0u32; 6];
        for _ in 0..6_000 {
            seen[random.below(6) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn fill_covers_odd_lengths() {
        let random = Random::seeded(3);
        for len in 0..40 {
            let mut bytes = vec![0u8; len];
            random.fill(&mut bytes);
            assert!(len < 12 || bytes.iter().any(|byte| *byte != 0));
        }
    }
}
