//! The fiber that sends notifications, and the door to a group's watches.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use kv_api::{Repeated, WatchNotifyRequest, WatchRequest};
use kv_machine::Machine;
use moment::Moment;
use raft_core::GroupId;
use raft_host::Group;
use runtime::{Shard, race};
use wire::Writer;

use super::answer::{AnswerBytes, NotifyAnswer};
use super::links::WatchLinks;
use super::sending::Notification;
use super::table::{ClientId, SyncRefusal, Table, WatchLimits};
use crate::machine::KvStateMachine;
use crate::mail::{Mail, Outbox};
use crate::news::News;

/// The watches of one group, on its shard.
pub struct Watches {
    group: GroupId,
    shard: Shard,
    table: RefCell<Table>,
    news: Rc<News>,
    /// The end for connections of this shard.
    links: Rc<WatchLinks>,
    outboxes: Rc<[Outbox]>,
}

/// How often and how much at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// The shortest time between two dispatches; what changes in between is told once.
    pub interval: Duration,
    /// Clients that are sent to, and a hundred times that many watches that are looked at, before
    /// other fibers get their turn.
    pub batch_max: usize,
}

/// A notification on its way to the shard of the connection.
pub struct ForeignNotification {
    /// The connection there.
    pub client: ClientId,
    /// The group.
    pub group: GroupId,
    /// The notification's number.
    pub flight: u64,
    /// The message.
    pub body: Vec<u8>,
}

/// An answer on its way to the shard of the group.
pub struct ForeignAnswer {
    /// The connection that gave it.
    pub client: ClientId,
    /// The group.
    pub group: GroupId,
    /// The notification's number.
    pub flight: u64,
    /// What the client said.
    pub answer: AnswerBytes,
}

/// Looking at a watch costs about a hundredth of sending a notification.
const WATCHES_PER_CLIENT: usize = 100;

impl Watches {
    /// No watches yet.
    pub fn new(
        group: GroupId,
        shard: Shard,
        limits: WatchLimits,
        news: Rc<News>,
        links: Rc<WatchLinks>,
        outboxes: Rc<[Outbox]>,
    ) -> Watches {
        let table = RefCell::new(Table::new(limits));
        Watches { group, shard, table, news, links, outboxes }
    }

    /// Carries out a client's watch request.
    ///
    /// # Errors
    /// Why nothing of it was done.
    pub fn sync(
        &self,
        machine: &mut Machine,
        client: ClientId,
        request: &WatchRequest<'_>,
        now: Moment,
    ) -> Result<(), SyncRefusal> {
        let synced = self.table.borrow_mut().sync(machine, client, request, now);
        self.news.watches.set();
        synced
    }

    /// How many keys a client watches; to ask shows that it is there.
    pub fn count_and_touch(&self, client: ClientId, now: Moment) -> usize {
        let mut table = self.table.borrow_mut();
        table.touch(client, now);
        table.count(client)
    }

    /// Takes a client's answer to a notification.
    pub fn answered(
        &self,
        machine: &mut Machine,
        client: ClientId,
        flight: u64,
        answer: NotifyAnswer<'_>,
        now: Moment,
    ) {
        let mut table = self.table.borrow_mut();
        if let Some(next) = table.answered(machine, client, flight, answer, now)
            && !self.send(&next)
        {
            let flight = next.flight;
            table.answered(machine, client, flight, NotifyAnswer::Failed, now);
        }
        self.news.watches.set();
    }

    /// A connection is gone.
    pub fn close(&self, machine: &mut Machine, client: ClientId) {
        self.table.borrow_mut().close(machine, client);
    }

    /// Sends notifications as long as the shard runs.
    ///
    /// The first change after a pause is told at once. Then at least the interval passes between two
    /// dispatches, and at least the time that the last one took, so that ten thousand clients with a
    /// key that changes all the time leave the shard to others for half of the time.
    pub async fn dispatch(self: Rc<Self>, group: Group<KvStateMachine>, pace: Pace) {
        let clock = self.shard.clock().clone();
        let mut not_before = Moment::ZERO;
        loop {
            let alarm = self.table.borrow().next_alarm();
            match alarm {
                Some(alarm) => {
                    race(self.news.watches.wait(), clock.sleep_until(alarm)).await;
                }
                None => self.news.watches.wait().await,
            }
            if clock.now() < not_before {
                clock.sleep_until(not_before).await;
            }
            let started = clock.now();
            while group.with_machine(|machine| self.slice(machine.tree_mut(), pace)) {
                self.shard.pass().await;
            }
            let ended = clock.now();
            not_before = ended + pace.interval.max(ended.since(started));
        }
    }

    /// A part of a dispatch; returns whether there is more.
    fn slice(&self, machine: &mut Machine, pace: Pace) -> bool {
        let now = self.shard.clock().now();
        let mut table = self.table.borrow_mut();
        table.ring(machine, now);
        let mut more = table.note_changes(machine, pace.batch_max * WATCHES_PER_CLIENT);
        let mut left = pace.batch_max;
        while let Some(notification) = table.next_notification(machine, now) {
            if !self.send(&notification) {
                let Notification { client, flight, .. } = notification;
                table.answered(machine, client, flight, NotifyAnswer::Failed, now);
            }
            left -= 1;
            if left == 0 {
                more = true;
                break;
            }
        }
        for outbox in self.outboxes.iter() {
            outbox.flush();
        }
        more
    }

    /// Returns whether the notification is on its way.
    fn send(&self, notification: &Notification<'_>) -> bool {
        let Notification { client, flight, events } = notification;
        let events = Repeated::new(events);
        let request = WatchNotifyRequest { group_id: self.group.0, events };
        if client.shard == self.shard.id() {
            let encode = |writer: &mut Writer<'_>| request.encode(writer);
            return self.links.push(client.connection, self.group, *flight, encode);
        }
        let mut body = Vec::new();
        request.encode(&mut Writer::new(&mut body));
        let (client, group, flight) = (*client, self.group, *flight);
        let mail = ForeignNotification { client, group, flight, body };
        self.outboxes[usize::from(client.shard.0)].push(Mail::Notification(mail));
        true
    }
}
