//! Numbers that nobody can foresee: these tests are about what no seed decides.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// A number below `n`.
pub(crate) fn below(n: u64) -> u64 {
    RandomState::new().build_hasher().finish() % n
}
