//! A group of this shard with the fibers that do for its clients what no request asks for.

use std::rc::Rc;

use raft_host::Group;
use rpc::Connections;
use runtime::{FiberGroup, Shard};

use crate::changes::{Changes, ChangesLimits};
use crate::config;
use crate::expiry::expire;
use crate::locks::push_granted;
use crate::machine::KvStateMachine;
use crate::mail::Outbox;
use crate::replies::Replies;
use crate::watches::dispatcher::Pace;
use crate::watches::{WatchLimits, WatchLinks, Watches};

/// A group that has recovered.
#[derive(Clone)]
pub struct Hosted {
    /// The group.
    pub group: Group<KvStateMachine>,
    /// Who watches what in it.
    pub watches: Rc<Watches>,
    /// Who follows its changes.
    pub changes: Rc<Changes>,
    /// What ends with the group.
    pub fibers: FiberGroup,
}

/// What the groups of a shard share.
pub struct Surroundings {
    /// Their shard.
    pub shard: Shard,
    /// Connections of this shard.
    pub connections: Rc<Connections>,
    /// Their watches.
    pub links: Rc<WatchLinks>,
    /// Answers of their shard.
    pub replies: Rc<Replies>,
    /// Mail to all shards.
    pub outboxes: Rc<[Outbox]>,
    /// Limits of watches.
    pub watch: config::Watch,
}

impl Hosted {
    /// Starts the fibers of a group.
    pub fn start(group: Group<KvStateMachine>, around: &Surroundings) -> Hosted {
        let Surroundings { shard, connections, links, replies, outboxes, watch } = around;
        let news = group.with_machine(KvStateMachine::open_news);
        let limits = WatchLimits {
            keys_max: watch.keys_max as usize,
            notify_bytes_max: watch.notify_bytes_max.as_usize(),
            in_flight_bytes_max: watch.in_flight_bytes_max.as_usize(),
            keep_alive: watch.keep_alive_timeout,
        };
        let watches = Rc::new(Watches::new(
            group.id(),
            shard.clone(),
            limits,
            news.clone(),
            links.clone(),
            outboxes.clone(),
        ));
        let pace = Pace { interval: watch.dispatch_interval, batch_max: watch.batch_max as usize };
        let fibers = FiberGroup::new(shard, "hosted");
        fibers.spawn_daemon("watches", watches.clone().dispatch(group.clone(), pace));
        fibers.spawn_daemon("expiry", expire(group.clone(), shard.clock().clone(), news.clone()));
        let (connections, outboxes) = (connections.clone(), outboxes.clone());
        let limits = ChangesLimits { readers_max: watch.followers_max as usize };
        let of_group = (shard.clone(), group.clone());
        let changes = Rc::new(Changes::new(of_group, limits, news.clone(), replies.clone()));
        fibers.spawn_daemon("changes", changes.clone().run());
        let locks = push_granted(group.clone(), news, shard.id(), connections, outboxes);
        fibers.spawn_daemon("locks", locks);
        Hosted { group, watches, changes, fibers }
    }
}
