//! The way back: an answer finds the connection it belongs to, on this shard or on another one.

use std::cell::Cell;
use std::rc::Rc;

use moment::Moment;
use rpc::Connections;
use runtime::ShardId;
use wire::{RespCode, ResponseHead, encode_response};

use crate::caller::Caller;
use crate::mail::Outbox;

/// Answers of one shard.
pub struct Replies {
    shard: ShardId,
    connections: Rc<Connections>,
    outboxes: Rc<[Outbox]>,
    expired: Cell<u64>,
}

impl Replies {
    /// `outboxes` has one place a shard.
    pub fn new(shard: ShardId, connections: Rc<Connections>, outboxes: Rc<[Outbox]>) -> Replies {
        Replies { shard, connections, outboxes, expired: Cell::new(0) }
    }

    /// Writes an answer, unless the caller's time is over or its connection is gone: then nobody
    /// listens, and the protocol wants silence. Each read comes here once, since its connection counts
    /// it as owed until then.
    #[inline]
    pub fn answer(&self, caller: &Caller, now: Moment, encode: impl FnOnce(&mut Vec<u8>)) {
        if now > caller.deadline {
            self.expired.set(self.expired.get() + 1);
            self.deliver(caller, |_| {});
        } else {
            self.deliver(caller, encode);
        }
    }

    /// Ends a request without an answer.
    pub fn drop_request(&self, caller: &Caller) {
        self.expired.set(self.expired.get() + 1);
        self.deliver(caller, |_| {});
    }

    #[inline]
    fn deliver(&self, caller: &Caller, encode: impl FnOnce(&mut Vec<u8>)) {
        let settled = usize::from(caller.is_read());
        if caller.shard != self.shard {
            let outbox = &self.outboxes[usize::from(caller.shard.0)];
            outbox.answer(caller.connection, settled, encode);
        } else if let Some(connection) = self.connections.get(caller.connection) {
            connection.write(encode);
            connection.settle_answers(settled);
        }
    }

    /// Writes an answer that carries a code of the system and a text, and nothing else.
    pub fn refuse(&self, caller: &Caller, now: Moment, code: RespCode, text: &str) {
        self.refuse_with(caller, now, code, text, &[]);
    }

    /// [`Replies::refuse`] with extra bytes: the leader's node id in decimal.
    pub fn refuse_with(
        &self,
        caller: &Caller,
        now: Moment,
        code: RespCode,
        text: &str,
        extra: &[u8],
    ) {
        let head = ResponseHead::refusal(caller.command, caller.seq, code, text);
        self.answer(caller, now, |out| {
            encode_response(out, &ResponseHead { extra, ..head }, |_| {});
        });
    }

    /// Lets the answers for other shards go.
    pub fn flush(&self) {
        for outbox in self.outboxes.iter() {
            outbox.flush();
        }
    }

    /// Answers that came too late to be sent.
    pub fn expired(&self) -> u64 {
        self.expired.get()
    }
}
