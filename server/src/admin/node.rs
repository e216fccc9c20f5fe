//! What is asked about the node itself.

use wire::{Command, ListGroupsResp, ListNodesResp, NodePing, RaftNode, RespCode, ResponseHead};

use crate::config::Config;

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
