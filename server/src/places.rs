//! Where each group lives, seen from one shard, as the roster changes.

use std::rc::Rc;
use std::sync::Arc;

use moment::Moment;
use raft_core::GroupId;
use raft_host::{Group, Refusal};
use runtime::ShardId;

use crate::caller::Caller;
use crate::hosted::Hosted;
use crate::machine::KvStateMachine;
use crate::refusal::refuse;
use crate::requests::Requests;
use crate::roster::{Order, Registrar, Roster};

/// Where a group lives.
pub enum Place {
    /// On this shard.
    Here(Hosted),
    /// On this shard, but its recovery has not finished.
    Starting,
    /// On this shard, and not for long: it was removed.
    Stopping(Hosted),
    /// On another shard of this node.
    There(ShardId),
}

impl Requests {
    /// All nodes and groups, as far as this shard was told.
    pub fn roster(&self) -> Arc<Roster> {
        self.roster.borrow().clone()
    }

    /// Takes a newer roster: ways to groups follow it at once, groups of this shard later.
    pub fn learn(&self, roster: Arc<Roster>) {
        let mut places = self.groups.borrow_mut();
        let before = core::mem::take(&mut *places);
        for (id, place) in before {
            let belongs_here = roster.belongs(id.0, self.shard.id());
            let place = match place {
                Place::Here(hosted) if !belongs_here => Place::Stopping(hosted),
                Place::Starting if !belongs_here => continue,
                Place::There(_) => continue,
                place => place,
            };
            places.insert(id, place);
        }
        for group in roster.groups().values() {
            let place = match ShardId(group.shard) {
                shard if shard == self.shard.id() => Place::Starting,
                shard => Place::There(shard),
            };
            places.entry(GroupId(group.id)).or_insert(place);
        }
        drop(places);
        *self.roster.borrow_mut() = roster;
    }

    /// A group of this shard has recovered.
    pub fn add_group(&self, id: GroupId, hosted: Hosted) {
        self.groups.borrow_mut().insert(id, Place::Here(hosted));
    }

    /// A group of this shard has ended, or did not begin.
    pub fn forget_group(&self, id: GroupId) {
        drop(self.groups.borrow_mut().remove(&id));
    }

    /// Lets go of all groups, at the end.
    pub fn forget_groups(&self) {
        drop(self.groups.take());
    }

    /// The groups of this shard that have recovered, with what belongs to them.
    pub fn hosted_here(&self) -> Vec<Hosted> {
        let groups = self.groups.borrow();
        let here = groups.values().filter_map(|place| match place {
            Place::Here(hosted) | Place::Stopping(hosted) => Some(hosted.clone()),
            Place::Starting | Place::There(_) => None,
        });
        here.collect()
    }

    /// The groups of this shard that have recovered.
    pub fn groups_here(&self) -> Vec<Group<KvStateMachine>> {
        self.hosted_here().into_iter().map(|hosted| hosted.group).collect()
    }

    /// The groups of this shard that do not belong to it any more.
    pub fn leaving(&self) -> Vec<Hosted> {
        let (roster, own) = (self.roster(), self.shard.id());
        let mut hosted = self.hosted_here();
        hosted.retain(|hosted| !roster.belongs(hosted.group.id().0, own));
        hosted
    }

    /// Whether a group of this shard is open.
    pub fn is_open(&self, id: GroupId) -> bool {
        let groups = self.groups.borrow();
        matches!(groups.get(&id), Some(Place::Here(_) | Place::Stopping(_)))
    }

    /// In how many groups of this shard a node is: a member, an observer, or about to be one.
    pub fn groups_with(&self, node: u32) -> usize {
        let (roster, groups) = (self.roster(), self.groups.borrow());
        let has = |(id, place): &(&GroupId, &Place)| match place {
            Place::Here(hosted) | Place::Stopping(hosted) => {
                let config = hosted.group.status().raft.config;
                config.halves().any(|members| {
                    members.voters.iter().chain(&members.observers).any(|member| member.0 == node)
                })
            }
            Place::Starting => roster.groups().get(&id.0).is_some_and(|group| {
                group.members.iter().chain(&group.observers).any(|member| *member == node)
            }),
            Place::There(_) => false,
        };
        groups.iter().filter(has).count()
    }

    /// Brings an order about nodes or groups to the registrar, or on its way there.
    pub(crate) fn order(
        self: &Rc<Self>,
        caller: Caller,
        process: wire::ProcessId,
        body: &[u8],
        now: Moment,
    ) {
        if self.shard.id() != FIRST {
            return self.pass_on(FIRST, caller, process, body, now);
        }
        let Ok(order) = Order::decode(caller.command, body) else { return };
        if !self.registrar.take(caller, order) {
            refuse(&self.replies, &caller, now, Refusal::FlowControl);
        }
    }

    /// Who carries out orders; only that of the first shard does anything.
    pub fn registrar(&self) -> &Registrar {
        &self.registrar
    }
}

/// The shard that accepts connections and owns the node's files outside the groups.
pub(crate) const FIRST: ShardId = ShardId(0);
