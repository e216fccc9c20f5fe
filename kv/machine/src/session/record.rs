//! The sessions' part of a snapshot's stream: limits, one record for each session in no particular
//! order, and an end.
//!
//! ```text
//! limits:  0  u32  sessions
//!          4  u32  numbers open in a session
//!          8  u64  bytes
//!
//! record:  0  u64  number of the session, not zero
//!          8  u64  index of the last entry that used it
//!         16  u64  lowest number that its client may still send
//!         24  u32  mark of its client
//!         28  u32  numbers that may be open at a time
//!         32  u32  count of the answers
//!         36  u32  bytes of the answers
//!         40  ..   answers, from that of the lowest number on; each begins with its form:
//!                  0: nothing came yet
//!                  1: code u8, index of the entry u64
//!                  2: code u8, length u32, body of the answer
//!
//! end:     0  u64  zero
//!          8  u64  number of records
//!         16  u64  sum of the hashes of all records
//! ```

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use kv_api::SessionLimits;
use wire::BizCode;

use super::answer::Answer;
use super::one::Session;
use crate::state_hash::hash_bytes;

pub(super) const LIMITS_BYTES: usize = 16;
pub(super) const RECORD_HEAD_BYTES: usize = 40;
pub(super) const END_BYTES: usize = 24;

const ABSENT: u8 = 0;
const ONE: u8 = 1;
const WHOLE: u8 = 2;

pub(super) fn encode_limits(limits: &SessionLimits, out: &mut Vec<u8>) {
    out.extend_from_slice(&limits.sessions_max.to_le_bytes());
    out.extend_from_slice(&limits.results_max.to_le_bytes());
    out.extend_from_slice(&limits.bytes_max.to_le_bytes());
}

pub(super) fn decode_limits(bytes: &[u8]) -> Option<SessionLimits> {
    let mut fields = Fields(bytes);
    let (sessions_max, results_max) = (fields.u32()?, fields.u32()?);
    Some(SessionLimits { sessions_max, results_max, bytes_max: fields.u64()? })
}

/// What a stream must have held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Sum {
    count: u64,
    hash: u64,
}

impl Sum {
    pub(super) fn add(&mut self, record: &[u8]) {
        self.count += 1;
        self.hash = self.hash.wrapping_add(hash_bytes(record));
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&0_u64.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.hash.to_le_bytes());
    }

    /// From an end without its zero.
    pub(super) fn decode(bytes: &[u8]) -> Option<Sum> {
        let mut fields = Fields(bytes);
        Some(Sum { count: fields.u64()?, hash: fields.u64()? })
    }
}

/// Appends the record of a session.
pub(super) fn encode_session(session: &Session, out: &mut Vec<u8>) {
    out.extend_from_slice(&session.id.to_le_bytes());
    out.extend_from_slice(&session.last_used.to_le_bytes());
    out.extend_from_slice(&session.lowest_open.to_le_bytes());
    out.extend_from_slice(&session.check.to_le_bytes());
    out.extend_from_slice(&session.results_max.to_le_bytes());
    out.extend_from_slice(&(session.answers.len() as u32).to_le_bytes());
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    for answer in &session.answers {
        match answer {
            None => out.push(ABSENT),
            Some(Answer::One { index, code }) => {
                out.extend_from_slice(&[ONE, *code as u8]);
                out.extend_from_slice(&index.to_le_bytes());
            }
            Some(Answer::Whole { code, body }) => {
                out.extend_from_slice(&[WHOLE, *code as u8]);
                out.extend_from_slice(&(body.len() as u32).to_le_bytes());
                out.extend_from_slice(body);
            }
        }
    }
    let length = (out.len() - length_at - 4) as u32;
    out[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
}

/// Bytes of the part that begins with `bytes`, as far as they say.
pub(super) fn part_bytes(bytes: &[u8]) -> usize {
    match bytes.first_chunk().map(|number| u64::from_le_bytes(*number)) {
        None => 8,
        Some(0) => END_BYTES,
        Some(_) => {
            let length = bytes.get(RECORD_HEAD_BYTES - 4..).and_then(|rest| rest.first_chunk());
            RECORD_HEAD_BYTES + length.map_or(0, |length| u32::from_le_bytes(*length) as usize)
        }
    }
}

/// The session of a record; `None` when it contradicts itself.
pub(super) fn decode_session(record: &[u8]) -> Option<Session> {
    let mut fields = Fields(record);
    let (id, last_used, lowest_open) = (fields.u64()?, fields.u64()?, fields.u64()?);
    let (check, results_max, count) = (fields.u32()?, fields.u32()?, fields.u32()?);
    fields.u32()?;
    let mut session = Session::new(id, check, results_max);
    (session.last_used, session.lowest_open) = (last_used, lowest_open);
    let mut answers = VecDeque::new();
    for _ in 0..count {
        let answer = fields.answer()?;
        session.body_bytes += answer.as_ref().map_or(0, Answer::bytes);
        answers.push_back(answer);
    }
    let is_whole = fields.0.is_empty() && !matches!(answers.back(), Some(None));
    session.answers = answers;
    let fits = last_used >= id && lowest_open > 0 && count <= results_max;
    (is_whole && fits).then_some(session)
}

/// Fields one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn answer(&mut self) -> Option<Option<Answer>> {
        let answer = match self.u8()? {
            ABSENT => return Some(None),
            ONE => Answer::One { code: self.code()?, index: self.u64()? },
            WHOLE => {
                let (code, length) = (self.code()?, self.u32()?);
                let (body, rest) = self.0.split_at_checked(length as usize)?;
                self.0 = rest;
                Answer::Whole { code, body: body.into() }
            }
            _ => return None,
        };
        Some(Some(answer))
    }

    fn code(&mut self) -> Option<BizCode> {
        BizCode::from_number(self.u8()?.into())
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }
}
