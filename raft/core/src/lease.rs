//! A leader makes sure that it still leads: the lease, and the rounds that prove reads.

use moment::Moment;
use planted::{Bug, is_on};

use crate::leader::Leader;
use crate::message::{Body, ReadIndexReply};
use crate::node::Node;
use crate::options::ReadMode;
use crate::output::ReadAnswer;
use crate::quorum;
use crate::reads::Proven;
use crate::types::{Index, NodeId, Round};

/// Questions of other nodes about reads that wait at once; a node has one under way.
const REMOTE_READS_MAX: usize = 1024;

impl Leader {
    /// The node answered a round. Renews the lease and proves reads.
    pub(crate) fn answered(&mut self, node: &mut Node, from: NodeId, round: Round) -> bool {
        let rounds = &self.rounds;
        let begun = rounds.binary_search_by_key(&round, |(round, _)| *round).ok();
        let mut begun = begun.map(|place| rounds[place].1);
        if is_on(Bug::LeaseFromReceipt) {
            begun = begun.map(|_| node.now);
        }
        if round > self.round {
            return false;
        }
        let Some(progress) = self.progress_of(from) else { return false };
        let is_newer = round > progress.acked;
        progress.answered(round, begun);
        if is_newer {
            self.count_answers(node);
        }
        true
    }

    pub(crate) fn count_answers(&mut self, node: &mut Node) {
        let own = node.id();
        let config = &node.log.config().config;
        let heard = quorum::reached(config, |voter| match voter == own {
            true => Moment::MAX,
            false => self.progress(voter).and_then(|p| p.heard).unwrap_or_default(),
        });
        let margin = node.options.lease_margin;
        let lease = quorum::reached(config, |voter| match (voter == own, self.progress(voter)) {
            (true, _) => Moment::MAX,
            (false, Some(progress)) if progress.acked >= self.lease_from => {
                let loyal = progress.loyalty.saturating_sub(margin);
                progress.heard.map_or(Moment::ZERO, |begun| begun + loyal)
            }
            (false, _) => Moment::ZERO,
        });
        let round = quorum::reached(config, |voter| match voter == own {
            true => self.round,
            false => self.progress(voter).map_or(Round(0), |progress| progress.acked),
        });
        self.quorum_heard = self.quorum_heard.max(heard.min(node.now));
        self.lease_until = lease;
        let proven = node.reads.prove(round.0, None);
        self.answer_remote(node, proven);
    }

    /// A read begins now.
    pub(crate) fn read(&mut self, node: &mut Node) -> ReadAnswer {
        if self.reads_at_once(node, node.now) {
            return ReadAnswer::Now;
        }
        let token = node.reads.join();
        if self.has_proof(node, node.now) {
            let index = node.commit();
            let proven = node.reads.prove_all(index, node.now);
            self.answer_remote(node, proven);
        }
        ReadAnswer::Wait(token)
    }

    /// A read begins on another node.
    pub(crate) fn on_read_index(&mut self, node: &mut Node, from: NodeId, context: u64) {
        let proven = self.has_proof(node, node.now);
        if proven || node.reads.remote_len() >= REMOTE_READS_MAX {
            self.answer_read(node, from, context, proven.then_some(node.commit()));
        } else {
            node.reads.join_remote((from, context));
        }
    }

    fn answer_remote(&mut self, node: &mut Node, proven: Option<Proven>) {
        let Some(proven) = proven else { return };
        for (to, context) in proven.remote {
            self.answer_read(node, to, context, Some(proven.index));
        }
    }

    /// Tells another node how far it must have applied, and has it told soon that this is committed.
    fn answer_read(&mut self, node: &mut Node, to: NodeId, context: u64, index: Option<Index>) {
        node.send(to, Body::ReadIndexReply(ReadIndexReply { context, index }));
        if let Some(progress) = self.progress_of(to) {
            progress.read_index = progress.read_index.max(index.unwrap_or_default());
            self.has_news = true;
        }
    }

    /// Whether a read that began at `now` would be answered without waiting for anything.
    pub(crate) fn reads_at_once(&self, node: &Node, now: Moment) -> bool {
        let has_applied = node.applied() >= node.commit() || is_on(Bug::ReadBeforeApplied);
        has_applied && self.has_proof(node, now)
    }

    /// Whether the commit index covers whatever anybody was told before `now`.
    fn has_proof(&self, node: &Node, now: Moment) -> bool {
        let has_begun = node.commit() >= self.first || is_on(Bug::ReadBeforeOwnEntry);
        has_begun && self.lease_holds(node, now)
    }

    /// Whether nobody else can lead at `now`.
    pub(crate) fn lease_holds(&self, node: &Node, now: Moment) -> bool {
        // After a pause the clock is not trusted with a lease from before it.
        let paused = now.since(node.now) > node.options.heartbeat_interval * 2;
        let leased = node.options.read_mode == ReadMode::Lease && now < self.lease_until && !paused;
        leased || node.decides_alone() || is_on(Bug::EndlessLease)
    }

    /// The lease is void; only answers to rounds that begin from now on renew it.
    pub(crate) fn drop_lease(&mut self) {
        self.lease_from = self.round.next();
        self.lease_until = Moment::ZERO;
    }
}
