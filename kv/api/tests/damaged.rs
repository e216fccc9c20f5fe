//! Every cut and every flipped bit of real messages: decoders return an error or a value, and a
//! value can be iterated and is encoded to something that reads back as the same value.
#![expect(clippy::expect_used, reason = "a test ends at the first surprise")]

use std::path::PathBuf;

use kv_api::{
    ChangesRequest, ChangesResponse, KvRequest, KvResponse, OperationKind, Owner, Payload,
    TransactionRequest, WatchNotifyRequest, WatchNotifyResponse, WatchRequest,
};
use wire::{Fields, Value, Writer};

/// Decodes as the message, and if that works encodes and decodes again.
macro_rules! try_message {
    ($type:ident, $bytes:expr) => {
        if let Ok(message) = $type::decode($bytes) {
            let mut out = Vec::new();
            message.encode(&mut Writer::new(&mut out));
            assert_eq!($type::decode(&out).as_ref(), Ok(&message), "{:?}", $bytes);
        }
    };
}

#[test]
fn no_damage_makes_a_decoder_panic() {
    let mut damaged = 0;
    for body in bodies() {
        for cut in 0..=body.len() {
            try_all(&body[..cut]);
        }
        let mut bytes = body.clone();
        for bit in 0..8 * body.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            try_all(&bytes);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        damaged += 9 * body.len();
    }
    assert!(damaged > 10_000, "only {damaged} variants were tried");
}

#[test]
fn no_damage_makes_a_payload_panic() {
    let caller = Owner { high: 1, low: 2 };
    for body in bodies() {
        let (head, length) = Payload::new(OperationKind::TryLock, caller, &body).head();
        let whole = [&head[..length], &body].concat();
        for bit in 0..8 * length {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(payload) = Payload::decode(&bytes) {
                try_all(payload.body);
            }
        }
    }
}

fn try_all(bytes: &[u8]) {
    try_message!(KvRequest, bytes);
    try_message!(KvResponse, bytes);
    try_message!(TransactionRequest, bytes);
    try_message!(WatchRequest, bytes);
    try_message!(ChangesRequest, bytes);
    try_message!(ChangesResponse, bytes);
    try_message!(WatchNotifyRequest, bytes);
    try_message!(WatchNotifyResponse, bytes);
}

/// The bodies of all frames in `golden/`.
fn bodies() -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut bodies = Vec::new();
    for entry in std::fs::read_dir(folder).expect("readable") {
        let text = std::fs::read_to_string(entry.expect("readable").path()).expect("readable");
        for block in text.split("\n\n") {
            let hex = block.trim().lines().nth(1).expect("a frame").as_bytes();
            let digit = |digit: u8| char::from(digit).to_digit(16).expect("hexadecimal") as u8;
            let pairs = hex.chunks_exact(2);
            let frame: Vec<u8> = pairs.map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
            for field in Fields::new(&frame[4..]) {
                if let (15, Value::Bytes(body)) = field.expect("a valid packet") {
                    bodies.push(body.to_vec());
                }
            }
        }
    }
    bodies
}
