//! The fiber of the first shard that carries out orders, one after the other.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use moment::Moment;
use raft_core::GroupId;
use runtime::{Condition, Shard, ShardId, Signal};
use wire::{RespCode, ResponseHead, encode_response};

use super::book::Roster;
use super::file::{RosterFile, WriteFailed};
use super::order::Order;
use crate::caller::Caller;
use crate::group_options::group_options;
use crate::identity::Identity;
use crate::mail::{Mail, Outbox};
use crate::node::NodePlan;
use crate::peers::Acquaintance;
use crate::replies::Replies;

/// Orders that may wait.
const ORDERS_MAX: usize = 1024;

/// What a shard tells the registrar.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Report {
    /// Links and ways to groups are those of a roster.
    Seen(u64),
    /// The groups are, too.
    Settled {
        /// The roster's version.
        version: u64,
        /// A group that could not be opened, and why.
        failed: Option<(i32, String)>,
    },
    /// A group is not led here any more, if it was.
    Left(GroupId),
    /// In how many groups of the shard a node is.
    Counted {
        /// The node.
        node: u32,
        /// Groups that have it in their membership.
        groups: usize,
    },
}

/// What is known of a shard.
#[derive(Default)]
struct Standing {
    seen: Option<u64>,
    settled: Option<u64>,
    failed: Option<(i32, String)>,
    left: Option<GroupId>,
    counted: Option<(u32, usize)>,
}

/// Takes orders on the first shard.
#[derive(Default)]
pub struct Registrar {
    orders: RefCell<VecDeque<(Caller, Order)>>,
    work: Signal,
    shards: RefCell<BTreeMap<ShardId, Standing>>,
    news: Condition,
}

/// What it takes to carry out orders.
pub struct Means {
    /// The first shard.
    pub shard: Shard,
    /// What the node was started with.
    pub plan: Arc<NodePlan>,
    /// Who the node is.
    pub identity: Arc<Identity>,
    /// In which groups it votes.
    pub acquaintance: Rc<Acquaintance>,
    /// The way back.
    pub replies: Rc<Replies>,
    /// Mail to all shards.
    pub outboxes: Rc<[Outbox]>,
}

/// Why an order was not carried out.
enum Failed {
    /// The node goes on as it was.
    Refused(String),
    /// Nobody knows what is durable.
    Fatal(io::Error),
}

impl From<String> for Failed {
    fn from(text: String) -> Failed {
        Failed::Refused(text)
    }
}

impl Registrar {
    /// Takes an order. `false` when too many wait.
    pub fn take(&self, caller: Caller, order: Order) -> bool {
        let mut orders = self.orders.borrow_mut();
        if orders.len() >= ORDERS_MAX {
            return false;
        }
        orders.push_back((caller, order));
        self.work.set();
        true
    }

    /// Takes what a shard has to tell.
    pub fn hear(&self, shard: ShardId, report: Report) {
        let mut shards = self.shards.borrow_mut();
        let standing = shards.entry(shard).or_default();
        match report {
            Report::Seen(version) => standing.seen = Some(version),
            Report::Settled { version, failed } => {
                (standing.settled, standing.failed) = (Some(version), failed);
            }
            Report::Left(group) => standing.left = Some(group),
            Report::Counted { node, groups } => standing.counted = Some((node, groups)),
        }
        self.news.notify_all();
    }

    /// In how many groups of all shards the node is that was asked about last.
    fn take_counts(&self) -> usize {
        let mut shards = self.shards.borrow_mut();
        let counts = shards.values_mut().filter_map(|standing| standing.counted.take());
        counts.map(|(_, groups)| groups).sum()
    }

    /// Carries out orders, until one fails in a way after which nobody knows what is durable. All
    /// shards have been told of the roster that it begins with.
    pub async fn run(&self, means: Means, file: RosterFile, roster: Roster) -> io::Error {
        let mut office = Office { registrar: self, means, file, roster };
        loop {
            let next = self.orders.borrow_mut().pop_front();
            let Some((caller, order)) = next else {
                self.work.wait().await;
                continue;
            };
            let ended = office.carry_out(order).await;
            let now = office.means.shard.clock().now();
            match ended {
                Ok(()) => office.confirm(&caller, now),
                Err(Failed::Refused(text)) => {
                    office.means.replies.refuse(&caller, now, RespCode::SysError, &text);
                }
                Err(Failed::Fatal(error)) => return error,
            }
            office.means.replies.flush();
        }
    }
}

/// The registrar at work.
struct Office<'a> {
    registrar: &'a Registrar,
    means: Means,
    file: RosterFile,
    roster: Roster,
}

impl Office<'_> {
    async fn carry_out(&mut self, order: Order) -> Result<(), Failed> {
        match order {
            Order::AddNode(node) => {
                match self.roster.with_node(node.node_id, &node.host, node.port)? {
                    Some(next) => self.enact(next).await,
                    None => Ok(()),
                }
            }
            Order::RemoveNode(node) => self.remove_node(node).await,
            Order::AddGroup(group) => {
                let next =
                    self.roster.with_group(group.group_id, &group.members, &group.observers)?;
                self.add_group(group.group_id, next).await
            }
            Order::RemoveGroup(group) => match self.roster.without_group(group) {
                Some(next) => {
                    self.hand_over(GroupId(group)).await;
                    self.enact(next).await
                }
                None => Ok(()),
            },
            Order::Drain(is_drained) => match self.roster.drained(is_drained) {
                Some(next) => self.enact(next).await,
                None => Ok(()),
            },
            // Whatever was changed is durable before it is answered.
            Order::Sync => Ok(()),
        }
    }

    async fn remove_node(&mut self, id: i32) -> Result<(), Failed> {
        let Some(next) = self.roster.without_node(id)? else { return Ok(()) };
        let node = id as u32;
        self.tell_all(|| Mail::Census(node));
        let of_node = |standing: &Standing| standing.counted.filter(|counted| counted.0 == node);
        self.until_all(|standing| of_node(standing).is_some()).await;
        let groups = self.registrar.take_counts();
        if groups > 0 {
            return Err(format!("node is using, current ref count: {groups}").into());
        }
        self.enact(next).await
    }

    /// Lets another node lead a group, if one can: clients of it notice nothing.
    async fn hand_over(&self, group: GroupId) {
        self.tell_all(|| Mail::Leave(group));
        self.until_all(|standing| standing.left == Some(group)).await;
        let mut shards = self.registrar.shards.borrow_mut();
        shards.values_mut().for_each(|standing| standing.left = None);
    }

    /// Adds a group and waits until it is open. One that cannot be opened is not added.
    async fn add_group(&mut self, id: i32, next: Roster) -> Result<(), Failed> {
        // An earlier group of that id may still have its files open, on another shard.
        self.settled().await;
        self.look_for_files(id, &next).await?;
        let before = self.roster.clone();
        self.enact(next).await?;
        self.settled().await;
        let failed = self.failure_of(id);
        let Some(text) = failed else { return Ok(()) };
        let undone = self.roster.back_to(&before);
        self.enact(undone).await?;
        Err(format!("group {id} cannot be opened: {text}").into())
    }

    /// A node that has voted in a group does not begin anew in it.
    async fn look_for_files(&self, id: i32, next: &Roster) -> Result<(), Failed> {
        let Some(group) = next.groups().get(&id) else { return Ok(()) };
        let Means { shard, plan, identity, acquaintance, .. } = &self.means;
        let options = group_options(&plan.config, group, identity, 0);
        let path = options.hard_state_path();
        let exists = shard.storage().exists(&path).await.map_err(|error| error.to_string())?;
        if acquaintance.lives().is_trusted(id) && !exists {
            let dir = options.dir;
            return Err(format!(
                "this node has voted in group {id}, and {dir} is gone from its data directory; \
                 restore it, or choose another id"
            )
            .into());
        }
        Ok(())
    }

    fn failure_of(&self, id: i32) -> Option<String> {
        let shards = self.registrar.shards.borrow();
        let mut failed = shards.values().filter_map(|standing| standing.failed.as_ref());
        failed.find(|(group, _)| *group == id).map(|(_, text)| text.clone())
    }

    /// Makes a roster durable, and returns when all shards have seen it.
    async fn enact(&mut self, next: Roster) -> Result<(), Failed> {
        match self.file.write(&next).await {
            Ok(()) => {}
            Err(WriteFailed::Unchanged(error)) => {
                let text = format!("the file `roster` cannot be written: {error}; nothing changed");
                return Err(text.into());
            }
            Err(WriteFailed::Unknown(error)) => return Err(Failed::Fatal(error)),
        }
        self.roster = next;
        self.publish();
        let version = self.roster.version();
        self.until_all(|standing| standing.seen >= Some(version)).await;
        Ok(())
    }

    fn publish(&self) {
        self.means.plan.addresses.update(&self.roster);
        let news = Arc::new(self.roster.clone());
        self.tell_all(|| Mail::Roster(news.clone()));
    }

    /// Waits until every shard has opened and closed all that it has to.
    async fn settled(&self) {
        let version = self.roster.version();
        self.until_all(|standing| standing.settled >= Some(version)).await;
    }

    async fn until_all(&self, holds: impl Fn(&Standing) -> bool) {
        let all = || {
            let shards = self.registrar.shards.borrow();
            shards.len() == self.means.plan.shards() && shards.values().all(&holds)
        };
        while !all() {
            self.registrar.news.wait().await;
        }
    }

    fn tell_all(&self, mail: impl Fn() -> Mail) {
        for outbox in self.means.outboxes.iter() {
            outbox.push(mail());
            outbox.flush();
        }
    }

    fn confirm(&self, caller: &Caller, now: Moment) {
        let head = ResponseHead::success(caller.command, caller.seq);
        self.means.replies.answer(caller, now, |out| encode_response(out, &head, |_| {}));
    }
}
