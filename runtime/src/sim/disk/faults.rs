//! What goes wrong on a disk, as rules that a test adds and removes.

use std::ops::Range;
use std::time::Duration;

use crate::sim::tape::Tape;

/// Error number of a medium that fails.
pub const EIO: i32 = 5;
/// Error number of a full disk.
pub const ENOSPC: i32 = 28;

/// What a rule applies to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskOperation {
    /// Reads of files.
    Read,
    /// Writes to files, with or without O_DSYNC.
    Write,
    /// Syncs of files.
    Sync,
    /// Everything that has to do with names: open, list, create, rename, remove, directory sync.
    Directory,
}

/// What happens instead of the ordinary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskEffect {
    /// The operation fails with this error number. Of a failed write any part may have been done; a
    /// failed sync loses what it should have made durable, and the next sync succeeds.
    Error(i32),
    /// The operation takes this much longer.
    Delay(Duration),
    /// One bit of the bytes read or written is another.
    FlipBit,
    /// The bytes go to, or come from, another block of the same file.
    Misdirect,
    /// Done as far as the caller can tell, but nothing was written or made durable.
    Lose,
    /// A read returns what was there before the last write.
    Stale,
}

/// A rule: which operations, how often, and what happens to them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskFault {
    operation: DiskOperation,
    effect: DiskEffect,
    path_part: String,
    range: Range<u64>,
    one_in: u64,
    times: u64,
}

impl DiskFault {
    /// `effect` on every `operation`, until the methods below narrow it.
    ///
    /// # Panics
    /// When such an operation cannot have the effect.
    pub fn new(operation: DiskOperation, effect: DiskEffect) -> DiskFault {
        let is_possible = match effect {
            DiskEffect::Error(_) | DiskEffect::Delay(_) => true,
            DiskEffect::FlipBit | DiskEffect::Misdirect => {
                matches!(operation, DiskOperation::Read | DiskOperation::Write)
            }
            DiskEffect::Lose => matches!(operation, DiskOperation::Write | DiskOperation::Sync),
            DiskEffect::Stale => operation == DiskOperation::Read,
        };
        assert!(is_possible, "{operation:?} cannot have {effect:?}");
        let (path_part, range) = (String::new(), 0..u64::MAX);
        DiskFault { operation, effect, path_part, range, one_in: 1, times: u64::MAX }
    }

    /// Only files whose path has this in it.
    pub fn path(mut self, part: &str) -> DiskFault {
        part.clone_into(&mut self.path_part);
        self
    }

    /// Only reads and writes that touch these bytes.
    pub fn range(mut self, range: Range<u64>) -> DiskFault {
        self.range = range;
        self
    }

    /// Only one in so many, as the tape says.
    pub fn one_in(mut self, one_in: u64) -> DiskFault {
        self.one_in = one_in;
        self
    }

    /// At most so often; the rule does nothing afterwards.
    pub fn times(mut self, times: u64) -> DiskFault {
        self.times = times;
        self
    }
}

/// The rules of a disk, in order; the first that applies is the one that acts.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    rules: Vec<DiskFault>,
}

impl Faults {
    pub(crate) fn add(&mut self, rule: DiskFault) {
        self.rules.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The effect on an operation, if any; uses up the rule that has it.
    pub(crate) fn strike(
        &mut self,
        tape: &mut Tape,
        operation: DiskOperation,
        path: &str,
        range: &Range<u64>,
    ) -> Option<DiskEffect> {
        let has_range = matches!(operation, DiskOperation::Read | DiskOperation::Write);
        let rule = self.rules.iter_mut().find(|rule| {
            rule.operation == operation
                && rule.times > 0
                && path.contains(&rule.path_part)
                && (!has_range || (rule.range.start < range.end && range.start < rule.range.end))
                && tape.one_in("disk.fault", rule.one_in)
        })?;
        rule.times -= 1;
        Some(rule.effect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_apply_by_operation_path_range_and_count() {
        let mut tape = Tape::from_seed(1);
        let mut faults = Faults::default();
        let rule = DiskFault::new(DiskOperation::Write, DiskEffect::Error(EIO));
        faults.add(rule.path("log/").range(4096..8192).times(1));
        faults.add(DiskFault::new(DiskOperation::Sync, DiskEffect::Lose));
        let mut strike = |operation, path, range| faults.strike(&mut tape, operation, path, &range);
        assert_eq!(strike(DiskOperation::Write, "vote", 4096..8192), None);
        assert_eq!(strike(DiskOperation::Write, "log/1", 0..4096), None);
        assert_eq!(strike(DiskOperation::Read, "log/1", 0..8192), None);
        assert_eq!(strike(DiskOperation::Write, "log/1", 0..8192), Some(DiskEffect::Error(EIO)));
        assert_eq!(strike(DiskOperation::Write, "log/1", 0..8192), None);
        assert_eq!(strike(DiskOperation::Sync, "any", 0..0), Some(DiskEffect::Lose));
    }

    #[test]
    #[should_panic(expected = "cannot have")]
    fn impossible_rules_are_refused() {
        drop(DiskFault::new(DiskOperation::Sync, DiskEffect::Stale));
    }
}
