//! How a node on a new disk earns its vote in a group.
//!
//! A new disk may be the first one of its node, or the successor of a lost one; the node itself
//! cannot tell. On a lost one it may have voted and acknowledged entries, and whoever forgets that and
//! votes again can elect a leader that lacks them. So a node on a new disk first asks every other
//! voter of the group. Each of them writes down that the node has begun a new life, and answers with
//! its own term and whether it knew another life of the node.
//!
//! * Nobody knew another life: the node has promised nothing, and votes from now on. This is how a
//!   group is founded, and why all its voters must be up once for that.
//! * Somebody did: the node enters the highest term that it was told. Every vote that it gave in its
//!   lost life was for that term or an earlier one, and every leader that counted its
//!   acknowledgements led in one; no leader of an earlier term is followed any more. Then it follows
//!   the group without a vote until it has applied all that was committed when it began to ask a
//!   leader for that, in one linearizable read. Whatever it had acknowledged is in its log again.
//!
//! That it has its vote is written down before it uses it. Until it has heard from all voters it takes
//! no message of consensus for the group, and so acknowledges nothing.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use planted::{Bug, is_on};
use raft_core::message::{Ballot, Body, Message, VoteReply};
use raft_core::{GroupId, NodeId, Standing, Term};
use raft_host::Group;
use runtime::{Shard, Signal};
use wire::{NodeLane, encode_node_message};

use super::acquaintance::Acquaintance;
use super::keeper::Wish;
use super::links::Links;
use super::message_kind::Kind;
use crate::machine::KvStateMachine;

/// A voter is asked again when it has not answered for this long.
const ASK_INTERVAL: Duration = Duration::from_millis(100);
/// It is said again for whom a node is waiting.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The groups of a shard in which this node has no vote yet.
#[derive(Default)]
pub struct Probations(RefCell<BTreeMap<GroupId, Rc<Probation>>>);

/// One group on probation.
struct Probation {
    words: RefCell<BTreeMap<NodeId, Word>>,
    news: Signal,
    /// Whether messages of consensus are taken.
    follows: Cell<bool>,
}

/// What another voter says about this node's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word {
    /// The incarnation that it speaks of.
    pub(super) incarnation: u64,
    /// It knew another one.
    pub(super) knew_another: bool,
    /// The term that it is in.
    pub(super) term: Term,
}

impl Word {
    pub(super) fn encode(&self) -> [u8; 13] {
        let mut bytes = [0; 13];
        bytes[..8].copy_from_slice(&self.incarnation.to_le_bytes());
        bytes[8] = u8::from(self.knew_another);
        bytes[9..].copy_from_slice(&self.term.0.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Word> {
        let (incarnation, rest) = bytes.split_first_chunk()?;
        let (knew_another, rest) = rest.split_first()?;
        let term = rest.first_chunk().filter(|_| rest.len() == 4)?;
        Some(Word {
            incarnation: u64::from_le_bytes(*incarnation),
            knew_another: *knew_another != 0,
            term: Term(u32::from_le_bytes(*term)),
        })
    }
}

impl Probations {
    /// Whether the group takes messages of consensus.
    pub fn follows(&self, group: GroupId) -> bool {
        self.0.borrow().get(&group).is_none_or(|probation| probation.follows.get())
    }

    /// A voter has answered.
    pub(super) fn heard(&self, group: GroupId, from: NodeId, word: Word) {
        if let Some(probation) = self.0.borrow().get(&group) {
            probation.words.borrow_mut().insert(from, word);
            probation.news.set();
        }
    }

    /// The group is not here any more.
    pub fn forget(&self, group: GroupId) {
        self.0.borrow_mut().remove(&group);
    }

    fn begin(&self, group: GroupId) -> Rc<Probation> {
        let probation = Rc::new(Probation {
            words: RefCell::default(),
            news: Signal::new(),
            follows: Cell::new(false),
        });
        self.0.borrow_mut().insert(group, Rc::clone(&probation));
        probation
    }
}

/// A group on probation and what it takes to end that.
pub struct Candidacy {
    /// The group's shard.
    pub shard: Shard,
    /// The ways to the other voters.
    pub links: Rc<Links>,
    /// Who this node is, and what is written down.
    pub acquaintance: Rc<Acquaintance>,
    /// All groups on probation of the shard.
    pub probations: Rc<Probations>,
    /// The group, opened without a vote.
    pub group: Group<KvStateMachine>,
}

impl Candidacy {
    /// Marks the group, so that it takes no message from now on, and returns the fiber that earns the
    /// vote.
    pub fn begin(self) -> impl Future<Output = ()> {
        let probation = self.probations.begin(self.group.id());
        async move { self.earn(&probation).await }
    }

    async fn earn(&self, probation: &Probation) {
        let id = self.group.id();
        loop {
            self.hear_all(probation).await;
            let words = probation.words.borrow().clone();
            if !words.values().any(|word| word.knew_another) {
                break;
            }
            if !probation.follows.replace(true) {
                tracing::warn!(
                    group = id.0,
                    "this node has lost its disk; it follows without a vote until it has caught up"
                );
            }
            for (from, word) in &words {
                self.group.step(*from, news_of(word.term), &[]);
            }
            if !is_on(Bug::TrustedBeforeCaughtUp) && self.group.caught_up().await.is_err() {
                // The group has ended.
                return;
            }
            // The log may have brought voters that nobody has asked.
            if self.silent(probation).is_empty() {
                break;
            }
        }
        self.acquaintance.trusted(id).await;
        self.probations.0.borrow_mut().remove(&id);
        self.group.set_standing(Standing::Full);
        tracing::info!(group = id.0, "this node votes in the group");
    }

    /// Waits until every other voter has answered.
    async fn hear_all(&self, probation: &Probation) {
        let clock = self.shard.clock();
        let mut report_at = clock.now() + REPORT_INTERVAL;
        loop {
            let silent = self.silent(probation);
            if silent.is_empty() {
                return;
            }
            if clock.now() >= report_at {
                report_at = clock.now() + REPORT_INTERVAL;
                let nodes: Vec<u32> = silent.iter().map(|node| node.0).collect();
                tracing::warn!(
                    group = self.group.id().0,
                    waiting_for = ?nodes,
                    "a node on a new disk has no vote before it has heard from every other voter"
                );
            }
            for node in silent {
                self.ask(node);
            }
            let _ = clock.timeout(ASK_INTERVAL, probation.news.wait()).await;
        }
    }

    /// The other voters, as far as this node knows, that have not answered.
    fn silent(&self, probation: &Probation) -> BTreeSet<NodeId> {
        let raft = self.group.status().raft;
        let words = probation.words.borrow();
        let voters = raft.config.halves().flat_map(|members| members.voters.iter().copied());
        voters.filter(|voter| *voter != raft.id && !words.contains_key(voter)).collect()
    }

    fn ask(&self, node: NodeId) {
        let Some(queue) = self.links.queue(node, NodeLane::Control) else { return };
        let group = self.group.id().0;
        queue.push(group, |out| encode_node_message(out, group, Kind::ASK.0, &[], &[]));
    }
}

/// A message that says nothing but that its sender is in a term.
fn news_of(term: Term) -> Message {
    Message { term, body: Body::VoteReply(VoteReply { ballot: Ballot::Real, granted: false }) }
}

impl Acquaintance {
    /// Has written down that this node votes in a group, and waits for that.
    async fn trusted(&self, group: GroupId) {
        self.wish(Wish::Trust { group: group.0 });
        self.until(|lives| lives.is_trusted(group.0)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_comes_back_and_no_other_length_is_one() {
        let word = Word { incarnation: 0x0102_0304_0506_0708, knew_another: true, term: Term(9) };
        let bytes = word.encode();
        assert_eq!(bytes, [8, 7, 6, 5, 4, 3, 2, 1, 1, 9, 0, 0, 0]);
        assert_eq!(Word::decode(&bytes), Some(word));
        for cut in 0..bytes.len() {
            assert_eq!(Word::decode(&bytes[..cut]), None);
        }
        assert_eq!(Word::decode(&[&bytes[..], &[0]].concat()), None);
    }
}
