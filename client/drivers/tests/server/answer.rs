//! From a request to its answer, without sockets.

use std::collections::BTreeMap;

use kv_api::{KvNode, KvRequest, KvResult, NodeFlags, encode_results};
use wire::{
    BizCode, Command, ConnectionLimits, Handshake, KvStatusResp, Packet, QueryStatusResp, RespCode,
    ResponseHead, Writer, encode_response,
};

/// Keys without directories.
pub(crate) struct Tree {
    pub(crate) node: i32,
    pub(crate) manner: Manner,
    pub(crate) values: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a server does with requests to the tree.
#[derive(Clone, Copy)]
pub(crate) enum Manner {
    /// Carries them out and names itself as the leader.
    Serve,
    /// Refuses them and names node 2 as the leader.
    PointToNode2,
    /// Never answers them.
    Ignore,
    /// Closes the connection, except when directories are made.
    HangUp,
}

impl Tree {
    /// Appends the answer; returns whether the connection goes on.
    pub(crate) fn answer(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>) -> bool {
        let head = ResponseHead::success(packet.command, packet.seq);
        let status = || QueryStatusResp {
            node_id: self.node,
            leader_id: match self.manner {
                Manner::PointToNode2 => 2,
                _ => self.node,
            },
            // The higher node has been elected later.
            term: self.node,
            ..QueryStatusResp::default()
        };
        match (packet.command, self.manner) {
            (Command::HANDSHAKE, _) => encode_response(out, &head, |writer| {
                Handshake::response(ConnectionLimits::default()).encode(writer);
            }),
            (Command::PING, _) => encode_response(out, &head, |w| w.raw(packet.body_bytes())),
            // The first question is answered wrongly, so that the hint is of use.
            (Command::RAFT_QUERY_STATUS, Manner::PointToNode2) => {
                encode_response(out, &head, |w| {
                    QueryStatusResp { leader_id: self.node, ..status() }.encode(w);
                });
            }
            (Command::RAFT_QUERY_STATUS, _) => encode_response(out, &head, |w| status().encode(w)),
            (Command::DTKV_QUERY_STATUS, _) => encode_response(out, &head, |w| {
                KvStatusResp { raft_server_status: Some(status()), watch_count: 0 }.encode(w);
            }),
            (_, Manner::Serve) | (Command::DTKV_MKDIR, Manner::HangUp) => self.execute(packet, out),
            (_, Manner::PointToNode2) => {
                let code = RespCode::NotRaftLeader;
                let head = ResponseHead::refusal(packet.command, packet.seq, code, "not me");
                encode_response(out, &ResponseHead { extra: b"2", ..head }, |_| {});
            }
            (_, Manner::Ignore) => {}
            (_, Manner::HangUp) => return false,
        }
        true
    }

    fn execute(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>) {
        let values = &mut self.values;
        let request = KvRequest::decode(packet.body_bytes()).expect("a request");
        let mut put = |key: &[u8], value: &[u8]| match values.insert(key.into(), value.into()) {
            None => BizCode::Success,
            Some(_) => BizCode::SuccessOverwrite,
        };
        let reply = |codes: &[BizCode], out: &mut Vec<u8>| {
            let head = ResponseHead::success(packet.command, packet.seq);
            let head = if codes.len() == 1 { head.with_biz_code(codes[0]) } else { head };
            encode_response(out, &head, |writer: &mut Writer<'_>| {
                encode_results(writer, 7, codes.iter().map(|&code| KvResult::of_code(code)));
            });
        };
        match packet.command {
            Command::DTKV_PUT => reply(&[put(request.key, request.value)], out),
            Command::DTKV_BATCH_PUT => {
                let pairs = request.keys.iter().zip(request.values.iter());
                let codes: Vec<_> = pairs.map(|(key, value)| put(key, value)).collect();
                reply(&codes, out);
            }
            Command::DTKV_MKDIR => reply(&[BizCode::DirExists], out),
            Command::DTKV_REMOVE => {
                let removed = values.remove(request.key);
                reply(&[removed.map_or(BizCode::NotFound, |_| BizCode::Success)], out);
            }
            Command::DTKV_CAS => {
                let equal =
                    values.get(request.key).is_some_and(|value| value == request.expect_value);
                if equal {
                    values.insert(request.key.into(), request.value.into());
                }
                reply(&[if equal { BizCode::Success } else { BizCode::CasMismatch }], out);
            }
            Command::DTKV_BATCH_REMOVE => {
                let remove =
                    |key| values.remove(key).map_or(BizCode::NotFound, |_| BizCode::Success);
                let codes: Vec<_> = request.keys.iter().map(remove).collect();
                reply(&codes, out);
            }
            _ => read(values, &request, packet, out),
        }
    }
}

fn read(
    values: &BTreeMap<Vec<u8>, Vec<u8>>,
    request: &KvRequest<'_>,
    packet: &Packet<'_>,
    out: &mut Vec<u8>,
) {
    let node = |value| KvNode { create_index: 7, flags: NodeFlags(0), value, ..KvNode::default() };
    let find = |key: &[u8]| {
        let value = values.get(key).ok_or(BizCode::NotFound);
        KvResult::of_read(value.map(|value| node(value)))
    };
    let results: Vec<KvResult<'_>> = match packet.command {
        Command::DTKV_GET => vec![find(request.key)],
        Command::DTKV_BATCH_GET => request.keys.iter().map(find).collect(),
        Command::DTKV_LIST => {
            values.iter().map(|(key, value)| KvResult::of_child(key, node(value))).collect()
        }
        other => panic!("unexpected command {other}"),
    };
    let head = ResponseHead::success(packet.command, packet.seq);
    let head = match (packet.command, results.first()) {
        (Command::DTKV_GET, Some(result)) => head.with_biz_code(result.code),
        _ => head,
    };
    encode_response(out, &head, |writer| encode_results(writer, 0, results.iter().copied()));
}
