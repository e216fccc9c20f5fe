//! Reads that wait: first for the proof that the leader still led after they began, then for the
//! state machine.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use moment::Moment;

use crate::output::ReadToken;
use crate::types::{Index, NodeId};

/// A question of another node: who asks, and its context.
pub(crate) type RemoteRead = (NodeId, u64);

/// Waiting reads of one node, in batches. A batch is open until its proof is begun; reads that come
/// while a proof is under way need a later one and join the next batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    /// The newest token; tokens of the node's life rise over all its roles.
    issued: u64,
    /// Whether `issued` can still be joined.
    open: bool,
    open_remote: Vec<RemoteRead>,
    asked: Option<Asked>,
    /// Proven, and waiting for the state machine; rising.
    proven: VecDeque<Waiting>,
    /// What was acknowledged to anyone before this time is in the state machine here.
    current_as_of: Option<Moment>,
}

/// A batch that waits for the state machine.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    token: ReadToken,
    index: Index,
    /// When its proof began.
    begun: Moment,
}

#[derive(Clone, Debug)]
struct Asked {
    token: ReadToken,
    /// The round or the context that proves it.
    proof: u64,
    /// What has to be applied, as far as it is known when the proof begins.
    index: Index,
    begun: Moment,
    remote: Vec<RemoteRead>,
}

/// A batch that was proven.
pub(crate) struct Proven {
    pub(crate) index: Index,
    pub(crate) remote: Vec<RemoteRead>,
}

impl Reads {
    /// Adds a read of this node.
    pub(crate) fn join(&mut self) -> ReadToken {
        if !self.open {
            self.open = true;
            self.issued += 1;
        }
        ReadToken(self.issued)
    }

    /// Adds a read of another node.
    pub(crate) fn join_remote(&mut self, read: RemoteRead) {
        self.join();
        self.open_remote.push(read);
    }

    /// How many reads of other nodes wait for a proof.
    pub(crate) fn remote_len(&self) -> usize {
        self.open_remote.len() + self.asked.as_ref().map_or(0, |asked| asked.remote.len())
    }

    /// Whether a proof should begin: there are reads for it, and none is under way.
    pub(crate) fn wants_proof(&self) -> bool {
        self.open && self.asked.is_none()
    }

    /// A leader is asked to prove the open batch; its answer will tell the index.
    pub(crate) fn begin_asking(&mut self, now: Moment) -> ReadToken {
        self.begin(0, Index::ZERO, now)
    }

    /// The proof of the open batch begins.
    pub(crate) fn begin(&mut self, proof: u64, index: Index, begun: Moment) -> ReadToken {
        assert!(self.wants_proof(), "one proof at a time");
        self.open = false;
        let remote = core::mem::take(&mut self.open_remote);
        let token = ReadToken(self.issued);
        self.asked = Some(Asked { token, proof, index, begun, remote });
        token
    }

    /// The token whose proof is under way.
    pub(crate) fn asked(&self) -> Option<ReadToken> {
        self.asked.as_ref().map(|asked| asked.token)
    }

    /// Everything up to `proof` is proven. `index` tells what a leader said, if one was asked.
    pub(crate) fn prove(&mut self, proof: u64, index: Option<Index>) -> Option<Proven> {
        let asked = self.asked.take_if(|asked| asked.proof <= proof)?;
        let index = index.unwrap_or(asked.index);
        self.push(asked.token, index, asked.begun);
        Some(Proven { index, remote: asked.remote })
    }

    /// Every waiting read is proven by a lease that holds now.
    pub(crate) fn prove_all(&mut self, index: Index, now: Moment) -> Option<Proven> {
        if self.asked.is_none() && !self.open {
            return None;
        }
        let mut remote = self.asked.take().map(|asked| asked.remote).unwrap_or_default();
        remote.append(&mut self.open_remote);
        self.open = false;
        self.push(ReadToken(self.issued), index, now);
        Some(Proven { index, remote })
    }

    fn push(&mut self, token: ReadToken, index: Index, begun: Moment) {
        let newest = self.proven.back().copied();
        assert!(newest.is_none_or(|last| last.token < token), "batches are proven in order");
        // A batch is never ready before an older one.
        let index = newest.map_or(index, |last| index.max(last.index));
        self.proven.push_back(Waiting { token, index, begun });
    }

    /// The newest batch whose reads may be answered, once.
    pub(crate) fn settle(&mut self, applied: Index) -> Option<ReadToken> {
        let mut ready = None;
        while let Some(batch) = self.proven.pop_front_if(|batch| batch.index <= applied) {
            ready = Some(batch.token);
            self.current_as_of = self.current_as_of.max(Some(batch.begun));
        }
        ready
    }

    /// Whether everything that was acknowledged more than `age` ago is in the state machine here.
    pub(crate) fn is_current_within(&self, age: Duration, now: Moment) -> bool {
        self.current_as_of.is_some_and(|at| now.since(at) <= age)
    }

    /// Gives up every waiting read. Returns the newest token, if any read waited, and who else asked.
    pub(crate) fn refuse_all(&mut self) -> (Option<ReadToken>, Vec<RemoteRead>) {
        let waited = self.open || self.asked.is_some() || !self.proven.is_empty();
        let mut remote = self.asked.take().map(|asked| asked.remote).unwrap_or_default();
        remote.append(&mut self.open_remote);
        self.open = false;
        self.proven.clear();
        (waited.then_some(ReadToken(self.issued)), remote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_that_come_during_a_proof_need_a_later_one() {
        let mut reads = Reads::default();
        let first = reads.join();
        assert_eq!(reads.join(), first);
        assert_eq!(reads.begin(5, Index(10), Moment::ZERO), first);
        let second = reads.join();
        assert!(second > first && !reads.wants_proof());
        assert!(reads.prove(4, None).is_none(), "a round begun earlier proves nothing");
        assert!(reads.prove(5, None).is_some());
        assert_eq!(reads.settle(Index(9)), None);
        assert_eq!(reads.settle(Index(10)), Some(first));
        assert!(reads.wants_proof());
    }

    #[test]
    fn a_later_batch_never_overtakes() {
        let mut reads = Reads::default();
        reads.join();
        reads.begin(1, Index(20), Moment::ZERO);
        reads.prove(1, None);
        let second = reads.join();
        reads.prove_all(Index(10), Moment::ZERO);
        assert_eq!(reads.settle(Index(10)), None);
        assert_eq!(reads.settle(Index(20)), Some(second));
    }

    #[test]
    fn the_state_is_as_old_as_the_proof_of_what_is_applied() {
        let at = |millis| Moment::ZERO + Duration::from_millis(millis);
        let within =
            |reads: &Reads, age, now| reads.is_current_within(Duration::from_millis(age), at(now));
        let mut reads = Reads::default();
        assert!(!within(&reads, 1_000_000, 0), "nothing is known");
        reads.join();
        reads.begin(1, Index(20), at(10));
        reads.prove(1, None);
        assert!(!within(&reads, 1_000_000, 15), "not applied yet");
        reads.settle(Index(20));
        assert!(within(&reads, 5, 15) && !within(&reads, 4, 15), "it counts from when it began");
    }

    #[test]
    fn refused_reads_are_gone() {
        let mut reads = Reads::default();
        assert_eq!(reads.refuse_all().0, None);
        let token = reads.join();
        reads.join_remote((NodeId(2), 7));
        assert_eq!(reads.refuse_all(), (Some(token), alloc::vec![(NodeId(2), 7)]));
        assert_eq!(reads.settle(Index(100)), None);
    }
}
