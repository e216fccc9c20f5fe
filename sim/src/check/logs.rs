//! What must hold of the logs of a group's members, entry by entry.

use std::collections::BTreeMap;

use raft_core::GroupId;
use runtime::sim::NodeKey;

use super::members::{Eye, Observation};
use crate::coverage::{Coverage, Rare};
use crate::violation::{Rule, Violation};

/// All entries of a run, and what each disk has.
#[derive(Clone, Default)]
pub(super) struct Logs {
    /// The term of the entry before each: one leader made it, behind one entry.
    before: BTreeMap<(GroupId, u64, u32), u32>,
    /// What was durable on a disk when its member was last seen, also if it is down since.
    floors: BTreeMap<(NodeKey, GroupId), u64>,
    /// The most that was ever durable on the present disk of a member.
    held: BTreeMap<(NodeKey, GroupId), u64>,
    /// The same of the disks that it has lost.
    lost: BTreeMap<(NodeKey, GroupId), u64>,
    /// What a leader counts of a member, and whether it has begun to count anew, which it does for a
    /// member on a new disk.
    counted: BTreeMap<Pair, (u64, bool)>,
}

/// A leader, its term, and another member.
type Pair = (NodeKey, GroupId, u32, NodeKey);

impl Logs {
    /// A member's disk was exchanged for an empty one.
    pub(super) fn lost_disk(&mut self, node: NodeKey) {
        self.floors.retain(|(other, _), _| *other != node);
        let of_node = self.counted.iter_mut().filter(|((.., follower), _)| *follower == node);
        of_node.for_each(|(_, (_, is_anew))| *is_anew = false);
        for (key, held) in self.held.extract_if(.., |(other, _), _| *other == node) {
            let lost = self.lost.entry(key).or_default();
            *lost = held.max(*lost);
        }
    }

    /// What a disk that is gone has had.
    pub(super) fn lost(&self, node: NodeKey, group: GroupId) -> Option<u64> {
        self.lost.get(&(node, group)).copied()
    }

    /// Takes what a member looks like now.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn observe(
        &mut self,
        seen: &Observation,
        before: Option<&Observation>,
        eye: &impl Eye,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        let key = (seen.node, seen.group);
        let floor = self.floors.insert(key, seen.durable);
        let held = self.held.entry(key).or_default();
        *held = seen.durable.max(*held);
        let Observation { node, group, last, .. } = *seen;
        match before {
            None => self.check_restart(seen, floor)?,
            Some(before) if is_cut(before, eye) => coverage.add(Rare::Truncation),
            Some(_) => {}
        }
        if before.is_none_or(|before| before.boundary != seen.boundary) {
            self.check_boundary(seen, before, eye, coverage)?;
        }
        let is_same = before.is_some_and(|b| b.last == last && b.last_term == seen.last_term);
        if !is_same {
            let from = before.map_or(seen.boundary, |before| before.commit.max(seen.boundary));
            self.check_match(node, group, from..last, eye)?;
        }
        self.check_followers(seen)
    }

    /// A member that starts has everything that was durable on its disk.
    fn check_restart(&self, seen: &Observation, floor: Option<u64>) -> Result<(), Violation> {
        let Observation { node, group, last, .. } = *seen;
        match floor {
            Some(floor) if last < floor => {
                let what = format!(
                    "{node}, group {}: had entries up to {floor} on its disk, and starts with those \
                     up to {last}",
                    group.0
                );
                Err(Violation::new(Rule::Durable, what))
            }
            _ => Ok(()),
        }
    }

    fn check_boundary(
        &self,
        seen: &Observation,
        before: Option<&Observation>,
        eye: &impl Eye,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        let Observation { node, group, boundary, .. } = *seen;
        let (oldest, newest) = eye.snapshots();
        // One that was received voids a log that it does not fit to, and then the older ones.
        let is_void = boundary == newest && before.is_none_or(|before| before.commit < boundary);
        // A restart reads only what the newest snapshot lacks, and begins behind the first entry of
        // that, since the term of the one before it is not known. Older log is found again on the
        // disk when somebody asks for it.
        let allowed = if before.is_none() { newest + 1 } else { oldest };
        let is_found = before.is_some_and(|before| boundary < before.boundary);
        if boundary > allowed && !is_void && !is_found {
            let what = format!(
                "{node}, group {}: the log begins behind {boundary}, and the oldest snapshot ends \
                 with {oldest}",
                group.0
            );
            return Err(Violation::new(Rule::SnapshotCovers, what));
        }
        if before.is_some() {
            coverage.add(Rare::LogDropped);
        }
        Ok(())
    }

    /// Entries behind the first of `pairs` follow the ones that they follow everywhere else.
    fn check_match(
        &mut self,
        node: NodeKey,
        group: GroupId,
        pairs: std::ops::Range<u64>,
        eye: &impl Eye,
    ) -> Result<(), Violation> {
        let mut earlier = eye.term_of(pairs.start);
        for index in pairs.map(|index| index + 1) {
            let term = eye.term_of(index);
            if let (Some(earlier), Some(term)) = (earlier, term) {
                let known = *self.before.entry((group, index, term)).or_insert(earlier);
                if known != earlier {
                    let what = format!(
                        "{node}, group {}: entry {index} of term {term} follows one of term \
                         {earlier}, and elsewhere one of term {known}",
                        group.0
                    );
                    return Err(Violation::new(Rule::LogMatching, what));
                }
            }
            earlier = term;
        }
        Ok(())
    }

    /// What a leader counts as durable on the others is that, or was on a disk that has been lost
    /// without the leader's knowing yet.
    fn check_followers(&mut self, seen: &Observation) -> Result<(), Violation> {
        for (follower, matched) in &seen.followers {
            let pair = (seen.node, seen.group, seen.term, *follower);
            let (counted, is_anew) = self.counted.entry(pair).or_default();
            *is_anew |= *matched < *counted;
            *counted = *matched;
            let key = (*follower, seen.group);
            let held = self.held.get(&key).copied().unwrap_or(0);
            let lost = if *is_anew { 0 } else { self.lost.get(&key).copied().unwrap_or(0) };
            if *matched > held.max(lost) {
                let what = format!(
                    "{}, group {}: counts entries up to {matched} on {follower}, which has had \
                     those up to {held} on its disk",
                    seen.node, seen.group.0
                );
                return Err(Violation::new(Rule::Acknowledged, what));
            }
        }
        Ok(())
    }
}

/// Whether the log does not have any more what was its end before.
fn is_cut(before: &Observation, eye: &impl Eye) -> bool {
    let term = eye.term_of(before.last);
    before.last > before.commit && term != Some(before.last_term)
}
