//! The tape: every random decision of a world, in the order it was made.
//!
//! Each site has its own stream of numbers, when they are made from a seed as well as when they are
//! replayed. A change of the code that asks one site more often therefore leaves the decisions of
//! all other sites as they were, and an old tape still replays most of its faults.
//!
//! Zero is the tame answer at every site: no fault, shortest delay, next in turn. A tape of zeros is
//! a world in which nothing goes wrong, which is what shrinking drives towards.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// Choices are below this, so that one fits beside its site in eight bytes.
pub const CHOICE_LIMIT: u64 = 1 << VALUE_BITS;

const VALUE_BITS: u32 = 48;
const SITES_MAX: usize = 1 << 16;
const LOOKUP_SLOTS: usize = 256;

/// What a replayed world does at a site whose recorded choices are used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beyond {
    /// Go on with numbers made from this seed.
    Seed(u64),
    /// Answer 0.
    Zero,
}

/// Makes, replays and records choices.
pub(crate) struct Tape {
    seed: Option<u64>,
    replayed: BTreeMap<String, VecDeque<u64>>,
    sites: Vec<Site>,
    /// Site numbers by address of the name: only a short cut, no decision depends on it.
    lookup: Vec<Option<(*const u8, usize, u16)>>,
    choices: Vec<u64>,
    is_recording: bool,
}

struct Site {
    name: &'static str,
    replay: VecDeque<u64>,
    generator: u64,
}

impl Tape {
    pub(crate) fn from_seed(seed: u64) -> Tape {
        Tape::with(Some(seed), BTreeMap::new())
    }

    pub(crate) fn replaying(recording: &Recording, beyond: Beyond) -> Tape {
        let mut replayed: BTreeMap<String, VecDeque<u64>> = BTreeMap::new();
        for (site, value) in recording.iter() {
            replayed.entry(site.to_owned()).or_default().push_back(value);
        }
        let seed = match beyond {
            Beyond::Seed(seed) => Some(seed),
            Beyond::Zero => None,
        };
        Tape::with(seed, replayed)
    }

    fn with(seed: Option<u64>, replayed: BTreeMap<String, VecDeque<u64>>) -> Tape {
        let lookup = vec![None; LOOKUP_SLOTS];
        let (sites, choices) = (Vec::new(), Vec::new());
        Tape { seed, replayed, sites, lookup, choices, is_recording: true }
    }

    /// Keeps no choices: for long runs that their seed repeats as well.
    pub(crate) fn stop_recording(&mut self) {
        self.is_recording = false;
    }

    /// A number in `0..n`; 0 without a record when there is nothing to choose.
    pub(crate) fn choose(&mut self, site: &'static str, n: u64) -> u64 {
        assert!(n <= CHOICE_LIMIT, "a choice has at most 48 bits");
        if n <= 1 {
            return 0;
        }
        let index = self.site_index(site);
        let site = &mut self.sites[usize::from(index)];
        let value = match (site.replay.pop_front(), self.seed) {
            (Some(recorded), _) => recorded % n,
            (None, Some(_)) => site.next_below(n),
            (None, None) => 0,
        };
        if self.is_recording {
            self.choices.push(u64::from(index) << VALUE_BITS | value);
        }
        value
    }

    /// True once in `n`, decided by the tape; never when `n` is 0.
    pub(crate) fn one_in(&mut self, site: &'static str, n: u64) -> bool {
        match n {
            0 => false,
            1 => true,
            _ => self.choose(site, n) == n - 1,
        }
    }

    pub(crate) fn recording(&self) -> Recording {
        Recording {
            sites: self.sites.iter().map(|site| site.name.to_owned()).collect(),
            choices: self.choices.clone(),
        }
    }

    fn site_index(&mut self, name: &'static str) -> u16 {
        let (address, len) = (name.as_ptr(), name.len());
        let slot = (address as usize ^ (address as usize >> 8) ^ len) % LOOKUP_SLOTS;
        if let Some((known, known_len, index)) = self.lookup[slot]
            && known == address
            && known_len == len
        {
            return index;
        }
        // The same name may stand at several addresses; it is one site all the same.
        let index = match self.sites.iter().position(|site| site.name == name) {
            Some(index) => index,
            None => {
                assert!(self.sites.len() < SITES_MAX, "sites are numbered in 16 bits");
                let replay = self.replayed.remove(name).unwrap_or_default();
                let generator = self.seed.unwrap_or(0) ^ hash_name(name);
                self.sites.push(Site { name, replay, generator });
                self.sites.len() - 1
            }
        };
        self.lookup[slot] = Some((address, len, index as u16));
        index as u16
    }
}

impl Site {
    /// SplitMix64, scaled down; the bias is below `n / 2^64`.
    fn next_below(&mut self, n: u64) -> u64 {
        self.generator = self.generator.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.generator;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * u128::from(n)) >> 64) as u64
    }
}

/// FNV-1a with a final mix, so that similar names start far apart.
fn hash_name(name: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 32;
    hash.wrapping_mul(0xd6e8_feb8_6659_fd93)
}

/// The choices of a run, to be kept, shrunk and replayed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recording {
    sites: Vec<String>,
    choices: Vec<u64>,
}

/// Why bytes are no recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordingError {
    /// Line that cannot be read, from 1.
    pub line: usize,
}

impl fmt::Display for RecordingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {} is not part of a tape", self.line)
    }
}

impl std::error::Error for RecordingError {}

impl Recording {
    /// Number of choices.
    pub fn len(&self) -> usize {
        self.choices.len()
    }

    /// True without a choice.
    pub fn is_empty(&self) -> bool {
        self.choices.is_empty()
    }

    /// Site and value of each choice, in the order they were made.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.choices.iter().filter_map(|packed| {
            let site = self.sites.get((packed >> VALUE_BITS) as usize)?;
            Some((site.as_str(), packed & (CHOICE_LIMIT - 1)))
        })
    }

    /// Keeps the first `len` choices.
    pub fn truncate(&mut self, len: usize) {
        self.choices.truncate(len);
    }

    /// Sets each choice that `is_tamed` names, by position and site, to 0.
    pub fn tame(&mut self, mut is_tamed: impl FnMut(usize, &str) -> bool) {
        for (position, packed) in self.choices.iter_mut().enumerate() {
            let site = *packed >> VALUE_BITS;
            let name = self.sites.get(site as usize).map_or("", String::as_str);
            if is_tamed(position, name) {
                *packed = site << VALUE_BITS;
            }
        }
    }

    /// The recording as text: `site NAME` lines in order of number, then `NUMBER VALUE` lines.
    pub fn to_text(&self) -> String {
        use fmt::Write;
        let mut text = String::new();
        for site in &self.sites {
            text.push_str("site ");
            text.push_str(site);
            text.push('\n');
        }
        for packed in &self.choices {
            let (site, value) = (packed >> VALUE_BITS, packed & (CHOICE_LIMIT - 1));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{site} {value}");
        }
        text
    }

    /// Reads what [`to_text`](Self::to_text) wrote.
    ///
    /// # Errors
    /// The first line that is none of a recording.
    pub fn from_text(text: &str) -> Result<Recording, RecordingError> {
        let mut recording = Recording::default();
        for (number, line) in text.lines().enumerate() {
            let error = RecordingError { line: number + 1 };
            if let Some(name) = line.strip_prefix("site ") {
                recording.sites.push(name.to_owned());
                continue;
            }
            let (site, value) = line.split_once(' ').ok_or(error)?;
            let site: u64 = site.parse().map_err(|_| error)?;
            let value: u64 = value.parse().map_err(|_| error)?;
            if site >= recording.sites.len() as u64 || value >= CHOICE_LIMIT {
                return Err(error);
            }
            recording.choices.push(site << VALUE_BITS | value);
        }
        Ok(recording)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(tape: &mut Tape, site: &'static str, count: usize) -> Vec<u64> {
        (0..count).map(|_| tape.choose(site, 1000)).collect()
    }

    #[test]
    fn sites_are_independent_streams() {
        let mut one = Tape::from_seed(5);
        let mut two = Tape::from_seed(5);
        let alone = draw(&mut one, "a", 20);
        draw(&mut two, "b", 7);
        assert_eq!(draw(&mut two, "a", 20), alone);
        assert_ne!(draw(&mut Tape::from_seed(6), "a", 20), alone);
    }

    #[test]
    fn replay_repeats_and_then_does_as_told() {
        let mut tape = Tape::from_seed(5);
        let first = draw(&mut tape, "a", 10);
        let recording = tape.recording();
        let mut zero = Tape::replaying(&recording, Beyond::Zero);
        assert_eq!(draw(&mut zero, "a", 10), first);
        assert_eq!(draw(&mut zero, "a", 3), [0, 0, 0]);
        let mut seeded = Tape::replaying(&recording, Beyond::Seed(9));
        assert_eq!(draw(&mut seeded, "a", 10), first);
        assert_eq!(draw(&mut seeded, "a", 5), draw(&mut Tape::from_seed(9), "a", 5));
    }

    #[test]
    fn text_round_trip() {
        let mut tape = Tape::from_seed(1);
        draw(&mut tape, "a", 3);
        tape.choose("b", CHOICE_LIMIT);
        tape.choose("b", 1);
        let mut recording = tape.recording();
        assert_eq!(recording.len(), 4);
        assert_eq!(Recording::from_text(&recording.to_text()), Ok(recording.clone()));
        recording.tame(|_, site| site == "b");
        assert_eq!(recording.iter().last(), Some(("b", 0)));
        for bad in ["0 1", "site a\n1 0", "site a\n0", "site a\n0 x", "site a\n0 281474976710656"] {
            assert!(Recording::from_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_in_is_rare_and_zero_means_never() {
        let mut tape = Tape::from_seed(3);
        let hits = (0..10_000).filter(|_| tape.one_in("a", 10)).count();
        assert!((800..1200).contains(&hits), "{hits}");
        assert!(!tape.one_in("a", 0));
        let mut tame = Tape::replaying(&Recording::default(), Beyond::Zero);
        assert!((0..100).all(|_| !tame.one_in("a", 10)));
    }
}
