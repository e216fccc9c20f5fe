//! Callers that wait for their entries to be applied.

use std::collections::VecDeque;

use raft_core::Index;

/// Callers in the order of their entries' indexes.
pub(crate) struct Proposals<C> {
    waiting: VecDeque<(Index, C)>,
}

impl<C> Proposals<C> {
    pub(crate) fn new() -> Proposals<C> {
        Proposals { waiting: VecDeque::new() }
    }

    /// Remembers the caller of the entry at `index`, which is behind all others.
    pub(crate) fn push(&mut self, index: Index, caller: C) {
        debug_assert!(self.waiting.back().is_none_or(|(last, _)| *last < index));
        self.waiting.push_back((index, caller));
    }

    /// The caller of the entry at `index`, if it has one; those before it are known to be gone.
    pub(crate) fn take(&mut self, index: Index) -> Option<C> {
        self.waiting.pop_front_if(|(first, _)| *first == index).map(|(_, caller)| caller)
    }

    /// The callers of all entries behind `index`, in order.
    pub(crate) fn take_behind(&mut self, index: Index) -> VecDeque<(Index, C)> {
        let kept = self.waiting.partition_point(|(waiting, _)| *waiting <= index);
        self.waiting.split_off(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_found_by_index_and_entries_without_one_are_skipped() {
        let mut proposals = Proposals::new();
        for index in [2, 3, 5, 6] {
            proposals.push(Index(index), index * 10);
        }
        let taken: Vec<_> = (1..=4).map(|index| proposals.take(Index(index))).collect();
        assert_eq!(taken, [None, Some(20), Some(30), None]);
        let behind: Vec<_> = proposals.take_behind(Index(5)).into();
        assert_eq!(behind, [(Index(6), 60)]);
        assert_eq!(proposals.take(Index(5)), Some(50));
    }
}
