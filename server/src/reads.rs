//! Answers to reads, straight from the tree.

use kv_api::{KvRequest, KvResult, encode_results};
use kv_machine::Machine;
use wire::{BizCode, Command, RespCode, ResponseHead, Writer, encode_response};

use crate::caller::Caller;

/// The longest answer that a client takes: a longer one makes it drop the connection.
const ANSWER_BYTES_MAX: usize = 5 << 20;

/// Appends the answer to a get, list or batch get.
pub fn encode_read(out: &mut Vec<u8>, caller: &Caller, tree: &Machine, request: &KvRequest<'_>) {
    let start = out.len();
    match caller.command {
        Command::DTKV_LIST => encode_list(out, caller, tree, request.key),
        Command::DTKV_BATCH_GET => encode_batch_get(out, caller, tree, request),
        _ => encode_get(out, caller, tree, request.key),
    }
    if out.len() - start > ANSWER_BYTES_MAX {
        let text = format!(
            "the answer has {} bytes, more than the {ANSWER_BYTES_MAX} that a client takes; \
             ask for less at once",
            out.len() - start
        );
        out.truncate(start);
        let head = ResponseHead::refusal(caller.command, caller.seq, RespCode::SysError, &text);
        encode_response(out, &head, |_| {});
    }
}

#[inline]
fn encode_get(out: &mut Vec<u8>, caller: &Caller, tree: &Machine, key: &[u8]) {
    let result = KvResult::of_read(tree.get(key));
    encode(out, caller, result.code, |writer| {
        encode_results(writer, 0, core::iter::once(result));
    });
}

fn encode_batch_get(out: &mut Vec<u8>, caller: &Caller, tree: &Machine, request: &KvRequest<'_>) {
    if request.keys.is_empty() {
        return encode(out, caller, BizCode::InvalidKey, |_| {});
    }
    encode(out, caller, BizCode::Success, |writer| {
        let read = |key| KvResult::of_read(tree.get_in_batch(key));
        encode_results(writer, 0, request.keys.iter().map(read));
    });
}

fn encode_list(out: &mut Vec<u8>, caller: &Caller, tree: &Machine, key: &[u8]) {
    match tree.list(key) {
        Err(code) => encode(out, caller, code, |_| {}),
        Ok(children) => encode(out, caller, BizCode::Success, |writer| {
            encode_results(writer, 0, children.map(|(name, node)| KvResult::of_child(name, node)));
        }),
    }
}

#[inline]
fn encode(out: &mut Vec<u8>, caller: &Caller, code: BizCode, body: impl FnOnce(&mut Writer<'_>)) {
    let head = ResponseHead::success(caller.command, caller.seq).with_biz_code(code);
    encode_response(out, &head, body);
}
