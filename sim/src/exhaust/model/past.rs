//! What has happened on the way to a state, as far as a rule asks for it; it is part of the state.

use std::collections::BTreeMap;
use std::rc::Rc;

use raft_core::message::Ballot;
use raft_core::{Body, Config, NodeId, RoleName, Term};

use super::fingerprint::fold;
use super::host::{Entry, Host, Log};
use super::network::Packet;
use crate::violation::{Rule, Violation};

/// Leaders, votes, and what is committed.
#[derive(Clone, Default)]
pub struct Past {
    /// Who has led a term.
    leaders: BTreeMap<Term, NodeId>,
    /// For whom a node has said in a term that it votes, itself included.
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// What some member knew to be committed.
    committed: Log,
}

/// A member as it was before a step.
#[derive(Clone)]
pub struct Before {
    /// Whether it led, and in which term.
    pub leads: Option<Term>,
    /// How much it knew to be committed.
    pub commit: u64,
    /// The members in force.
    pub config: Config,
    /// The end of its log.
    pub log: usize,
}

impl Before {
    /// How a member is now.
    pub fn of(host: &Host) -> Before {
        let status = host.raft().status();
        Before {
            leads: (status.role == RoleName::Leader).then_some(status.term),
            commit: status.commit.0,
            config: host.config_of(host.log()).clone(),
            log: host.log().len(),
        }
    }
}

fn broken(rule: Rule, what: String) -> Result<(), Violation> {
    Err(Violation::new(rule, what))
}

impl Past {
    /// Checks what a member has just done, and what it sends, against all members and the past.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check(
        &mut self,
        host: &Host,
        before: &Before,
        sent: &[Packet],
        hosts: &[Rc<Host>],
    ) -> Result<(), Violation> {
        let now = Before::of(host);
        self.check_votes(host, sent)?;
        if let Some(term) = now.leads {
            self.check_leader(host, term, before)?;
        }
        if now.commit > before.commit {
            self.check_commit(host, &now, before, hosts)?;
        }
        for other in hosts.iter().filter(|other| other.id() != host.id()) {
            check_match(host, other)?;
        }
        Ok(())
    }

    /// At most one vote a term, whatever dies between.
    fn check_votes(&mut self, host: &Host, sent: &[Packet]) -> Result<(), Violation> {
        let said = sent.iter().filter_map(|packet| match &packet.message.body {
            Body::VoteReply(reply) if reply.granted && reply.ballot == Ballot::Real => {
                Some((packet.message.term, packet.to))
            }
            Body::Vote(vote) if vote.ballot == Ballot::Real => {
                Some((packet.message.term, host.id()))
            }
            _ => None,
        });
        for (term, vote) in said {
            let first = *self.votes.entry((host.id(), term)).or_insert(vote);
            if first != vote {
                let what =
                    format!("{:?} votes for {first:?} and {vote:?} in term {}", host.id(), term.0);
                return broken(Rule::Promise, what);
            }
        }
        Ok(())
    }

    /// At most one leader a term; it has all that was committed, and never cuts its log.
    fn check_leader(&mut self, host: &Host, term: Term, before: &Before) -> Result<(), Violation> {
        let leader = *self.leaders.entry(term).or_insert(host.id());
        if leader != host.id() {
            let what = format!("{leader:?} and {:?} both lead term {}", host.id(), term.0);
            return broken(Rule::OneLeader, what);
        }
        if before.leads == Some(term) {
            if host.log().len() < before.log {
                return broken(Rule::LeaderAppends, format!("{:?} cuts its log", host.id()));
            }
            return Ok(());
        }
        let has = |(place, entry): (usize, &Rc<Entry>)| host.log().get(place) == Some(entry);
        if !self.committed.iter().enumerate().all(has) {
            let (own, committed) = (host.log(), &self.committed);
            let what = format!(
                "{:?} leads term {} with {own:?}, and not {committed:?}",
                host.id(),
                term.0
            );
            return broken(Rule::LeaderComplete, what);
        }
        Ok(())
    }

    /// What is committed is so for good, and was committed as it should be.
    fn check_commit(
        &mut self,
        host: &Host,
        now: &Before,
        before: &Before,
        hosts: &[Rc<Host>],
    ) -> Result<(), Violation> {
        let commit = now.commit as usize;
        let prefix = host.log().get(..commit).unwrap_or_default();
        let known = self.committed.len().min(commit);
        if prefix.get(..known) != self.committed.get(..known) {
            let what = format!("{:?} commits {prefix:?}, others {:?}", host.id(), self.committed);
            return broken(Rule::CommittedEntry, what);
        }
        if commit > known {
            self.committed = prefix.to_vec();
        }
        let (Some(term), Some(newest)) = (now.leads.or(before.leads), prefix.last()) else {
            return Ok(());
        };
        if newest.term != term {
            let what = format!("{:?} commits {newest:?} in term {}", host.id(), term.0);
            return broken(Rule::OlderTerm, what);
        }
        let has_copy = |voter: &NodeId| {
            // Its own copy counts as it is now.
            let of = |other: &Host| other.durable().get(commit - 1) == Some(newest);
            if *voter == host.id() {
                return of(host);
            }
            hosts.iter().any(|other| other.id() == *voter && of(other))
        };
        let lacks = |config: &Config| {
            config.halves().any(|half| {
                let copies = half.voters.iter().filter(|voter| has_copy(voter)).count();
                copies < half.voters.len() / 2 + 1
            })
        };
        // In the step that commits an entry a change may end or begin.
        if lacks(&now.config) && lacks(&before.config) {
            let what = format!(
                "{:?} commits entry {commit} without durable copies on a majority of each half of {:?}",
                host.id(),
                now.config
            );
            return broken(Rule::DurableQuorum, what);
        }
        Ok(())
    }

    /// The number of the past.
    pub fn hash(&self) -> u64 {
        let leaders = self.leaders.iter();
        let hash = leaders
            .fold(1, |hash, (term, leader)| fold(fold(hash, term.0.into()), leader.0.into()));
        let votes = self.votes.iter();
        let hash = votes.fold(hash, |hash, ((node, term), vote)| {
            fold(fold(fold(hash, node.0.into()), term.0.into()), vote.0.into())
        });
        self.committed.iter().fold(hash, |hash, entry| entry.fold(hash))
    }
}

/// Logs that have the same entry (by index and term) are the same up to it.
fn check_match(host: &Host, other: &Host) -> Result<(), Violation> {
    for (one, another) in [(host.log(), other.log()), (host.log(), other.durable())] {
        let mut is_same = true;
        for (place, (own, its)) in one.iter().zip(another).enumerate() {
            let is_equal = Rc::ptr_eq(own, its) || own == its;
            if own.term == its.term && !(is_equal && is_same) {
                let (one_id, other_id) = (host.id(), other.id());
                let what = format!(
                    "{one_id:?} and {other_id:?} differ up to entry {} of term {}",
                    place + 1,
                    own.term.0
                );
                return broken(Rule::CommittedEntry, what);
            }
            is_same &= is_equal;
        }
    }
    Ok(())
}
