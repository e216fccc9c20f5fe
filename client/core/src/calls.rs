//! The operations in flight.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

use kv_api::SessionStamp;
use moment::Moment;
use wire::Command;

use crate::completion::{Completion, Response};
use crate::error::Error;
use crate::operation::{Access, Target};

/// Names an operation from its submission until its completion is taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId {
    slot: u32,
    generation: u32,
}

impl RequestId {
    /// A small number: below `calls_max`, and no other operation has it at the same time. Good for
    /// an array of what the caller remembers about its operations.
    #[inline]
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

/// A slab: slots and their buffers are used again, so that a busy client allocates nothing.
pub(crate) struct Calls {
    slots: Vec<Call>,
    free: Vec<u32>,
    bytes: usize,
    pub(crate) count_max: usize,
    pub(crate) bytes_max: usize,
}

/// One operation.
pub(crate) struct Call {
    generation: u32,
    pub(crate) state: CallState,
    pub(crate) start: Start,
    /// It was sent again once already.
    pub(crate) repeated: bool,
    /// Its place in a session, once it was sent there.
    pub(crate) stamped: Option<SessionStamp>,
    /// Bytes of the body without that.
    pub(crate) plain_bytes: usize,
    /// It was sent, and what became of that is not known.
    pub(crate) may_be_done: bool,
    /// When its answer is late; in a session that is before its time is over.
    pub(crate) answer_due: Moment,
    /// Nobody will take the completion.
    pub(crate) abandoned: bool,
    pub(crate) finished: Moment,
    /// The request's body, kept for sending it again; once finished, the response's.
    pub(crate) body: Vec<u8>,
    /// What the request counts towards the limit of bytes.
    bytes: usize,
    biz_code: i32,
    error: Option<Error>,
}

/// What is known of an operation from the start.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    pub(crate) command: Command,
    pub(crate) access: Access,
    pub(crate) target: Target,
    pub(crate) owner: CallOwner,
    pub(crate) submitted: Moment,
    pub(crate) deadline: Moment,
    /// Whether it may be sent again in a session.
    pub(crate) in_session: bool,
}

/// Who wants the completion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CallOwner {
    /// Whoever submitted it.
    Caller,
    /// The lock object with this number.
    Lock(u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CallState {
    Free,
    /// Not sent, or sent and certainly not executed.
    Waiting,
    /// Sent; the sequence number is `sequence` on that link.
    Sent {
        link: u32,
        sequence: i32,
    },
    Finished,
}

/// What a request costs besides its body.
const HEAD_BYTES: usize = 64;
/// Larger buffers are given back, so that a few large values do not stay for ever.
const KEPT_BODY_BYTES: usize = 64 << 10;

impl Calls {
    pub(crate) fn new(count_max: usize, bytes_max: usize) -> Calls {
        Calls { slots: Vec::new(), free: Vec::new(), bytes: 0, count_max, bytes_max }
    }

    /// Slots in use.
    pub(crate) fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether one more operation may be submitted.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.count() < self.count_max && self.bytes < self.bytes_max
    }

    /// Takes a slot, whose body is empty.
    #[inline]
    pub(crate) fn claim(&mut self, start: Start) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Call::free());
                self.slots.len() as u32 - 1
            }
        };
        let call = &mut self.slots[slot as usize];
        assert!(call.state == CallState::Free, "a slot has one owner");
        call.state = CallState::Waiting;
        call.start = start;
        call.repeated = false;
        call.stamped = None;
        call.may_be_done = false;
        call.abandoned = false;
        slot
    }

    /// Counts the body of a slot that has just been claimed and filled.
    #[inline]
    pub(crate) fn count_bytes(&mut self, slot: u32) {
        let call = &mut self.slots[slot as usize];
        call.bytes = call.body.len() + HEAD_BYTES;
        self.bytes += call.bytes;
    }

    /// The call ends; its bytes count no longer.
    #[inline]
    pub(crate) fn finish(&mut self, slot: u32, outcome: Result<Response<'_>, Error>, now: Moment) {
        let call = &mut self.slots[slot as usize];
        assert!(
            matches!(call.state, CallState::Waiting | CallState::Sent { .. }),
            "a call ends once"
        );
        call.state = CallState::Finished;
        call.finished = now;
        self.bytes -= call.bytes;
        call.bytes = 0;
        call.body.clear();
        match outcome {
            Ok(response) => {
                call.biz_code = response.biz_code;
                call.body.extend_from_slice(response.body);
            }
            Err(error) => call.error = Some(error),
        }
    }

    /// Gives the slot back.
    #[inline]
    pub(crate) fn release(&mut self, slot: u32) {
        let call = &mut self.slots[slot as usize];
        assert!(call.state != CallState::Free, "a slot is given back once");
        self.bytes -= call.bytes;
        call.bytes = 0;
        call.state = CallState::Free;
        call.generation = call.generation.wrapping_add(1);
        call.error = None;
        if call.body.capacity() > KEPT_BODY_BYTES {
            call.body = Vec::new();
        }
        call.body.clear();
        self.free.push(slot);
    }

    #[inline]
    pub(crate) fn id(&self, slot: u32) -> RequestId {
        RequestId { slot, generation: self.slots[slot as usize].generation }
    }

    /// The slot of an operation that was not taken yet.
    #[inline]
    pub(crate) fn slot(&self, request: RequestId) -> Option<u32> {
        let call = self.slots.get(request.slot as usize)?;
        let alive = call.generation == request.generation && call.state != CallState::Free;
        alive.then_some(request.slot)
    }

    /// What came out, for a call that has finished.
    #[inline]
    pub(crate) fn completion(&self, slot: u32) -> Completion<'_> {
        let call = &self.slots[slot as usize];
        assert!(call.state == CallState::Finished, "only a finished call has a completion");
        let outcome = match &call.error {
            None => Ok(Response { biz_code: call.biz_code, body: &call.body }),
            Some(error) => Err(error),
        };
        Completion {
            request: self.id(slot),
            command: call.start.command,
            submitted: call.start.submitted,
            finished: call.finished,
            outcome,
        }
    }

    /// Slots that exist, used or not; their numbers are below.
    pub(crate) fn slot_count(&self) -> u32 {
        self.slots.len() as u32
    }
}

impl Index<u32> for Calls {
    type Output = Call;

    #[inline]
    fn index(&self, slot: u32) -> &Call {
        &self.slots[slot as usize]
    }
}

impl IndexMut<u32> for Calls {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut Call {
        &mut self.slots[slot as usize]
    }
}

impl Call {
    fn free() -> Call {
        Call {
            generation: 0,
            state: CallState::Free,
            start: Start {
                command: Command::PING,
                access: Access::Read,
                target: Target::Leader,
                owner: CallOwner::Caller,
                submitted: Moment::ZERO,
                deadline: Moment::ZERO,
                in_session: false,
            },
            repeated: false,
            stamped: None,
            plain_bytes: 0,
            may_be_done: false,
            answer_due: Moment::ZERO,
            abandoned: false,
            finished: Moment::ZERO,
            body: Vec::new(),
            bytes: 0,
            biz_code: 0,
            error: None,
        }
    }

    /// When something has to be done about it if nothing happens until then.
    #[inline]
    pub(crate) fn due(&self) -> Moment {
        match self.state {
            CallState::Sent { .. } => self.answer_due,
            _ => self.start.deadline,
        }
    }

    /// Whether the call has neither finished nor been given back.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, CallState::Waiting | CallState::Sent { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(calls: &mut Calls, body: &[u8]) -> u32 {
        let slot = calls.claim(Call::free().start);
        calls[slot].body.extend_from_slice(body);
        calls.count_bytes(slot);
        slot
    }

    #[test]
    fn a_request_is_known_until_its_slot_is_given_back() {
        let mut calls = Calls::new(2, 1_000);
        let slot = claim(&mut calls, b"question");
        let request = calls.id(slot);
        calls.finish(slot, Ok(Response { biz_code: 3, body: b"answer" }), Moment::from_nanos(7));
        assert_eq!(calls.slot(request), Some(slot));
        let completion = calls.completion(slot);
        assert_eq!(completion.response().map(|response| response.body), Ok(&b"answer"[..]));
        assert_eq!(completion.finished, Moment::from_nanos(7));
        calls.release(slot);
        assert_eq!(calls.slot(request), None);
        let next = claim(&mut calls, b"");
        assert_eq!((next, calls.id(next) == request), (slot, false));
        assert_eq!(calls.slot(request), None, "the slot's next owner is another request");
    }

    #[test]
    fn room_is_bounded_by_count_and_by_bytes() {
        let mut calls = Calls::new(2, 1_000);
        let first = claim(&mut calls, &[0; 100]);
        assert!(calls.has_room());
        let second = claim(&mut calls, &[0; 2_000]);
        assert!(!calls.has_room(), "two calls");
        calls.release(first);
        assert!(!calls.has_room(), "2,000 bytes");
        calls.finish(second, Err(Error::Unavailable(crate::Reason::Timeout)), Moment::ZERO);
        assert!(calls.has_room(), "the answer has come");
        calls.release(second);
        assert_eq!((calls.count(), calls.bytes), (0, 0));
    }
}
