//! Opens and closes the groups of a shard, as the roster says.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use planted::{Bug, is_on};
use raft_core::{GroupId, Standing};
use raft_host::{Group, GroupError};
use runtime::{Either, ShardId, Signal, race};

use super::{Core, Never};
use crate::config;
use crate::group_options::{group_options, priority};
use crate::handover::hand_over;
use crate::hosted::{Hosted, Surroundings};
use crate::identity::Identity;
use crate::machine::KvStateMachine;
use crate::mail::{Mail, Outbox, tell_all};
use crate::node::{NodeError, Ready};
use crate::peers::{Candidacy, GroupOutbox, Wish};
use crate::places::FIRST;
use crate::roster::{Report, Roster};

/// What a shard does with the roster, and the first group that has failed.
#[derive(Default)]
pub(super) struct Changing {
    /// There is a newer roster.
    news: Signal,
    failure: RefCell<Option<NodeError>>,
    failed: Signal,
}

impl Core {
    /// Takes a newer roster.
    pub(super) fn learn(&self, roster: Arc<Roster>) {
        let version = roster.version();
        self.links.update(&roster);
        self.requests.learn(roster);
        self.want_leadership();
        self.changing.news.set();
        self.report(Report::Seen(version));
    }

    /// A node that is drained leads no group that another node can lead.
    fn want_leadership(&self) {
        let priority = priority(&self.plan.config, self.requests.roster().is_drained());
        self.requests.groups_here().iter().for_each(|group| group.set_priority(priority));
    }

    /// Tells the registrar something.
    pub(super) fn report(&self, report: Report) {
        self::report(&self.outboxes, self.shard.id(), report);
    }

    /// Opens the groups, serves, and keeps to the roster until something fails.
    pub(super) async fn serve_groups(
        &self,
        addresses: Option<(SocketAddr, SocketAddr)>,
    ) -> Result<Never, NodeError> {
        let identity = loop {
            match self.acquaintance.own() {
                Some(identity) => break identity,
                None => self.heard.news.wait().await,
            }
        };
        let roster = self.requests.roster();
        for group in self.to_open(&roster) {
            Box::pin(self.open_group(&group, &identity)).await?;
        }
        self.settled(&roster, None);
        // Each group says for itself whether it serves: one without a leader holds up no other.
        self.requests.open_for_clients();
        // Each lives on the heap: futures that hold others by value double with every level.
        let announced = Box::pin(async {
            match self.announce(addresses).await {
                Ok(()) => core::future::pending().await,
                Err(error) => error,
            }
        });
        let kept = Box::pin(async {
            match self.keep_groups(&identity, roster.version()).await {
                Ok(never) => match never {},
                Err(error) => error,
            }
        });
        match race(race(announced, kept), self.changing.first_failure()).await {
            Either::Left(Either::Left(error) | Either::Right(error)) | Either::Right(error) => {
                Err(error)
            }
        }
    }

    /// Says that the node serves as soon as all groups with which it was started do.
    async fn announce(&self, addresses: Option<(SocketAddr, SocketAddr)>) -> Result<(), NodeError> {
        for group in self.requests.groups_here() {
            match group.serving().await {
                // It was removed meanwhile.
                Ok(()) | Err(GroupError::Stopped) => {}
                Err(error) => return Err(NodeError::Group { group: group.id(), error }),
            }
        }
        tell_all(&self.plan.senders, || Mail::GroupsReady(self.shard.id())).await?;
        self.until(|heard| heard.ready.borrow().len() == self.plan.shards()).await;
        if let Some((service, replicate)) = addresses {
            (self.plan.on_ready)(Ready { service, replicate });
        }
        Ok(())
    }

    /// Brings the groups in line with each newer roster.
    async fn keep_groups(&self, identity: &Identity, settled: u64) -> Result<Never, NodeError> {
        let mut settled = settled;
        loop {
            let roster = self.requests.roster();
            if roster.version() == settled {
                self.changing.news.wait().await;
                continue;
            }
            for hosted in self.requests.leaving() {
                self.close_group(&hosted).await?;
            }
            let mut failed = None;
            for group in self.to_open(&roster) {
                if let Err(error) = Box::pin(self.open_group(&group, identity)).await {
                    tracing::error!(%error, "a group that was added cannot be opened");
                    self.requests.forget_group(GroupId(group.id));
                    failed = Some((group.id, error.to_string()));
                }
            }
            settled = roster.version();
            self.settled(&roster, failed);
        }
    }

    fn settled(&self, roster: &Roster, failed: Option<(i32, String)>) {
        if !self.requests.groups_here().is_empty() {
            self.links.start();
        }
        self.report(Report::Settled { version: roster.version(), failed });
    }

    /// The groups of this shard that are not open.
    fn to_open(&self, roster: &Roster) -> Vec<config::Group> {
        let own = roster.groups().values().filter(|group| ShardId(group.shard) == self.shard.id());
        own.filter(|group| !self.requests.is_open(GroupId(group.id))).cloned().collect()
    }

    /// Hands over a group that is about to be removed, if it is led here, and says when that is
    /// done. Until then it serves, and writes wait for the next leader.
    pub(super) fn leave(&self, id: GroupId) {
        let mut groups = self.requests.groups_here();
        groups.retain(|group| group.id() == id);
        let (shard, outboxes) = (self.shard.clone(), self.outboxes.clone());
        self.shard.fibers().spawn_daemon("leave", async move {
            hand_over(&shard, groups).await;
            report(&outboxes, shard.id(), Report::Left(id));
        });
    }

    /// Ends a group that was removed. Its files stay.
    async fn close_group(&self, hosted: &Hosted) -> Result<(), NodeError> {
        let id = hosted.group.id();
        let stopped = hosted.group.stop().await;
        hosted.fibers.cancel();
        hosted.changes.end();
        self.probations.forget(id);
        self.requests.forget_group(id);
        self.replies.flush();
        tracing::info!(group = id.0, "the group was removed from this node; its files stay");
        stopped.map_err(|error| NodeError::Group { group: id, error })
    }

    async fn open_group(
        &self,
        config: &config::Group,
        identity: &Identity,
    ) -> Result<(), NodeError> {
        let id = GroupId(config.id);
        let is_trusted = self.acquaintance.lives().is_trusted(config.id);
        let seed = self.shard.random().next_u64();
        let mut machine =
            KvStateMachine::new(seed, self.replies.clone(), self.shard.clock().clone());
        if let Some(witness) = &self.plan.witness {
            machine = machine.with_witness(id, witness.clone());
        }
        let mut options = group_options(&self.plan.config, config, identity, seed);
        let exists = self.shard.storage().exists(&options.hard_state_path()).await;
        if is_trusted && !exists.map_err(|error| self.plan.lives_error(error.into()))? {
            return Err(NodeError::GroupGone { group: id, dir: options.dir });
        }
        // A node that decides alone has nobody to ask, and nobody whom it could mislead.
        let is_alone = config.members == [identity.node];
        if !is_trusted && !is_alone && !is_on(Bug::NewDiskTrusted) {
            options.standing = Standing::Withheld;
        }
        let group = Group::open(&self.shard, options, machine).await;
        let group = group.map_err(|error| NodeError::Group { group: id, error })?;
        if let Some(witness) = &self.plan.witness {
            witness.opened(&group);
        }
        group.connect(Rc::new(GroupOutbox::new(self.links.clone(), id)));
        let hosted = Hosted::start(group.clone(), &self.surroundings());
        self.requests.add_group(id, hosted.clone());
        self.want_leadership();
        let (changing, watched) = (self.changing.clone(), group.clone());
        hosted.fibers.spawn_daemon("failure", async move {
            let error = watched.failed().await;
            changing.fail(NodeError::Group { group: id, error });
        });
        if is_alone && !is_trusted {
            self.acquaintance.wish(Wish::Trust { group: config.id });
        } else if !is_trusted {
            let candidacy = Candidacy {
                shard: self.shard.clone(),
                links: self.links.clone(),
                acquaintance: self.acquaintance.clone(),
                probations: self.probations.clone(),
                group,
            };
            hosted.fibers.spawn_daemon("probation", candidacy.begin());
        }
        Ok(())
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            shard: self.shard.clone(),
            connections: self.connections.clone(),
            links: self.requests.links.clone(),
            replies: self.replies.clone(),
            outboxes: self.outboxes.clone(),
            watch: self.plan.config.watch.clone(),
        }
    }
}

fn report(outboxes: &[Outbox], from: ShardId, report: Report) {
    if let Some(first) = outboxes.get(usize::from(FIRST.0)) {
        first.push(Mail::RosterReport(from, report));
        first.flush();
    }
}

impl Changing {
    fn fail(&self, error: NodeError) {
        self.failure.borrow_mut().get_or_insert(error);
        self.failed.set();
    }

    async fn first_failure(&self) -> NodeError {
        loop {
            if let Some(error) = self.failure.borrow_mut().take() {
                return error;
            }
            self.failed.wait().await;
        }
    }
}
