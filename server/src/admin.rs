//! What administration and other nodes ask on the replicate port.

use std::rc::Rc;
use std::time::Duration;

use moment::Moment;
use raft_core::{GroupId, NodeId, TransferRefused};
use raft_host::{Group, Refusal};
use runtime::Shard;
use wire::{
    Command, ListGroupsResp, ListNodesResp, NodePing, RaftNode, RaftPing, RespCode, ResponseHead,
    TransferLeaderReq, encode_response,
};

use crate::caller::Caller;
use crate::config::Config;
use crate::machine::KvStateMachine;
use crate::refusal::refuse;
use crate::replies::Replies;

/// The group that a request of administration is about; `None` when it is not such a request or
/// cannot be decoded.
pub fn group_of(command: Command, body: &[u8]) -> Option<GroupId> {
    match command {
        Command::RAFT_PING => RaftPing::decode(body).ok().map(|ping| GroupId(ping.group_id)),
        Command::RAFT_ADMIN_TRANSFER_LEADER => {
            TransferLeaderReq::decode(body).ok().map(|request| GroupId(request.group_id))
        }
        _ => None,
    }
}

/// Whether a request is one of administration about a group.
pub fn is_of_group(command: Command) -> bool {
    matches!(command, Command::RAFT_PING | Command::RAFT_ADMIN_TRANSFER_LEADER)
}

/// A group of this shard, and what it takes to answer questions about it.
pub struct Desk<'a> {
    /// Where waiting is done.
    pub shard: &'a Shard,
    /// The node's configuration.
    pub config: &'a Config,
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
            _ => self.transfer(caller, body, now),
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
        let of = |node: &NodeId| self.config.nodes.iter().find(|peer| peer.id == node.0);
        let known = nodes.iter().filter_map(of);
        known.map(|peer| format!("{},{};", peer.id, peer.replicate)).collect()
    }

    /// Hands leadership over, as long as the caller has time.
    fn transfer(&self, caller: Caller, body: &[u8], now: Moment) {
        let Ok(request) = TransferLeaderReq::decode(body) else { return };
        let own = self.config.node.id as i32;
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
const ANSWER_TIME: Duration = Duration::from_millis(100);

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

/// Answers what concerns the node and none of its groups. `false` when the command is another one.
pub fn answer_of_node(
    config: &Config,
    process: wire::ProcessId,
    connection: &rpc::Connection,
    packet: &wire::Packet<'_>,
) -> bool {
    let head = ResponseHead::success(packet.command, packet.seq);
    match packet.command {
        Command::NODE_PING => match node_ping(config, process, packet.body_bytes()) {
            Ok(answer) => connection.respond(&head, |writer| answer.encode(writer)),
            Err(text) => connection.refuse(packet, RespCode::SysError, &text),
        },
        Command::RAFT_ADMIN_LIST_NODES => {
            let mut nodes: Vec<RaftNode> = config.nodes.iter().map(raft_node).collect();
            nodes.sort_unstable_by_key(|node| node.node_id);
            connection.respond(&head, |writer| ListNodesResp { nodes }.encode(writer));
        }
        Command::RAFT_ADMIN_LIST_GROUPS => {
            let mut group_ids: Vec<i32> = config.groups.iter().map(|group| group.id).collect();
            group_ids.sort_unstable();
            connection.respond(&head, |writer| ListGroupsResp { group_ids }.encode(writer));
        }
        _ => return false,
    }
    true
}

fn node_ping(config: &Config, process: wire::ProcessId, body: &[u8]) -> Result<NodePing, String> {
    let ping = NodePing::decode(body).map_err(|error| error.to_string())?;
    let own = config.node.id as i32;
    if ping.remote_node_id != own {
        return Err(format!("node id not match: this is node {own}, not {}", ping.remote_node_id));
    }
    if !config.nodes.iter().any(|peer| peer.id as i32 == ping.local_node_id) {
        return Err(format!("node not found: {}", ping.local_node_id));
    }
    Ok(NodePing {
        local_node_id: own,
        remote_node_id: ping.local_node_id,
        uuid_high: process.high,
        uuid_low: process.low,
    })
}

fn raft_node(peer: &crate::config::Peer) -> RaftNode {
    RaftNode {
        node_id: peer.id as i32,
        host: peer.replicate.host.clone(),
        port: i32::from(peer.replicate.port),
    }
}
