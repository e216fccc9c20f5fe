//! Answers: what a server writes most.

use alloc::vec::Vec;

use crate::code::{BizCode, RespCode};
use crate::command::Command;
use crate::packet::{BODY_KEY, fill_prefix, finish_body};
use crate::writer::Writer;

/// What stands before the body of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResponseHead<'a> {
    /// The request's command.
    pub command: Command,
    /// The request's seq.
    pub seq: i32,
    /// How the system dealt with the request.
    pub resp_code: RespCode,
    /// What the tree says.
    pub biz_code: BizCode,
    /// An explanation for people.
    pub msg: &'a str,
    /// The leader's node id in decimal, for [`RespCode::NotRaftLeader`].
    pub extra: &'a [u8],
}

impl ResponseHead<'_> {
    /// The head of a plain success.
    #[inline]
    pub const fn success(command: Command, seq: i32) -> ResponseHead<'static> {
        ResponseHead::refusal(command, seq, RespCode::Success, "")
    }

    /// The head of an answer that says only how the system dealt with the request.
    #[inline]
    pub const fn refusal(
        command: Command,
        seq: i32,
        resp_code: RespCode,
        msg: &str,
    ) -> ResponseHead<'_> {
        ResponseHead { command, seq, resp_code, biz_code: BizCode::Success, msg, extra: &[] }
    }

    /// The same head with this code of the tree.
    #[inline]
    pub const fn with_biz_code(self, biz_code: BizCode) -> Self {
        ResponseHead { biz_code, ..self }
    }
}

/// Appends an answer with its length prefix. A body without bytes is left out.
///
/// `body` must only append. Nothing is allocated unless `out` has to grow.
#[inline]
pub fn encode_response(
    out: &mut Vec<u8>,
    head: &ResponseHead<'_>,
    body: impl FnOnce(&mut Writer<'_>),
) {
    let start = out.len();
    encode_head(out, head);
    let body_at = out.len() - 2;
    body(&mut Writer::new(out));
    finish_body(out, body_at);
    fill_prefix(out, start);
}

/// Appends an empty prefix, the head, and the key of the body with an empty length.
#[inline]
fn encode_head(out: &mut Vec<u8>, head: &ResponseHead<'_>) {
    let command = head.command.0;
    let short = (0..0x80).contains(&command) && head.seq != 0;
    let plain = head.msg.is_empty() && head.extra.is_empty();
    let [s0, s1, s2, s3] = head.seq.to_le_bytes();
    let c = command as u8;
    // The two heads that nearly all answers have are one append of a constant length each.
    match (short && plain && head.resp_code == RespCode::Success, head.biz_code as u8) {
        (true, 0) => out
            .extend_from_slice(&[0, 0, 0, 0, 0x08, 2, 0x10, c, 0x1d, s0, s1, s2, s3, BODY_KEY, 0]),
        (true, biz) => out.extend_from_slice(&[
            0, 0, 0, 0, 0x08, 2, 0x10, c, 0x1d, s0, s1, s2, s3, 0x28, biz, BODY_KEY, 0,
        ]),
        (false, _) => encode_any_head(out, head),
    }
}

#[inline(never)]
fn encode_any_head(out: &mut Vec<u8>, head: &ResponseHead<'_>) {
    out.extend_from_slice(&[0; crate::PREFIX_BYTES]);
    let mut writer = Writer::new(out);
    writer.int32(1, 2);
    writer.int32(2, head.command.0);
    writer.fixed32(3, head.seq as u32);
    writer.int32(4, head.resp_code.number());
    writer.int32(5, head.biz_code.number());
    writer.bytes(6, head.msg.as_bytes());
    writer.bytes(8, head.extra);
    out.extend_from_slice(&[BODY_KEY, 0]);
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::packet::Packet;

    /// The slow twin: any answer through [`Packet::encode`].
    fn through_packet(head: &ResponseHead<'_>, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let packet = Packet {
            packet_type: 2,
            command: head.command,
            seq: head.seq,
            resp_code: head.resp_code.number(),
            biz_code: head.biz_code.number(),
            msg: head.msg.as_bytes(),
            timeout_nanos: 0,
            extra: head.extra,
            body: if body.is_empty() { None } else { Some(body) },
        };
        packet.encode(&mut out);
        out
    }

    #[test]
    fn agrees_with_packet_encode() {
        let bodies = [vec![], vec![1], vec![2; 127], vec![3; 128], vec![4; 20_000]];
        let mut cases = 0;
        for command in [1, 6, 127, 128, 999, i32::MAX] {
            for seq in [1, 0, -1, i32::MAX] {
                for resp_code in [RespCode::Success, RespCode::NotRaftLeader] {
                    for biz_code in [BizCode::Success, BizCode::LockByOther] {
                        for (msg, extra) in [("", ""), ("why", ""), ("", "3"), ("why", "12")] {
                            let head = ResponseHead {
                                command: Command(command),
                                seq,
                                resp_code,
                                biz_code,
                                msg,
                                extra: extra.as_bytes(),
                            };
                            for body in &bodies {
                                let mut out = vec![0xee];
                                encode_response(&mut out, &head, |writer| writer.raw(body));
                                assert_eq!(out[1..], through_packet(&head, body), "{head:?}");
                                cases += 1;
                            }
                        }
                    }
                }
            }
        }
        assert_eq!(cases, 6 * 4 * 2 * 2 * 4 * 5);
    }
}
