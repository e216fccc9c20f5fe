//! The fiber that reads the log for those who wait, and the door to a group's changes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use kv_api::ChangesRequest;
use kv_machine::Machine;
use moment::Moment;
use raft_core::Index;
use raft_host::{Group, LogPage, LogPages, Refusal};
use runtime::{Shard, race};
use wire::RespCode;

use super::answer::{encode_changes, unseen};
use super::desk::{ChangesLimits, Desk, Reader, ReaderId};
use super::events::Events;
use super::keys::distinct;
use super::state::encode_state;
use crate::caller::Caller;
use crate::machine::KvStateMachine;
use crate::news::News;
use crate::refusal::refuse;
use crate::replies::Replies;
use crate::watches::ClientId;

/// Who follows the changes of one group, on its shard.
pub struct Changes {
    shard: Shard,
    group: Group<KvStateMachine>,
    desk: RefCell<Desk>,
    news: Rc<News>,
    replies: Rc<Replies>,
}

/// About how many bytes of the log are read at once.
const PAGE_BYTES: u64 = 256 << 10;
/// What all answers to one page may have together.
const FAN_OUT_BYTES: u64 = 64 << 20;
/// What an answer needs to be in time.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

impl Changes {
    /// Nobody follows yet.
    pub fn new(
        (shard, group): (Shard, Group<KvStateMachine>),
        limits: ChangesLimits,
        news: Rc<News>,
        replies: Rc<Replies>,
    ) -> Changes {
        Changes { shard, group, desk: RefCell::new(Desk::new(limits)), news, replies }
    }

    /// Answers a request, now or when there is something to tell, whether this node leads or follows.
    pub fn ask(&self, caller: Caller, request: &ChangesRequest<'_>, now: Moment) {
        let Some(_) = self.group.leader() else {
            return refuse(&self.replies, &caller, now, Refusal::NotLeader { leader: None });
        };
        let keys = distinct(request.keys.iter());
        let applied = self.group.applied().0;
        let is_told = self.group.with_machine(|machine| {
            let tree = machine.tree();
            let is_gone = request.from_index < tree.changes_known_from();
            let wants_state = is_gone || !request.cursor.is_empty();
            if wants_state {
                let part = (request.cursor, request.from_index);
                let encode = |out: &mut Vec<u8>| {
                    encode_state(out, &caller, tree, applied, &keys, part);
                };
                self.replies.answer(&caller, now, encode);
            }
            wants_state
        });
        if is_told {
            return;
        }
        if !self.desk.borrow().has_room(caller.client()) {
            let text = "too many requests for changes wait: more than watch.followers_max in the \
                        group, or 32 on the connection";
            return self.replies.refuse(&caller, now, RespCode::FlowControl, text);
        }
        let wait = Duration::from_millis(u64::try_from(request.wait_millis).unwrap_or(0));
        let latest = now + caller.deadline.since(now).saturating_sub(ON_ITS_WAY);
        let (from, skip) = (request.from_index, request.skip.unsigned_abs());
        let reader =
            Reader { caller, keys, from, skip, is_begun: false, until: latest.min(now + wait) };
        self.desk.borrow_mut().add(reader, applied);
        self.news.is_followed.set(true);
        self.group.keep_applied(true);
        self.news.changes.set();
    }

    /// A connection is gone.
    pub fn close(&self, client: ClientId) {
        self.desk.borrow_mut().close(client);
        self.news.changes.set();
    }

    /// The group ends here: those who wait have to ask another node.
    pub fn end(&self) {
        let now = self.shard.clock().now();
        let readers = self.desk.borrow_mut().take_all();
        for reader in readers {
            refuse(&self.replies, &reader.caller, now, Refusal::Stopping);
        }
    }

    /// Answers those who wait as long as the shard runs.
    pub async fn run(self: Rc<Self>) {
        let clock = self.shard.clock().clone();
        loop {
            let (mut newest, mut older) = (self.group.log_pages(), self.group.log_pages());
            while !self.desk.borrow().is_empty() {
                self.answer_late(clock.now());
                let told = self.tell_newest(&mut newest).await;
                let caught_up = self.catch_up(&mut older).await;
                self.replies.flush();
                if told || caught_up {
                    self.shard.pass().await;
                    continue;
                }
                let alarm = self.desk.borrow().next_alarm();
                let Some(alarm) = alarm else { break };
                race(self.news.changes.wait(), clock.sleep_until(alarm)).await;
            }
            newest.close().await;
            older.close().await;
            if self.desk.borrow().is_empty() {
                self.news.is_followed.set(false);
                self.group.keep_applied(false);
                self.news.changes.wait().await;
            }
        }
    }

    /// Answers those whose time is over.
    fn answer_late(&self, now: Moment) {
        while let Some(reader) = self.next_over(now) {
            if self.group.leader().is_none() {
                // Whoever is cut off from the others has nothing to tell for long.
                let refusal = Refusal::NotLeader { leader: None };
                refuse(&self.replies, &reader.caller, now, refusal);
                continue;
            }
            let next = (reader.from, reader.skip);
            let encode =
                |out: &mut Vec<u8>| encode_changes(out, &reader, core::iter::empty(), next);
            self.replies.answer(&reader.caller, now, encode);
        }
    }

    fn next_over(&self, now: Moment) -> Option<Reader> {
        self.desk.borrow_mut().next_over(now)
    }

    /// Tells those who are parked of the next entries. Returns whether there were any.
    async fn tell_newest(&self, pages: &mut LogPages<KvStateMachine>) -> bool {
        let (told, parked) = {
            let desk = self.desk.borrow();
            (desk.told(), desk.parked_count() as u64)
        };
        let Some(told) = told.filter(|told| *told < self.group.applied().0) else { return false };
        let bytes_max = (FAN_OUT_BYTES / parked.max(1)).min(PAGE_BYTES);
        let page = pages.page(Index(told + 1), bytes_max).await;
        let page = page.unwrap_or_else(|error| {
            tracing::warn!(group = self.group.id().0, %error, "cannot read the log for followers");
            None
        });
        self.group.with_machine(|machine| {
            let tree = machine.tree();
            let events = page.as_ref().and_then(|page| Events::of(page, told + 1, tree));
            match (page, events) {
                (Some(page), Some(events)) => self.tell(&events, &page),
                _ => self.tell_state(tree),
            }
        });
        true
    }

    /// Tells those who are parked and concerned.
    fn tell(&self, events: &Events, page: &LogPage) {
        let now = self.shard.clock().now();
        let mut desk = self.desk.borrow_mut();
        let mut concerned: BTreeMap<ReaderId, Vec<usize>> = BTreeMap::new();
        for (position, event) in events.iter().enumerate() {
            for id in desk.concerned(&event) {
                let positions = concerned.entry(id).or_default();
                if positions.last() != Some(&position) {
                    positions.push(position);
                }
            }
        }
        desk.note_told(page.last.0);
        for (id, positions) in concerned {
            let is_wanted = |reader: &Reader| {
                let mut wanted = positions.iter().filter_map(|position| events.get(*position));
                wanted.any(|event| event.raft_index >= reader.from)
            };
            if !desk.get_mut(id).is_some_and(|reader| is_wanted(reader)) {
                continue;
            }
            let Some(reader) = desk.remove(id) else { continue };
            let wanted = positions.iter().filter_map(|position| events.get(*position));
            let next = (page.last.0 + 1, 0);
            let encode = |out: &mut Vec<u8>| encode_changes(out, &reader, wanted, next);
            self.replies.answer(&reader.caller, now, encode);
        }
    }

    /// The log does not have what those who are parked should be told next.
    fn tell_state(&self, tree: &Machine) {
        let mut desk = self.desk.borrow_mut();
        let applied = self.group.applied().0;
        for id in desk.parked() {
            if desk.get_mut(id).is_some_and(|reader| reader.from <= applied)
                && let Some(reader) = desk.remove(id)
            {
                self.answer_with_state(&reader, tree);
            }
        }
        desk.note_told(applied);
    }

    /// Looks through a part of the log for one who wants something older. Returns whether there is
    /// one.
    async fn catch_up(&self, pages: &mut LogPages<KvStateMachine>) -> bool {
        let next = {
            let mut desk = self.desk.borrow_mut();
            desk.next_behind().map(|(id, reader)| (id, reader.from))
        };
        let Some((id, from)) = next else { return false };
        let page = match from <= self.group.applied().0 {
            true => pages.page(Index(from), PAGE_BYTES).await,
            false => {
                self.desk.borrow_mut().settle(id, self.group.applied().0);
                return true;
            }
        };
        let page = page.unwrap_or_else(|error| {
            tracing::warn!(group = self.group.id().0, %error, "cannot read the log for a follower");
            None
        });
        let now = self.shard.clock().now();
        let applied = self.group.applied().0;
        self.group.with_machine(|machine| {
            let tree = machine.tree();
            let mut desk = self.desk.borrow_mut();
            let events = page.as_ref().and_then(|page| Events::of(page, from, tree));
            let (Some(page), Some(events)) = (page, events) else {
                if let Some(reader) = desk.remove(id) {
                    self.answer_with_state(&reader, tree);
                }
                return;
            };
            let Some(reader) = desk.get_mut(id) else { return };
            let next = (page.last.0 + 1, 0);
            if unseen(reader, events.concerning(&reader.keys)).next().is_none() {
                (reader.from, reader.skip, reader.is_begun) = (next.0, next.1, true);
                return desk.settle(id, applied);
            }
            let Some(reader) = desk.remove(id) else { return };
            let wanted = events.concerning(&reader.keys);
            let encode = |out: &mut Vec<u8>| encode_changes(out, &reader, wanted, next);
            self.replies.answer(&reader.caller, now, encode);
        });
        true
    }

    fn answer_with_state(&self, reader: &Reader, tree: &Machine) {
        let now = self.shard.clock().now();
        let encode = |out: &mut Vec<u8>| {
            let applied = self.group.applied().0;
            encode_state(out, &reader.caller, tree, applied, &reader.keys, (&[], 0));
        };
        self.replies.answer(&reader.caller, now, encode);
    }
}
