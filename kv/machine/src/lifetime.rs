//! How long a temporary node or an entry of a lock lives, and whose it is.

use kv_api::Owner;

use crate::stamp::Stamp;

/// The countdown of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lifetime {
    /// Who may renew it or remove the node.
    pub(crate) owner: Owner,
    /// Log index of the entry that started the countdown: an expiry that names another one is late.
    pub(crate) ttl_index: u64,
    /// The leader's time in that entry.
    pub(crate) start_ms: u64,
    /// How long it runs.
    pub(crate) ttl_ms: u64,
}

impl Lifetime {
    /// Length of the encoding.
    pub(crate) const BYTES: usize = 40;

    /// A countdown that this entry starts.
    pub(crate) fn starting(stamp: Stamp, owner: Owner, ttl_ms: u64) -> Lifetime {
        Lifetime { owner, ttl_index: stamp.index, start_ms: stamp.time_ms, ttl_ms }
    }

    /// The leader's time at which it is over.
    pub(crate) fn deadline_ms(&self) -> u64 {
        self.start_ms.saturating_add(self.ttl_ms)
    }

    pub(crate) fn to_bytes(self) -> [u8; Lifetime::BYTES] {
        let numbers = [self.owner.high, self.owner.low, self.ttl_index, self.start_ms, self.ttl_ms];
        let mut bytes = [0; Lifetime::BYTES];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Lifetime::BYTES]) -> Lifetime {
        let (words, _) = bytes.as_chunks();
        let word = |position: usize| u64::from_le_bytes(words[position]);
        Lifetime {
            owner: Owner { high: word(0), low: word(1) },
            ttl_index: word(2),
            start_ms: word(3),
            ttl_ms: word(4),
        }
    }
}
