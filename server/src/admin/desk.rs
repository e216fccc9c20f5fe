//! What is asked about a group, and handing over its leadership.

use std::rc::Rc;
use std::time::Duration;

use moment::Moment;
use raft_core::{GroupId, NodeId, TransferRefused};
use raft_host::{Group, Refusal};
use runtime::Shard;
use wire::{
    Command, CommitOrAbortReq, PrepareChangeReq, RaftPing, RespCode, ResponseHead,
    TransferLeaderReq, decode_fixed32, encode_response,
};

use crate::caller::Caller;
use crate::machine::KvStateMachine;
use crate::refusal::refuse;
use crate::replies::Replies;
use crate::roster::Roster;

/// The group that a request of administration is about; `None` when it cannot be decoded.
pub fn group_of(command: Command, body: &[u8]) -> Option<GroupId> {
    let group = match command {
        Command::RAFT_PING => RaftPing::decode(body).ok()?.group_id,
        Command::RAFT_ADMIN_TRANSFER_LEADER => TransferLeaderReq::decode(body).ok()?.group_id,
        Command::RAFT_ADMIN_PREPARE_CHANGE => PrepareChangeReq::decode(body).ok()?.group_id,
        Command::SNAPSHOT_SAVE | Command::SNAPSHOT_LIST => decode_fixed32(body).ok()? as i32,
        _ => CommitOrAbortReq::decode(body).ok()?.group_id,
    };
    Some(GroupId(group))
}

/// Whether a request is one of administration about a group.
pub fn is_of_group(command: Command) -> bool {
    matches!(
        command,
        Command::RAFT_PING
            | Command::RAFT_ADMIN_TRANSFER_LEADER
            | Command::RAFT_ADMIN_PREPARE_CHANGE
            | Command::RAFT_ADMIN_COMMIT_CHANGE
            | Command::RAFT_ADMIN_ABORT_CHANGE
            | Command::SNAPSHOT_SAVE
            | Command::SNAPSHOT_LIST
    )
}

/// A group of this shard, and what it takes to answer questions about it.
pub struct Desk<'a> {
    /// Where waiting is done.
    pub shard: &'a Shard,
    /// This node.
    pub own: u32,
    /// All nodes.
    pub roster: &'a Roster,
    /// The way back.
    pub replies: &'a Rc<Replies>,
    /// The group.
    pub group: &'a Group<KvStateMachine>,
}

impl Desk<'_> {
    /// Answers a request about the group.
    pub fn answer(&self, caller: Caller, body: &[u8], now: Moment) {
        match caller.command {
            Command::RAFT_PING => self.ping(&caller, body, now),
            Command::RAFT_ADMIN_TRANSFER_LEADER => self.transfer(caller, body, now),
            Command::SNAPSHOT_SAVE => self.save_snapshot(caller, now),
            Command::SNAPSHOT_LIST => self.list_snapshots(&caller, now),
            _ => self.change(caller, body, now),
        }
    }

    /// How this node sees the group's members.
    fn ping(&self, caller: &Caller, body: &[u8], now: Moment) {
        let Ok(ping) = RaftPing::decode(body) else { return };
        let raft = self.group.status().raft;
        let prepared = raft.config.next.unwrap_or_default();
        let answer = RaftPing {
            group_id: ping.group_id,
            node_id: raft.id.0 as i32,
            members: self.addresses(&raft.config.current.voters),
            observers: self.addresses(&raft.config.current.observers),
            prepared_members: self.addresses(&prepared.voters),
            prepared_observers: self.addresses(&prepared.observers),
        };
        let head = ResponseHead::success(caller.command, caller.seq);
        self.replies.answer(caller, now, |out| {
            encode_response(out, &head, |writer| answer.encode(writer));
        });
    }

    /// `id,host:port;` for each node.
    fn addresses(&self, nodes: &[NodeId]) -> String {
        let of = |node: &NodeId| Some((node.0, self.roster.nodes().get(&node.0)?));
        let known = nodes.iter().filter_map(of);
        known.map(|(id, endpoint)| format!("{id},{endpoint};")).collect()
    }

    /// Hands leadership over, as long as the caller has time.
    fn transfer(&self, caller: Caller, body: &[u8], now: Moment) {
        let Ok(request) = TransferLeaderReq::decode(body) else { return };
        let own = self.own as i32;
        if request.old_leader_id != own {
            let text = format!("this is node {own}, not node {}", request.old_leader_id);
            return self.replies.refuse(&caller, now, RespCode::SysError, &text);
        }
        let (group, replies) = (self.group.clone(), self.replies.clone());
        let clock = self.shard.clock().clone();
        self.shard.fibers().spawn_daemon("transfer", async move {
            let limit = caller.deadline.since(now).saturating_sub(ANSWER_TIME);
            let ended = group.transfer(NodeId(request.new_leader_id as u32), limit).await;
            answer_transfer(&replies, &caller, clock.now(), ended, request.new_leader_id);
            replies.flush();
        });
    }
}

/// What is left of the caller's time for the answer.
pub(super) const ANSWER_TIME: Duration = Duration::from_millis(100);

fn answer_transfer(
    replies: &Replies,
    caller: &Caller,
    now: Moment,
    ended: Result<bool, TransferRefused>,
    to: i32,
) {
    let text = match ended {
        Ok(true) | Err(TransferRefused::AlreadyLeads) => {
            let head = ResponseHead::success(caller.command, caller.seq);
            return replies.answer(caller, now, |out| encode_response(out, &head, |_| {}));
        }
        Err(TransferRefused::NotLeader { leader }) => {
            return refuse(replies, caller, now, Refusal::NotLeader { leader });
        }
        Ok(false) => format!("node {to} did not take over in time; this node leads on"),
        Err(TransferRefused::NotVoter) => format!("nodeId not found: {to}; it is no member"),
        Err(TransferRefused::UnderWay) => "transfer leader in progress".to_owned(),
        Err(TransferRefused::Changing) => "a membership change is in progress".to_owned(),
    };
    replies.refuse(caller, now, RespCode::SysError, &text);
}
