//! An identity for a client of this process.

use std::hash::{BuildHasher, Hasher, RandomState};

use wire::ProcessId;

/// 128 random bits, different for each call.
///
/// The keys of the standard library's hash maps come from the system's random numbers.
pub fn new_process_id() -> ProcessId {
    let random = || RandomState::new().build_hasher().finish();
    // The servers refuse 0.
    ProcessId { high: random() | 1, low: random() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_differ() {
        let ids = [new_process_id(), new_process_id(), new_process_id()];
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[2] != ids[0]);
        assert!(ids.iter().all(|id| id.high != id.low && !id.is_zero()));
    }
}
