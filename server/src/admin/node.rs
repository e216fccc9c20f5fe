//! What is asked about the node itself.

use wire::{Command, ListGroupsResp, ListNodesResp, NodePing, RaftNode, RespCode, ResponseHead};

use crate::config::Endpoint;
use crate::roster::Roster;

/// Answers what concerns the node and none of its groups. `false` when the command is another one.
pub fn answer_of_node(
    own: u32,
    roster: &Roster,
    process: wire::ProcessId,
    connection: &rpc::Connection,
    packet: &wire::Packet<'_>,
) -> bool {
    let head = ResponseHead::success(packet.command, packet.seq);
    match packet.command {
        Command::NODE_PING => match node_ping(own, roster, process, packet.body_bytes()) {
            Ok(answer) => connection.respond(&head, |writer| answer.encode(writer)),
            Err(text) => connection.refuse(packet, RespCode::SysError, &text),
        },
        Command::RAFT_ADMIN_LIST_NODES => {
            let nodes = roster.nodes().iter().map(raft_node).collect();
            connection.respond(&head, |writer| ListNodesResp { nodes }.encode(writer));
        }
        Command::RAFT_ADMIN_LIST_GROUPS => {
            let group_ids = roster.groups().keys().copied().collect();
            connection.respond(&head, |writer| ListGroupsResp { group_ids }.encode(writer));
        }
        _ => return false,
    }
    true
}

fn node_ping(
    own: u32,
    roster: &Roster,
    process: wire::ProcessId,
    body: &[u8],
) -> Result<NodePing, String> {
    let ping = NodePing::decode(body).map_err(|error| error.to_string())?;
    let own = own as i32;
    if ping.remote_node_id != own {
        return Err(format!("node id not match: this is node {own}, not {}", ping.remote_node_id));
    }
    if !roster.nodes().contains_key(&(ping.local_node_id as u32)) {
        return Err(format!("node not found: {}", ping.local_node_id));
    }
    Ok(NodePing {
        local_node_id: own,
        remote_node_id: ping.local_node_id,
        uuid_high: process.high,
        uuid_low: process.low,
    })
}

fn raft_node((id, endpoint): (&u32, &Endpoint)) -> RaftNode {
    RaftNode { node_id: *id as i32, host: endpoint.host.clone(), port: i32::from(endpoint.port) }
}
