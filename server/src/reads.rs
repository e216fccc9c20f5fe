//! Answers to reads, straight from the tree.

use kv_api::{KvNode, KvRequest, KvResult, encode_page, encode_results};
use kv_machine::{Children, Machine};
use wire::{BizCode, Command, RespCode, ResponseHead, Writer, encode_response};

use crate::caller::Caller;

/// The longest answer that a client takes: a longer one makes it drop the connection.
const ANSWER_BYTES_MAX: usize = 5 << 20;
/// The longest part of an answer to a client that takes it in parts.
const PAGE_BYTES_MAX: usize = ANSWER_BYTES_MAX - (64 << 10);

/// Appends the answer to a get, list or batch get.
pub fn encode_read(out: &mut Vec<u8>, caller: &Caller, tree: &Machine, request: &KvRequest<'_>) {
    let start = out.len();
    match caller.command {
        Command::DTKV_LIST => encode_list(out, caller, tree, request),
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
    let read = |key| KvResult::of_read(tree.get_in_batch(key));
    let results = request.keys.iter().map(read);
    let Some(page_bytes) = page_of(request) else {
        return encode(out, caller, BizCode::Success, |writer| encode_results(writer, 0, results));
    };
    let mut total = 0;
    let fits = |result: &KvResult<'_>| {
        let is_first = total == 0;
        total += size_of_result(result);
        is_first || total <= page_bytes
    };
    let count = results.clone().take_while(fits).count();
    encode(out, caller, BizCode::Success, |writer| {
        encode_results(writer, 0, results.take(count));
        encode_page(writer, b"", tree.applied_index());
    });
}

fn encode_list(out: &mut Vec<u8>, caller: &Caller, tree: &Machine, request: &KvRequest<'_>) {
    let children = match tree.list_from(request.key, request.cursor) {
        Ok(children) => children,
        Err(code) => return encode(out, caller, code, |_| {}),
    };
    let result = |(name, node)| KvResult::of_child(name, node);
    let Some(page_bytes) = page_of(request) else {
        return encode(out, caller, BizCode::Success, |writer| {
            encode_results(writer, 0, children.map(result));
        });
    };
    let size = |name: &[u8], node: &KvNode<'_>| size_of_result(&KvResult::of_child(name, *node));
    let count = children.count_within(page_bytes, size);
    let mut behind = children.clone().skip(count.saturating_sub(1));
    let last = behind.next();
    let cursor = match (last, behind.next()) {
        (Some((name, node)), Some(_)) => Children::cursor_behind(name, &node),
        _ => Vec::new(),
    };
    encode(out, caller, BizCode::Success, |writer| {
        encode_results(writer, 0, children.take(count).map(result));
        encode_page(writer, &cursor, tree.applied_index());
    });
}

/// How much the client wants at once, if it does not want all.
fn page_of(request: &KvRequest<'_>) -> Option<usize> {
    let bytes = usize::try_from(request.page_bytes).ok().filter(|bytes| *bytes > 0)?;
    Some(bytes.min(PAGE_BYTES_MAX))
}

/// What a result takes in an answer.
fn size_of_result(result: &KvResult<'_>) -> usize {
    result.encoded_length() + 6
}

#[inline]
fn encode(out: &mut Vec<u8>, caller: &Caller, code: BizCode, body: impl FnOnce(&mut Writer<'_>)) {
    let head = ResponseHead::success(caller.command, caller.seq).with_biz_code(code);
    encode_response(out, &head, body);
}
