//! What a read must see, when a client wants something else than the leader's word.

use core::time::Duration;

/// Two fields of [`crate::KvRequest`] beyond those of the protocol's other clients; without them a
/// read is one of the leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReadMode {
    /// Every write that was acknowledged before. Whoever does not lead refuses.
    #[default]
    Leader,
    /// The same, also from a node that does not lead.
    Linearizable,
    /// Every write that was acknowledged longer ago than this, from any node; `None`: whatever the
    /// node has.
    Stale(Option<Duration>),
}

impl ReadMode {
    /// From the fields' values. Numbers that a later release may send count as the strictest mode.
    pub(crate) fn of_fields(number: i32, age_max_millis: i64) -> ReadMode {
        match (number, u64::try_from(age_max_millis)) {
            (0, _) => ReadMode::Leader,
            (2, Ok(0)) => ReadMode::Stale(None),
            (2, Ok(millis)) => ReadMode::Stale(Some(Duration::from_millis(millis))),
            _ => ReadMode::Linearizable,
        }
    }

    /// The fields' values. An age is rounded down, but not to nothing.
    pub(crate) fn fields(self) -> (i32, i64) {
        match self {
            ReadMode::Leader => (0, 0),
            ReadMode::Linearizable => (1, 0),
            ReadMode::Stale(None) => (2, 0),
            ReadMode::Stale(Some(age)) => {
                (2, i64::try_from(age.as_millis()).unwrap_or(i64::MAX).max(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_come_back_and_unknown_ones_are_strict() {
        let age = Some(Duration::from_millis(250));
        for mode in
            [ReadMode::Leader, ReadMode::Linearizable, ReadMode::Stale(None), ReadMode::Stale(age)]
        {
            let (number, age) = mode.fields();
            assert_eq!(ReadMode::of_fields(number, age), mode);
        }
        assert_eq!(ReadMode::Stale(Some(Duration::from_nanos(1))).fields(), (2, 1));
        for (number, age) in [(3, 0), (-1, 0), (2, -1), (i32::MAX, i64::MIN)] {
            assert_eq!(ReadMode::of_fields(number, age), ReadMode::Linearizable);
        }
    }
}
