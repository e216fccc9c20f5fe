//! What must hold after every step, over all nodes at once.

use std::collections::BTreeMap;

use raft_core::message::{AppendOutcome, Ballot};
use raft_core::{Body, Index, Message, NodeId, Term};

use crate::disk::Entry;
use crate::host::Host;

/// What has been seen so far.
#[derive(Default)]
pub(crate) struct Checker {
    leaders: BTreeMap<Term, NodeId>,
    /// Every entry ever seen in a log, with the term of the one before it.
    entries: BTreeMap<(Index, Term), Entry>,
    pub(crate) committed: Vec<Entry>,
    /// For each committed entry, a term in or before which it was committed.
    committed_by: Vec<Term>,
    /// The most that any node has applied: what a later read must see.
    pub(crate) visible: Index,
    pub(crate) reads: u64,
    pub(crate) changes: u64,
    pub(crate) installs: u64,
}

impl Checker {
    /// A message is about to leave; what it promises must be on the disk.
    pub(crate) fn check_sent(&self, host: &Host, message: &Message) {
        let durable = host.disk.hard_state;
        match &message.body {
            Body::Vote(vote) if vote.ballot == Ballot::Real => {
                assert_eq!(
                    (durable.term, durable.vote),
                    (message.term, Some(host.id)),
                    "I8: candidacy"
                );
            }
            Body::VoteReply(reply) if reply.ballot == Ballot::Real => {
                assert!(
                    durable.term == message.term,
                    "I8: a vote is answered before it is durable"
                );
            }
            Body::Vote(_) | Body::VoteReply(_) => {}
            Body::AppendReply(reply) => {
                assert!(durable.term >= message.term, "I8: an answer in a term that can be lost");
                if let AppendOutcome::Matched(index) = reply.outcome {
                    assert!(host.disk.last() >= index, "I8: an answer before the entry is durable");
                }
            }
            _ => assert!(durable.term >= message.term, "I8: said in a term that can be lost"),
        }
    }

    pub(crate) fn check_vote_sent(&self, host: &Host, to: NodeId, message: &Message) {
        if let Body::VoteReply(reply) = &message.body
            && reply.ballot == Ballot::Real
            && reply.granted
        {
            assert_eq!(host.disk.hard_state.vote, Some(to), "I8: a vote that can be lost");
        }
    }

    pub(crate) fn leader_elected(&mut self, host: &Host) {
        let running = host.running.as_ref().unwrap();
        let term = running.raft.leads().unwrap();
        let first = *self.leaders.entry(term).or_insert(host.id);
        assert_eq!(first, host.id, "I1: two leaders in term {term}");
        // A leader of an older term may still win late; it will never commit anything.
        let earlier = self.committed.iter().zip(&self.committed_by).filter(|(_, by)| **by < term);
        for (entry, _) in earlier {
            assert!(running.holds(entry), "I4: leader {} of {term} lacks {entry:?}", host.id);
        }
    }

    /// Entries went into a node's log.
    pub(crate) fn check_log(&mut self, host: &Host) {
        for entry in &host.disk.log {
            let known = self.entries.entry((entry.index, entry.term)).or_insert(entry.clone());
            assert_eq!(known, entry, "I3: two entries at one place in one term");
        }
        for pair in host.disk.log.windows(2) {
            assert!(pair[0].term <= pair[1].term, "terms in a log never go back");
        }
    }

    pub(crate) fn applied(&mut self, entry: &Entry, term: Term, hosts: &[Host]) {
        let place = entry.index.0 as usize - 1;
        match self.committed.get(place) {
            Some(known) => assert_eq!(known, entry, "I9: a committed entry changed"),
            None => {
                assert_eq!(self.committed.len(), place, "entries are committed in order");
                let copies = hosts.iter().filter(|host| host.disk.holds(entry)).count();
                assert!(copies >= 1, "I6: committed without a durable copy");
                self.committed.push(entry.clone());
                self.committed_by.push(term);
            }
        }
        self.visible = self.visible.max(entry.index);
    }

    /// A leader's commit index rests on durable copies at a majority of each half.
    pub(crate) fn check_commit(&self, leader: &Host, hosts: &[Host]) {
        let running = leader.running.as_ref().unwrap();
        let status = running.raft.status();
        let Some(term) = running.raft.term_of(status.commit) else { return };
        if status.commit == status.boundary.index || running.raft.leads() != Some(term) {
            return;
        }
        let position = (status.commit, term);
        let Some(entry) = self.entries.get(&position) else {
            panic!("I6: an entry is committed that no disk ever held");
        };
        for members in status.config.halves() {
            let copies = members.voters.iter().filter(|voter| {
                let host = hosts.iter().find(|host| host.id == **voter);
                host.is_some_and(|host| host.disk.holds(entry))
            });
            // A membership that has just changed may not have had its own say yet.
            if status.config_index <= status.commit {
                assert!(copies.count() * 2 > members.voters.len(), "I6: too few durable copies");
            }
        }
    }

    pub(crate) fn read_answered(&mut self, must_see: Index, applied: Index) {
        assert!(applied >= must_see, "I16: a read saw {applied} but {must_see} was visible before");
        self.reads += 1;
    }
}
