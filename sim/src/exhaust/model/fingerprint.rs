//! A number for the state of a core, from what it shows of itself.
//!
//! Times count by their order alone, as a clock in the model jumps from one deadline to the next;
//! numbers that are there to be random do not count at all.

use std::fmt::Write;

use moment::Moment;
use raft_core::Raft;

/// Fields that are left out: what elections draw their times from, the times drawn, and what tells
/// lives apart.
const LEFT_OUT: [&str; 4] = ["random: Random(", "read_salt: ", "seed: ", "timeout: "];
const MOMENT: &str = "Moment(";

/// Makes numbers; keeps its memory from one to the next.
#[derive(Default)]
pub struct Fingerprints {
    text: String,
    times: Vec<u64>,
}

impl Fingerprints {
    /// The number of a core at a time.
    pub fn of(&mut self, raft: &Raft, now: Moment) -> u64 {
        self.text.clear();
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{raft:?}");
        self.times.clear();
        self.times.push(now.as_nanos());
        let moments = self.text.match_indices(MOMENT);
        self.times.extend(moments.map(|(at, _)| number_at(&self.text, at + MOMENT.len()).0));
        self.times.sort_unstable();
        self.times.dedup();
        let rank = |time: u64| self.times.partition_point(|other| *other < time);
        let present = rank(now.as_nanos()) as u64;
        let (mut hash, mut from) = (SEED, 0);
        while let Some((at, prefix)) = next_special(&self.text, from) {
            hash = fold_bytes(hash, self.text.as_bytes().get(from..at).unwrap_or_default());
            let (number, end) = number_at(&self.text, at + prefix.len());
            if prefix == MOMENT {
                hash = fold(hash, (rank(number) as u64).wrapping_sub(present));
                from = end;
            } else {
                let rest = self.text.get(end..).unwrap_or_default();
                from = end + rest.find([',', ')', ' ']).unwrap_or(rest.len());
            }
        }
        fold_bytes(hash, self.text.as_bytes().get(from..).unwrap_or_default())
    }
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where the next number stands that is not simply text, and what stands before it.
fn next_special(text: &str, from: usize) -> Option<(usize, &'static str)> {
    let rest = text.get(from..)?;
    // All of them begin behind one of these letters; most of the text has none.
    for (at, letter) in rest.bytes().enumerate() {
        let candidates: &[&'static str] = match letter {
            b'M' => &[MOMENT],
            b'r' | b's' | b't' => &LEFT_OUT,
            _ => continue,
        };
        let tail = rest.get(at..)?;
        if let Some(prefix) = candidates.iter().find(|prefix| tail.starts_with(**prefix)) {
            return Some((from + at, prefix));
        }
    }
    None
}

/// The number that stands at a place, and where it ends.
fn number_at(text: &str, from: usize) -> (u64, usize) {
    let digits = text.get(from..).unwrap_or_default();
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    let number = digits.get(..length).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    (number, from + length)
}

/// Adds a number to a hash.
pub fn fold(hash: u64, part: u64) -> u64 {
    (hash ^ part).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(29)
}

/// Adds bytes to a hash.
pub fn fold_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = fold(hash, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    fold(fold(hash, u64::from_le_bytes(last)), bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use raft_core::{Config, NodeId, RaftOptions, Restored};

    use super::*;

    fn core(seed: u64, founded: &[u32], now: u64) -> Raft {
        let config = Config::of(founded.iter().copied().map(NodeId), []);
        let options = RaftOptions::new(NodeId(1), seed);
        Raft::new(options, Restored::founded_with(config), Moment::from_nanos(now)).unwrap()
    }

    #[test]
    fn chance_and_the_distances_of_times_do_not_count_and_all_else_does() {
        let of = |raft: &Raft, now| Fingerprints::default().of(raft, Moment::from_nanos(now));
        let hash = of(&core(1, &[1, 2, 3], 5_000_000_000), 5_000_000_000);
        assert_eq!(hash, of(&core(2, &[1, 2, 3], 5_000_000_000), 5_000_000_000));
        assert_eq!(hash, of(&core(2, &[1, 2, 3], 7_000_000_000), 7_000_000_000));
        assert_ne!(hash, of(&core(1, &[1, 2], 5_000_000_000), 5_000_000_000));
        // A deadline that is over is another state.
        assert_ne!(hash, of(&core(1, &[1, 2, 3], 5_000_000_000), 50_000_000_000));
    }
}
