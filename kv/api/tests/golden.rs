//! Frames as other implementations send them: decoded, shown, and encoded to the same bytes again.
//!
//! Each block of `golden/*.txt` is a name, the frame in hexadecimal, a line of dashes and what the
//! body says. `GOLDEN=1` writes what the bodies say; the frames are never written.
#![expect(clippy::expect_used, reason = "a test ends at the first surprise")]

use std::fmt::Write;
use std::path::PathBuf;

use kv_api::{
    KvNode, KvRequest, KvResponse, KvResult, WatchNotifyRequest, WatchNotifyResponse, WatchRequest,
};
use wire::{Fields, Value, Writer};

#[test]
fn kv_request() {
    check("kv_request", |body| {
        let request = KvRequest::decode(body).expect("decodable");
        (encode(|writer| request.encode(writer)), show_request(&request))
    });
}

#[test]
fn kv_response() {
    check("kv_response", |body| {
        let response = KvResponse::decode(body).expect("decodable");
        (encode(|writer| response.encode(writer)), show_response(&response))
    });
}

#[test]
fn watch_request() {
    check("watch_request", |body| {
        let request = WatchRequest::decode(body).expect("decodable");
        let mut shown = format!("group {} sync_all {}", request.group_id, request.sync_all);
        for (key, known) in request.entries() {
            write!(shown, "\n{} known {known}", key.escape_ascii()).expect("a string grows");
        }
        (encode(|writer| request.encode(writer)), shown)
    });
}

#[test]
fn watch_notify_request() {
    check("watch_notify_request", |body| {
        let request = WatchNotifyRequest::decode(body).expect("decodable");
        let mut shown = format!("group {}", request.group_id);
        for event in request.events {
            let (key, value) = (event.key.escape_ascii(), event.value.escape_ascii());
            let (state, index) = (event.state, event.raft_index);
            write!(shown, "\n{key} {state:?} at {index} '{value}'").expect("a string grows");
        }
        (encode(|writer| request.encode(writer)), shown)
    });
}

#[test]
fn watch_notify_response() {
    check("watch_notify_response", |body| {
        let response = WatchNotifyResponse::decode(body).expect("decodable");
        (encode(|writer| response.encode(writer)), format!("{:?}", response.results))
    });
}

fn show_request(request: &KvRequest<'_>) -> String {
    let mut shown = format!("group {}", request.group_id);
    let bytes = [("key", request.key), ("value", request.value), ("expect", request.expect_value)];
    for (name, bytes) in bytes {
        if !bytes.is_empty() {
            write!(shown, " {name} '{}'", bytes.escape_ascii()).expect("a string grows");
        }
    }
    if request.ttl_millis != 0 {
        write!(shown, " ttl {}", request.ttl_millis).expect("a string grows");
    }
    for (position, key) in request.keys.iter().enumerate() {
        let value = request.values.iter().nth(position).unwrap_or_default();
        let (key, value) = (key.escape_ascii(), value.escape_ascii());
        write!(shown, "\n'{key}' = '{value}'").expect("a string grows");
    }
    shown
}

fn show_response(response: &KvResponse<'_>) -> String {
    let mut shown = format!("index {}", response.raft_index);
    for KvResult { code, node, name } in response.results {
        write!(shown, "\n{code} {}", name.escape_ascii()).expect("a string grows");
        let Some(node) = node else {
            continue;
        };
        let KvNode { create_index, create_time, update_index, update_time, .. } = node;
        write!(
            shown,
            "created {create_index} {create_time} updated {update_index} {update_time} flags {} '{}'",
            node.flags.0,
            node.value.escape_ascii()
        )
        .expect("a string grows");
    }
    shown
}

/// Runs `decode`, which returns the encoding and what to show, over all blocks of a file.
fn check(file: &str, decode: impl Fn(&[u8]) -> (Vec<u8>, String)) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{file}.txt"));
    let text = std::fs::read_to_string(&path).expect("readable");
    let mut blocks = Vec::new();
    for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let (head, _) = block.trim_start().split_once("\n----").expect("a line of dashes");
        let (name, hex) = head.split_once('\n').expect("a name and a frame");
        let frame = from_hex(hex);
        let body = body_of(&frame);
        let (encoded, shown) = decode(body);
        assert_eq!(encoded, body, "{name} is encoded to other bytes");
        let shown = shown.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        blocks.push(format!("{head}\n----\n{shown}"));
    }
    let updated = blocks.join("\n\n") + "\n";
    if std::env::var_os("GOLDEN").is_some() {
        std::fs::write(&path, &updated).expect("writable");
    } else {
        assert_eq!(text, updated, "run with GOLDEN=1 and read the difference");
    }
}

/// The field 15 of the packet in a frame; empty when it is absent.
fn body_of(frame: &[u8]) -> &[u8] {
    let mut body = &frame[..0];
    for field in Fields::new(&frame[4..]) {
        if let (15, Value::Bytes(value)) = field.expect("a valid packet") {
            body = value;
        }
    }
    body
}

fn encode(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Writer::new(&mut out));
    out
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digits = hex.trim().as_bytes();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).expect("ascii"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}
