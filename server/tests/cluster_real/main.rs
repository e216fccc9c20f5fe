//! Three real processes as one cluster under load, while they are killed, paused and cut off. What the
//! clients saw is recorded, and each key's history must have an order that explains it.
//!
//! How long the tests run is said by variables; `docs/testing.md` names them.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]
#![expect(clippy::print_stderr, reason = "it shows what was measured, and what was skipped")]

#[expect(dead_code, reason = "other tests use more of it")]
#[path = "../support/process.rs"]
mod process;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "../support/raw.rs"]
mod raw;

mod cluster;
mod full_load;
mod history;
mod load;
mod namespaces;
mod random;
mod times;

mod catch_up;
mod cuts;
mod kills;
mod moves;
mod pauses;
mod rolling;
mod transfers;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by the test that runs: each has processes enough for the whole machine, and what they measure
/// would otherwise be each other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number from the environment.
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}
