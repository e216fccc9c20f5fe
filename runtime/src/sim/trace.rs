//! The trace hash: a rolling hash over all that happens, equal for equal runs.

use std::cell::Cell;

/// Folds what happens into one number.
///
/// Contents of writes go in as well as times and names: a run that sends the same lengths with other
/// bytes is another run.
pub(crate) struct Trace {
    hash: Cell<u64>,
    events: Cell<u64>,
}

/// What an entry of the trace is about.
#[derive(Clone, Copy)]
pub(crate) enum TraceKind {
    Poll = 1,
    Timer,
    Disk,
    Network,
    Start,
    End,
    Crash,
    Send,
    Write,
}

const MULTIPLIER: u64 = 0x9fb2_1c65_1e98_df25;

impl Trace {
    pub(crate) fn new() -> Trace {
        Trace { hash: Cell::new(0x51_7cc1_b727_220a), events: Cell::new(0) }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.get()
    }

    /// Number of entries so far.
    pub(crate) fn events(&self) -> u64 {
        self.events.get()
    }

    /// Adds an entry: its kind, the time, and who (node, shard, fiber or the like, packed).
    pub(crate) fn add(&self, kind: TraceKind, nanos: u64, who: u64) {
        self.events.set(self.events.get() + 1);
        let hash = mix(self.hash.get(), nanos ^ (kind as u64) << 56);
        self.hash.set(mix(hash, who));
    }

    /// Adds bytes that leave a node for its disk or the network.
    pub(crate) fn add_bytes(&self, kind: TraceKind, bytes: &[u8]) {
        let hash = mix(self.hash.get(), (kind as u64) << 56 | bytes.len() as u64);
        self.hash.set(mix_bytes(hash, bytes));
    }
}

/// Folds bytes into a hash; zeros at the end are as if they were not there.
pub(crate) fn mix_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    let mut last = [0u8; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(hash, u64::from_le_bytes(last))
}

pub(crate) fn mix(hash: u64, value: u64) -> u64 {
    (hash ^ value).wrapping_mul(MULTIPLIER).rotate_left(29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_time_and_bytes_matter() {
        let hash_of = |fill: &dyn Fn(&Trace)| {
            let trace = Trace::new();
            fill(&trace);
            trace.hash()
        };
        let hashes = [
            hash_of(&|_| {}),
            hash_of(&|trace| trace.add(TraceKind::Poll, 1, 2)),
            hash_of(&|trace| trace.add(TraceKind::Poll, 2, 1)),
            hash_of(&|trace| trace.add(TraceKind::Timer, 1, 2)),
            hash_of(&|trace| trace.add_bytes(TraceKind::Send, b"123456789")),
            hash_of(&|trace| trace.add_bytes(TraceKind::Send, b"123456788")),
            hash_of(&|trace| trace.add_bytes(TraceKind::Send, b"12345678\0")),
            hash_of(&|trace| trace.add_bytes(TraceKind::Send, b"12345678")),
        ];
        for (position, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..position].contains(hash), "{position}");
        }
    }
}
