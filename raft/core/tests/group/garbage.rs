//! Messages that no correct node sends: refused, never a panic, never a broken promise.

use std::time::Duration;

use moment::Moment;
use raft_core::message::{
    Append, AppendOutcome, AppendReply, Ballot, Entries, Handover, Heartbeat, HeartbeatReply,
    ReadIndex, ReadIndexReply, SnapshotOffer, SnapshotReply, TermSpan, TimeoutNow, Vote, VoteReply,
};
use raft_core::{
    Body, Change, Config, ConfigEntry, Index, Members, Message, NodeId, Position, Raft,
    RaftOptions, Restored, Round, Run, Term,
};

use crate::world::Random;

/// Small numbers most of the time, and sometimes the ends of their range.
fn number(random: &mut Random) -> u64 {
    match random.below(20) {
        0 => u64::MAX - random.below(2),
        1 => 1 << 31,
        _ => random.below(12),
    }
}

fn index(random: &mut Random) -> Index {
    Index(number(random))
}

fn term(random: &mut Random) -> Term {
    Term(number(random).min(u64::from(u32::MAX)) as u32)
}

fn position(random: &mut Random) -> Position {
    Position { index: index(random), term: term(random) }
}

fn entries(random: &mut Random) -> Entries {
    let list = |random: &mut Random| 0..random.below(3);
    let config = Config::of([1, 2].map(NodeId), []);
    Entries {
        count: number(random),
        first_term: term(random),
        later_runs: list(random)
            .map(|_| Run { first: index(random), term: term(random) })
            .collect(),
        configs: list(random)
            .map(|_| ConfigEntry { index: index(random), config: config.clone() })
            .collect(),
    }
}

fn body(random: &mut Random) -> Body {
    let round = Round(number(random));
    let granted = random.below(2) == 0;
    let ballot = if granted { Ballot::Real } else { Ballot::Pre(term(random)) };
    match random.below(12) {
        0 | 1 => Body::Append(Append {
            previous: position(random),
            round,
            commit: index(random),
            entries: entries(random),
        }),
        2 => {
            let outcome = AppendOutcome::Matched(index(random));
            Body::AppendReply(AppendReply { round, outcome })
        }
        3 => {
            let hints = (0..random.below(4)).map(|_| TermSpan {
                term: term(random),
                first: index(random),
                last: index(random),
            });
            let hints = hints.collect();
            let (previous, last) = (index(random), index(random));
            let outcome = AppendOutcome::Mismatch { previous, last, hints };
            Body::AppendReply(AppendReply { round, outcome })
        }
        4 => Body::Heartbeat(Heartbeat { round, commit: position(random) }),
        5 => {
            let loyalty = Duration::from_millis(number(random));
            Body::HeartbeatReply(HeartbeatReply { round, loyalty, priority: round.0 as u8 })
        }
        6 => {
            let handover = granted.then(|| Handover { term: term(random), round });
            Body::Vote(Vote { ballot, last: position(random), handover })
        }
        7 => Body::VoteReply(VoteReply { ballot, granted: random.below(2) == 0 }),
        8 => Body::TimeoutNow(TimeoutNow { round }),
        9 => Body::SnapshotOffer(SnapshotOffer { round, boundary: position(random) }),
        10 => {
            Body::SnapshotReply(SnapshotReply { round, boundary: position(random), holds: granted })
        }
        _ => match granted {
            true => Body::ReadIndex(ReadIndex { context: number(random) }),
            false => {
                let index = Some(index(random));
                Body::ReadIndexReply(ReadIndexReply { context: number(random), index })
            }
        },
    }
}

/// A node among liars, with a disk that answers at once.
fn run(seed: u64) {
    let mut random = Random(seed);
    let mut restored = Restored::founded_with(Config::of([1, 2, 3].map(NodeId), []));
    restored.runs =
        vec![Run { first: Index(1), term: Term(1) }, Run { first: Index(4), term: Term(2) }];
    (restored.last, restored.hard_state.term) = (Index(6), Term(2));
    let mut now = Moment::from_nanos(1);
    let mut raft = Raft::new(RaftOptions::new(NodeId(1), seed), restored, now).unwrap();
    for _ in 0..300 {
        let from = NodeId(2 + random.below(3) as u32);
        let own_term = raft.status().term;
        match random.below(20) {
            0 => {
                now = raft.next_deadline().min(now + Duration::from_secs(3)).max(now);
                raft.tick(now);
            }
            1 => _ = raft.propose(1 + random.below(3)),
            2 => _ = raft.read_here(now),
            3 => {
                let next = Members::of([1, 4].map(NodeId), []);
                let current = raft.status().config.current;
                let change = Change::Prepare { current, next };
                _ = raft.change(change, Duration::from_secs(1), now);
            }
            4 => _ = raft.transfer(from, Duration::from_secs(1), now),
            5 if raft.status().role == raft_core::RoleName::Candidate => {
                let reply = VoteReply { ballot: Ballot::Real, granted: true };
                let message = Message { term: own_term, body: Body::VoteReply(reply) };
                raft.step(from, message, now);
            }
            kind => {
                let term = if kind < 16 { own_term } else { term(&mut random) };
                raft.step(from, Message { term, body: body(&mut random) }, now);
            }
        }
        drain(&mut raft, now);
        let status = raft.status();
        assert!(status.term >= own_term, "a term went back");
        assert!(status.applied <= status.commit && status.commit <= status.last.index);
        assert!(status.durable <= status.last.index);
    }
}

fn drain(raft: &mut Raft, now: Moment) {
    loop {
        let output = raft.output();
        if output.is_empty() {
            return;
        }
        if let Some(state) = output.hard_state {
            raft.hard_state_persisted(state, now);
        }
        let last = raft.status().last;
        raft.persisted(last.index, last.term);
        if let Some(index) = output.apply_to {
            raft.applied(index);
        }
        let followers: Vec<NodeId> = raft.followers().collect();
        for to in followers {
            if let Some(sendable) = raft.sendable(to) {
                assert!(raft.send_entries(to, sendable.first, sendable.last, 1).is_some());
            }
        }
    }
}

#[test]
fn garbage_is_refused_without_a_panic() {
    for seed in 0..3000 {
        let result = std::panic::catch_unwind(|| run(seed));
        assert!(result.is_ok(), "seed {seed} failed");
    }
}
