//! What clients say about their watches, on its way between connection and group.

use kv_api::{ChangesRequest, WatchRequest};
use moment::Moment;
use raft_core::GroupId;
use rpc::{Connection, ConnectionId};
use wire::{BizCode, Packet, RespCode, ResponseHead, encode_response};

use crate::caller::Caller;
use crate::hosted::Hosted;
use crate::mail::Mail;
use crate::places::Place;
use crate::requests::Requests;
use crate::watches::answer::AnswerBytes;
use crate::watches::dispatcher::{ForeignAnswer, ForeignNotification};
use crate::watches::table::SyncRefusal;
use crate::watches::{ClientId, NotifyAnswer};

impl Requests {
    /// Carries out a watch request for a group of this shard.
    pub(crate) fn sync_watch(
        &self,
        caller: Caller,
        hosted: &Hosted,
        request: &WatchRequest<'_>,
        now: Moment,
    ) {
        let Hosted { group, watches, .. } = hosted;
        let synced = group.with_machine(|machine| {
            watches.sync(machine.tree_mut(), caller.client(), request, now)
        });
        let code = match synced {
            Ok(()) => BizCode::Success,
            Err(SyncRefusal::Code(code)) => code,
            Err(SyncRefusal::TooManyKeys { room }) => {
                let text = "the client would watch too many keys; see watch.keys_max";
                let (code, extra) = (RespCode::FlowControl, room.to_string());
                return self.replies.refuse_with(&caller, now, code, text, extra.as_bytes());
            }
        };
        let head = ResponseHead::success(caller.command, caller.seq).with_biz_code(code);
        self.replies.answer(&caller, now, |out| encode_response(out, &head, |_| {}));
    }

    /// Answers a request for changes, now or later.
    pub(crate) fn follow(
        &self,
        caller: Caller,
        hosted: &Hosted,
        request: &ChangesRequest<'_>,
        now: Moment,
    ) {
        match request.check() {
            Ok(()) => hosted.changes.ask(caller, request, now),
            Err(code) => {
                let text = "a request for changes names 1 to 1000 keys";
                self.refuse_unwritten(&caller, now, code, text);
            }
        }
    }

    /// A connection of this shard begins to watch something, if the node has the group.
    pub(crate) fn open_link(&self, connection: ConnectionId, group: GroupId) {
        if self.groups.borrow().contains_key(&group) {
            self.links.open(connection, group);
        }
    }

    /// A connection of this shard has answered a notification.
    pub(crate) fn notify_answer(&self, connection: &Connection, packet: &Packet<'_>) {
        let Some((group, flight)) = self.links.answered(connection.id(), packet.seq) else {
            return;
        };
        let (resp_code, biz_code) = (packet.resp_code, packet.biz_code);
        let body = packet.body_bytes();
        let Ok(answer) = NotifyAnswer::decode(resp_code, biz_code, body) else {
            return connection.close();
        };
        let client = ClientId { shard: self.shard.id(), connection: connection.id() };
        match self.groups.borrow().get(&group) {
            Some(Place::Here(Hosted { group, watches, .. })) => {
                let now = self.shard.clock().now();
                group.with_machine(|machine| {
                    watches.answered(machine.tree_mut(), client, flight, answer, now);
                });
            }
            Some(Place::There(shard)) => {
                let answer = AnswerBytes { resp_code, biz_code, body: body.to_vec() };
                let mail = ForeignAnswer { client, group, flight, answer };
                self.outboxes[usize::from(shard.0)].push(Mail::NotifyAnswer(mail));
            }
            Some(Place::Starting | Place::Stopping(_)) | None => {}
        }
    }

    /// A connection of this shard is gone, and with it its watches.
    pub(crate) fn close_links(&self, connection: ConnectionId) {
        let client = ClientId { shard: self.shard.id(), connection };
        for group in self.links.close(connection) {
            if let Some(Place::There(shard)) = self.groups.borrow().get(&group) {
                let outbox = &self.outboxes[usize::from(shard.0)];
                outbox.push(Mail::WatcherGone(client, group));
                outbox.flush();
            }
            self.watcher_gone(client, group);
        }
    }

    /// A connection that watched something in a group of this shard is gone.
    pub(crate) fn watcher_gone(&self, client: ClientId, group: GroupId) {
        if let Some(Place::Here(hosted)) = self.groups.borrow().get(&group) {
            let Hosted { group, watches, changes, .. } = hosted;
            group.with_machine(|machine| watches.close(machine.tree_mut(), client));
            changes.close(client);
        }
    }

    /// Sends a notification of another shard's group to a connection of this one.
    pub(crate) fn pass_notification(&self, notification: &ForeignNotification) {
        let ForeignNotification { client, group, flight, body } = notification;
        let sent = self.links.push(client.connection, *group, *flight, |writer| writer.raw(body));
        if let Some(Place::There(shard)) = self.groups.borrow().get(group)
            && !sent
        {
            let (client, group, flight) = (*client, *group, *flight);
            let answer = AnswerBytes::failed();
            let mail = ForeignAnswer { client, group, flight, answer };
            self.outboxes[usize::from(shard.0)].push(Mail::NotifyAnswer(mail));
        }
    }

    /// Takes the answer of a connection of another shard.
    pub(crate) fn foreign_answer(&self, mail: &ForeignAnswer, now: Moment) {
        let ForeignAnswer { client, group, flight, answer } = mail;
        if let Some(Place::Here(Hosted { group, watches, .. })) = self.groups.borrow().get(group) {
            group.with_machine(|machine| {
                watches.answered(machine.tree_mut(), *client, *flight, answer.answer(), now);
            });
        }
    }
}
