//! The connections' end of watches: pushes, and answers that find the way back to their group.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use raft_core::GroupId;
use rpc::{ConnectionId, Connections, Push};
use wire::{Command, Writer};

/// How long a client may take for its answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Which connections of this shard watch something, and what each was sent last.
pub struct WatchLinks {
    connections: Rc<Connections>,
    /// One for each connection and group that it has ever sent a watch request for.
    links: RefCell<BTreeMap<(ConnectionId, GroupId), Link>>,
}

/// The last notification of a connection and group, until it is answered.
#[derive(Default)]
struct Link {
    in_flight: Option<InFlight>,
}

#[derive(Clone, Copy)]
struct InFlight {
    /// The number of the request on its connection.
    seq: i32,
    /// The number that the group knows it by.
    flight: u64,
}

impl WatchLinks {
    /// No links.
    pub fn new(connections: Rc<Connections>) -> WatchLinks {
        WatchLinks { connections, links: RefCell::default() }
    }

    /// A connection watches something in a group from now on, or did so before.
    pub fn open(&self, connection: ConnectionId, group: GroupId) {
        self.links.borrow_mut().entry((connection, group)).or_default();
    }

    /// Sends a notification, unless the connection is gone or has too much to send already.
    /// Returns whether it was sent.
    pub fn push(
        &self,
        connection: ConnectionId,
        group: GroupId,
        flight: u64,
        body: impl FnOnce(&mut Writer<'_>),
    ) -> bool {
        let mut links = self.links.borrow_mut();
        let Some(link) = links.get_mut(&(connection, group)) else { return false };
        let connection = self.connections.get(connection);
        let Some(connection) = connection.filter(|connection| connection.has_room()) else {
            return false;
        };
        let command = Command::DTKV_WATCH_NOTIFY_PUSH;
        let push = Push { command, timeout: ANSWER_TIMEOUT, one_way: false };
        link.in_flight = Some(InFlight { seq: connection.push(push, body), flight });
        true
    }

    /// Group and number of the notification that this is the answer to; `None` when nobody waits for
    /// it any more.
    pub fn answered(&self, connection: ConnectionId, seq: i32) -> Option<(GroupId, u64)> {
        let mut links = self.links.borrow_mut();
        let mut of_connection = links.range_mut(all_of(connection));
        of_connection.find_map(|(&(_, group), link)| {
            let in_flight = link.in_flight.take_if(|in_flight| in_flight.seq == seq)?;
            Some((group, in_flight.flight))
        })
    }

    /// Forgets a connection. Returns the groups that have to forget it, too.
    pub fn close(&self, connection: ConnectionId) -> Vec<GroupId> {
        let mut links = self.links.borrow_mut();
        let groups: Vec<_> =
            links.range(all_of(connection)).map(|(&(_, group), _)| group).collect();
        for &group in &groups {
            links.remove(&(connection, group));
        }
        groups
    }
}

fn all_of(connection: ConnectionId) -> core::ops::RangeInclusive<(ConnectionId, GroupId)> {
    (connection, GroupId(i32::MIN))..=(connection, GroupId(i32::MAX))
}
