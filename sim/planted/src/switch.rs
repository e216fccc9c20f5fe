//! Which bug is on.

use crate::bug::Bug;

/// The number of the bug that is on, plus one; 0 for none.
#[cfg(feature = "planted-bugs")]
static PLANTED: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);

/// Switches a bug on, and every other one off.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Bug>) {
    let number = bug.map_or(0, |bug| bug as u32 + 1);
    PLANTED.store(number, core::sync::atomic::Ordering::Relaxed);
}

/// Whether this bug is on.
#[cfg(feature = "planted-bugs")]
#[inline]
pub fn is_on(bug: Bug) -> bool {
    PLANTED.load(core::sync::atomic::Ordering::Relaxed) == bug as u32 + 1
}

/// No bug is on in this build.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub const fn is_on(_: Bug) -> bool {
    false
}
