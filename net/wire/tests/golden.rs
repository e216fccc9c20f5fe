//! Frozen frames: what was seen on real connections must decode, and encode to the same bytes.
#![expect(clippy::expect_used, reason = "a broken table of frames must fail the tests")]

use wire::{
    AddGroupReq, AddNodeReq, CommitOrAbortReq, Fields, Handshake, KvStatusResp, ListGroupsResp,
    ListNodesResp, NodePing, Packet, PacketKind, PrepareChangeReq, QueryStatusResp, RaftPing,
    Splitter, TransferLeaderReq, Value, WireError, Writer, decode_fixed32, decode_fixed64,
};

struct Frame {
    name: &'static str,
    message: &'static str,
    bytes: Vec<u8>,
}

fn frames() -> Vec<Frame> {
    let lines = include_str!("golden/frames.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split(' ');
            let mut word = || words.next().expect("three words a line");
            Frame { name: word(), message: word(), bytes: bytes_of(word()) }
        })
        .collect()
}

fn bytes_of(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes().chunks(2);
    digits
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("hexadecimal digits")
        })
        .collect()
}

/// Decodes a body and encodes it again; `None` for the messages of other crates.
fn again(message: &str, body: &[u8]) -> Option<Result<Vec<u8>, WireError>> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    let result = match message {
        "Handshake" => Handshake::decode(body).map(|message| message.encode(&mut writer)),
        "QueryStatusResp" => QueryStatusResp::decode(body).map(|m| m.encode(&mut writer)),
        "KvStatusResp" => KvStatusResp::decode(body).map(|message| message.encode(&mut writer)),
        "NodePing" => NodePing::decode(body).map(|message| message.encode(&mut writer)),
        "RaftPing" => RaftPing::decode(body).map(|message| message.encode(&mut writer)),
        "TransferLeaderReq" => TransferLeaderReq::decode(body).map(|m| m.encode(&mut writer)),
        "PrepareReq" => PrepareChangeReq::decode(body).map(|m| m.encode(&mut writer)),
        "CommitAbortReq" => CommitOrAbortReq::decode(body).map(|m| m.encode(&mut writer)),
        "AddNodeReq" => AddNodeReq::decode(body).map(|message| message.encode(&mut writer)),
        "AddGroupReq" => AddGroupReq::decode(body).map(|message| message.encode(&mut writer)),
        "ListNodesResp" => ListNodesResp::decode(body).map(|m| m.encode(&mut writer)),
        "ListGroupsResp" => ListGroupsResp::decode(body).map(|m| m.encode(&mut writer)),
        "fixed32_value" => decode_fixed32(body).map(|value| writer.fixed32(1, value)),
        "fixed64_value" => decode_fixed64(body).map(|value| writer.fixed64(1, value)),
        "Raw" => {
            writer.raw(body);
            Ok(())
        }
        _ => return None,
    };
    Some(result.map(|()| out))
}

#[test]
fn packets_come_back_byte_for_byte() {
    let frames = frames();
    assert_eq!(frames.len(), 169);
    for Frame { name, message, bytes } in &frames {
        let (frame, consumed) = Splitter::new(1 << 20).split(bytes).expect(name).expect(name);
        assert_eq!(consumed, bytes.len(), "{name}");
        let packet = Packet::decode(frame).expect(name);
        let mut out = Vec::new();
        packet.encode(&mut out);
        assert_eq!(&out, bytes, "{name}");
        let answer = name.contains(".resp") || *message == "KvResp" || name.starts_with("err.");
        assert!(!answer || packet.kind() == PacketKind::Response, "{name}");
        assert!(packet.command.name().is_some() || packet.command.0 == 999, "{name}");
    }
}

#[test]
fn bodies_come_back_byte_for_byte() {
    let mut checked = 0;
    for Frame { name, message, bytes } in frames() {
        let packet = Packet::decode(&bytes[4..]).expect(name);
        if let Some(result) = again(message, packet.body_bytes()) {
            assert_eq!(result.expect(name), packet.body_bytes(), "{name}");
            checked += 1;
        }
    }
    assert_eq!(checked, 31);
}

/// A cut or damaged frame must never panic, and a cut one never pass for the whole.
#[test]
fn every_cut_and_every_flip() {
    for Frame { name, message, bytes } in frames() {
        let frame = &bytes[4..];
        let whole = Packet::decode(frame).expect(name);
        for cut in 0..frame.len() {
            assert_ne!(Packet::decode(&frame[..cut]), Ok(whole), "{name} cut at {cut}");
            let body = whole.body_bytes();
            let _ = again(message, &body[..cut.min(body.len())]);
        }
        let mut damaged = frame.to_vec();
        for position in 0..damaged.len() {
            for bit in 0..8 {
                damaged[position] ^= 1 << bit;
                if let Ok(packet) = Packet::decode(&damaged) {
                    let _ = again(message, packet.body_bytes());
                }
                damaged[position] ^= 1 << bit;
            }
        }
    }
}

/// Random bytes and random edits of frozen frames: no panic, and what is read lies in the input.
#[test]
fn no_bytes_make_a_decoder_panic() {
    let seeds: Vec<Frame> = frames();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % limit as u64) as usize
    };
    let mut accepted = 0;
    for round in 0..200_000 {
        let frame = &seeds[below(seeds.len())];
        let mut bytes = if round % 4 == 0 { vec![0; below(40)] } else { frame.bytes[4..].to_vec() };
        if round % 4 == 0 {
            bytes.iter_mut().for_each(|byte| *byte = below(256) as u8);
        }
        for _ in 0..below(4) {
            match (below(3), bytes.len()) {
                (_, 0) | (0, _) => bytes.insert(below(bytes.len() + 1), below(256) as u8),
                (1, length) => bytes[below(length)] = below(256) as u8,
                (_, length) => drop(bytes.remove(below(length))),
            }
        }
        let read: usize = Fields::new(&bytes)
            .map_while(Result::ok)
            .map(|(_, value)| if let Value::Bytes(bytes) = value { bytes.len() } else { 0 })
            .sum();
        assert!(read <= bytes.len());
        if let Ok(packet) = Packet::decode(&bytes) {
            accepted += 1;
            let _ = again(frame.message, packet.body_bytes());
            let mut out = Vec::new();
            packet.encode(&mut out);
            assert_eq!(Packet::decode(&out[4..]), Ok(packet));
        }
    }
    assert!(accepted > 10_000, "only {accepted} inputs were accepted: the edits are too wild");
}
