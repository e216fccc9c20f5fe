//! Outputs and messages as lines of text, for scripts and for looking into a run.

use raft_core::message::{AppendOutcome, Ballot, TermSpan};
use raft_core::{
    Body, ChangeOutcome, Config, Members, Message, NodeId, Output, OwnEntryBody, TransferOutcome,
};

/// What an output owes, in its order, one line each; messages are left to the network.
pub(crate) fn output_lines(output: &Output) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(role) = output.role {
        let leader = role.leader.map_or("nobody".into(), |leader| leader.to_string());
        lines.push(format!("is {:?} in term {}, leader {leader}", role.role, role.term));
    }
    if let Some(state) = output.hard_state {
        let vote = state.vote.map_or("nobody".into(), |vote| vote.to_string());
        lines.push(format!("persist term {} vote {vote}", state.term));
    }
    if let Some(accepted) = output.accepted {
        if let Some(from) = accepted.truncate_from {
            lines.push(format!("truncate from {from}"));
        }
        lines.push(format!("append {}..={}", accepted.first, accepted.last));
    }
    for own in &output.own_entries {
        let what = match &own.body {
            OwnEntryBody::Noop => "noop".into(),
            OwnEntryBody::Config(config) => config_text(config),
        };
        lines.push(format!("append own {}@{} {what}", own.index, own.term));
    }
    lines.extend(output.snapshots.iter().map(|to| format!("node {to} needs a snapshot")));
    if let Some(wanted) = output.install {
        lines.push(format!("wants snapshot {} from {}", wanted.boundary, wanted.from));
    }
    lines.extend(output.apply_to.map(|index| format!("apply to {index}")));
    lines.extend(output.reads.ready.map(|token| format!("reads ready to {}", token.0)));
    lines.extend(output.reads.refused.map(|token| format!("reads refused to {}", token.0)));
    lines.extend(output.change.map(|change| match change {
        ChangeOutcome::Appended(index) => format!("change is entry {index}"),
        ChangeOutcome::GivenUp => "change given up".into(),
    }));
    lines.extend(output.transfer.map(|transfer| match transfer {
        TransferOutcome::Done => "transfer done".to_string(),
        TransferOutcome::TimedOut => "transfer timed out".into(),
    }));
    lines.extend(output.lost_log.map(|node| format!("node {node} has lost its log")));
    lines
}

pub(crate) fn message_text(message: &Message) -> String {
    let body = match &message.body {
        Body::Append(append) => {
            let (from, to) = (append.previous.index.next(), append.last());
            let entries = if to < from { "nothing".into() } else { format!("{from}..={to}") };
            let (previous, round, commit) = (append.previous, append.round, append.commit);
            format!("append {entries} after {previous} commit {commit} round {round}")
        }
        Body::AppendReply(reply) => match &reply.outcome {
            AppendOutcome::Matched(index) => format!("matched {index} round {}", reply.round),
            AppendOutcome::Mismatch { previous, last, hints } => {
                let hints: Vec<String> = hints.iter().map(span_text).collect();
                format!("mismatch at {previous} last {last} has [{}]", hints.join(" "))
            }
        },
        Body::Heartbeat(beat) => format!("heartbeat commit {} round {}", beat.commit, beat.round),
        Body::HeartbeatReply(reply) => format!("heard round {}", reply.round),
        Body::Vote(vote) => {
            let handover =
                vote.handover.map(|h| format!(" handed over in {} round {}", h.term, h.round));
            let last = vote.last;
            match vote.ballot {
                Ballot::Pre(term) => format!("would you vote in {term} last {last}"),
                Ballot::Real => format!("vote last {last}{}", handover.unwrap_or_default()),
            }
        }
        Body::VoteReply(reply) => match (reply.ballot, reply.granted) {
            (Ballot::Pre(term), true) => format!("would vote in {term}"),
            (Ballot::Pre(term), false) => format!("would not vote in {term}"),
            (Ballot::Real, true) => "votes".into(),
            (Ballot::Real, false) => "does not vote".into(),
        },
        Body::TimeoutNow(order) => format!("stand now round {}", order.round),
        Body::SnapshotOffer(offer) => format!("offers snapshot {}", offer.boundary),
        Body::SnapshotReply(reply) => {
            format!("snapshot {} {}", reply.boundary, if reply.holds { "held" } else { "failed" })
        }
        Body::ReadIndex(_) => "asks for the read index".into(),
        Body::ReadIndexReply(reply) => match reply.index {
            Some(index) => format!("read index is {index}"),
            None => "has no read index".into(),
        },
    };
    format!("t{} {body}", message.term)
}

fn span_text(span: &TermSpan) -> String {
    format!("{}..={}@{}", span.first, span.last, span.term)
}

pub(crate) fn config_text(config: &Config) -> String {
    let next = config.next.as_ref().map(|next| format!(" next {}", members_text(next)));
    format!("members {}{}", members_text(&config.current), next.unwrap_or_default())
}

fn members_text(members: &Members) -> String {
    let list = |nodes: &[NodeId]| {
        let ids: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
        ids.join(",")
    };
    match members.observers.is_empty() {
        true => list(&members.voters),
        false => format!("{} observers {}", list(&members.voters), list(&members.observers)),
    }
}
