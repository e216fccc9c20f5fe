//! The answer: one result for each key, child or element of a batch.

use wire::{BizCode, Fields, Value, WireError, Writer};

use crate::repeated::Repeated;
use crate::request::{CURSOR, FENCING_TOKEN};
use crate::result::KvResult;

/// The answer to a [`KvRequest`](crate::KvRequest).
///
/// The packet's `biz_code` is the code of the single result where a command has one; it is 0 for a
/// batch that has results.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct KvResponse<'a> {
    /// Log index of the write, also of one that failed; 0 for reads.
    pub raft_index: u64,
    /// The results in the order of the request, or of creation for a list.
    pub results: Repeated<'a, KvResult<'a>>,
    /// Of the lock that the caller holds after a lock operation; 0 for everything else. Not part of
    /// Dongting's message.
    pub fencing_token: u64,
    /// Of a transaction: 1 if its conditions held, 2 if not; negative if the tree refused the last
    /// step that has a result, so that nothing was done. Not part of Dongting's message.
    pub branch: i32,
    /// Of a part of a list: where the next one begins; empty at the end. Not part of Dongting's
    /// message.
    pub cursor: &'a [u8],
    /// Of a list or batch get in parts: the index at which this part was read.
    pub read_index: u64,
}

impl<'a> KvResponse<'a> {
    /// Reads a message.
    pub fn decode(body: &'a [u8]) -> Result<KvResponse<'a>, WireError> {
        let mut response = KvResponse::default();
        let mut fields = Fields::new(body);
        loop {
            let start = fields.position();
            let Some(field) = fields.next() else {
                return Ok(response);
            };
            match field? {
                (1, Value::Fixed64(value)) => response.raft_index = value,
                (3, Value::Bytes(result)) => {
                    KvResult::decode(result)?;
                    response.results.note(body, start, 3);
                }
                (FENCING_TOKEN, Value::Fixed64(value)) => response.fencing_token = value,
                (BRANCH, Value::Varint(value)) => response.branch = wire::int32(value),
                (CURSOR, Value::Bytes(value)) => response.cursor = value,
                (READ_INDEX, Value::Fixed64(value)) => response.read_index = value,
                _ => {}
            }
        }
    }

    /// Writes the message.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        encode_results(writer, self.raft_index, self.results.iter());
        writer.fixed64(FENCING_TOKEN, self.fencing_token);
        writer.int32(BRANCH, self.branch);
        encode_page(writer, self.cursor, self.read_index);
    }
}

const BRANCH: u32 = 103;
const READ_INDEX: u32 = 106;

/// Writes what stands behind the results of a list or batch get in parts.
pub fn encode_page(writer: &mut Writer<'_>, cursor: &[u8], read_index: u64) {
    writer.bytes(CURSOR, cursor);
    writer.fixed64(READ_INDEX, read_index);
}

/// Writes the answer to a write: its index and one code for each result.
///
/// Without codes this is the body of a batch that was refused as a whole.
#[inline]
pub fn encode_response_body(writer: &mut Writer<'_>, raft_index: u64, codes: &[BizCode]) {
    encode_results(writer, raft_index, codes.iter().map(|&code| KvResult::of_code(code)));
}

/// Writes the answer to a lock operation after which the caller holds the lock.
pub fn encode_grant(writer: &mut Writer<'_>, raft_index: u64, code: BizCode, fencing_token: u64) {
    encode_response_body(writer, raft_index, &[code]);
    writer.fixed64(FENCING_TOKEN, fencing_token);
}

/// Writes the answer to a transaction; `branch` is that of [`KvResponse`].
pub fn encode_transaction<'a>(
    writer: &mut Writer<'_>,
    raft_index: u64,
    branch: i32,
    results: impl ExactSizeIterator<Item = KvResult<'a>>,
) {
    encode_results(writer, raft_index, results);
    writer.int32(BRANCH, branch);
}

/// Writes an answer from its results.
#[inline]
pub fn encode_results<'a>(
    writer: &mut Writer<'_>,
    raft_index: u64,
    results: impl ExactSizeIterator<Item = KvResult<'a>>,
) {
    writer.fixed64(1, raft_index);
    writer.int32(2, i32::try_from(results.len()).unwrap_or(i32::MAX));
    for result in results {
        let length = result.encoded_length();
        writer.message_with_length(3, length, |writer| result.encode(writer));
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn body(raft_index: u64, codes: &[BizCode]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_response_body(&mut Writer::new(&mut out), raft_index, codes);
        out
    }

    #[test]
    fn success_is_an_empty_result_and_not_its_absence() {
        let expected = [0x09, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0x10, 1, 0x1a, 0];
        assert_eq!(body(0xbb, &[BizCode::Success]), expected);
        assert_eq!(body(0xbb, &[]), expected[..9]);
        assert_eq!(body(0, &[BizCode::NotFound]), [0x10, 1, 0x1a, 2, 8, 2]);
    }

    #[test]
    fn results_are_read_back() {
        let codes = [BizCode::Success, BizCode::SuccessOverwrite, BizCode::InvalidKey];
        let bytes = body(9, &codes);
        let response = KvResponse::decode(&bytes).expect("valid");
        assert_eq!(response.raft_index, 9);
        assert!(response.results.iter().map(|result| result.code).eq(codes));
    }

    #[test]
    fn a_grant_carries_its_token_behind_what_others_read() {
        let mut out = Vec::new();
        encode_grant(&mut Writer::new(&mut out), 9, BizCode::LockBySelf, 5);
        assert!(out.starts_with(&body(9, &[BizCode::LockBySelf])));
        let response = KvResponse::decode(&out).expect("valid");
        assert_eq!((response.raft_index, response.fencing_token), (9, 5));
        let mut again = Vec::new();
        response.encode(&mut Writer::new(&mut again));
        assert_eq!(again, out);
    }

    #[test]
    fn a_broken_result_is_an_error_of_the_message() {
        assert!(KvResponse::decode(&[0x1a, 1, 0x08]).is_err());
        assert!(KvResponse::decode(&[0x1a, 3, 0x12, 1, 0x0d]).is_err());
    }
}
