//! What the committed entries say about the members, and what operators were told of that.

use std::collections::BTreeMap;

use raft_core::{Config, GroupId};

use super::members::Observation;
use crate::violation::{Rule, Violation};
use crate::workload::{End, Told};

/// The members by committed entry.
#[derive(Clone, Default)]
pub(super) struct Memberships(BTreeMap<(GroupId, u64), Config>);

impl Memberships {
    /// Takes what a member looks like now.
    ///
    /// # Errors
    /// When it knows the members of an entry to be others than somebody else did.
    pub(super) fn observe(&mut self, seen: &Observation) -> Result<(), Violation> {
        if seen.config_index > seen.commit {
            return Ok(());
        }
        let key = (seen.group, seen.config_index);
        match self.0.get(&key) {
            Some(known) if *known == seen.config => Ok(()),
            None => {
                self.0.insert(key, seen.config.clone());
                Ok(())
            }
            Some(known) => {
                let what = format!(
                    "{}, group {}: by entry {} the members are {:?}, and elsewhere {known:?}",
                    seen.node, seen.group.0, seen.config_index, seen.config
                );
                Err(Violation::new(Rule::CommittedEntry, what))
            }
        }
    }

    /// Whether what an operator was told to be done is so.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn check(&self, group: GroupId, told: &Told) -> Result<(), Violation> {
        let index = match told {
            Told::Prepared { index, .. } | Told::Ended { index, .. } => *index,
        };
        // Between two looks at the members they may have changed twice.
        let Some(config) = self.0.get(&(group, index)) else { return Ok(()) };
        let is_so = match told {
            Told::Prepared { current, next, .. } => {
                config.current == *current && config.next.as_ref() == Some(next)
            }
            Told::Ended { end: End::Abort, .. } => config.next.is_none(),
            Told::Ended { end: End::Commit, prepared, .. } => {
                let prepared = self.0.get(&(group, *prepared));
                let next = prepared.and_then(|config| config.next.as_ref());
                config.next.is_none() && next.is_none_or(|next| config.current == *next)
            }
        };
        if is_so {
            return Ok(());
        }
        let what = format!("group {}: {told:?}, but entry {index} says {config:?}", group.0);
        Err(Violation::new(Rule::OperatorAnswer, what))
    }
}
