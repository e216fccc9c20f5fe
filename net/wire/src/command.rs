//! Every command and every code, each with its number and name.

use core::fmt;

/// The number of a command, known or not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Command(pub i32);

/// The two ports of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PortKind {
    /// For clients: keys and values, status.
    Service,
    /// For the other nodes and for administration.
    Replicate,
}

/// Which port of a server takes a command as a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Served {
    /// Both ports.
    Both,
    /// Only the service port.
    Service,
    /// Only the replicate port.
    Replicate,
    /// Neither: it goes from server to client, or its number is only reserved.
    Never,
}

impl Served {
    /// Whether a request with such a command is taken on this port.
    #[inline]
    pub const fn on(self, port: PortKind) -> bool {
        match self {
            Served::Both => true,
            Served::Service => matches!(port, PortKind::Service),
            Served::Replicate => matches!(port, PortKind::Replicate),
            Served::Never => false,
        }
    }
}

/// One row of the registry gives the constant, the number, the name and the port.
macro_rules! commands {
    ($($(#[doc = $doc:literal])* $constant:ident = $number:literal, $served:ident;)*) => {
        impl Command {
            $($(#[doc = $doc])* pub const $constant: Command = Command($number);)*

            /// All registered commands in ascending order.
            pub const ALL: &'static [Command] = &[$(Command::$constant),*];

            /// The name of a registered command.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($constant)),)*
                    _ => None,
                }
            }

            /// The ports that take it as a request; `None` for an unregistered number.
            #[inline]
            pub const fn served(self) -> Option<Served> {
                match self.0 {
                    $($number => Some(Served::$served),)*
                    _ => None,
                }
            }
        }
    };
}

commands! {
    /// Answers with the bytes it got.
    PING = 1, Both;
    /// The first request of every connection.
    HANDSHAKE = 2, Both;
    /// Reserved; nobody sends or serves it.
    HEARTBEAT = 3, Never;
    /// Log entries from a leader.
    RAFT_APPEND_ENTRIES = 4, Replicate;
    /// One node of the tree.
    DTKV_GET = 5, Service;
    /// Set a value.
    DTKV_PUT = 6, Service;
    /// Who are you, between nodes.
    NODE_PING = 40, Replicate;
    /// What group do you have, between nodes.
    RAFT_PING = 41, Replicate;
    /// Vote or pre-vote.
    RAFT_REQUEST_VOTE = 42, Replicate;
    /// One chunk of a snapshot.
    RAFT_INSTALL_SNAPSHOT = 43, Replicate;
    /// Move the leadership, asked by an administrator.
    RAFT_ADMIN_TRANSFER_LEADER = 44, Replicate;
    /// Take the leadership, asked by the old leader.
    RAFT_TRANSFER_LEADER = 45, Replicate;
    /// The status of a group on this node; the way to find a leader.
    RAFT_QUERY_STATUS = 46, Both;
    /// First step of a membership change.
    RAFT_ADMIN_PREPARE_CHANGE = 47, Replicate;
    /// Second step of a membership change.
    RAFT_ADMIN_COMMIT_CHANGE = 48, Replicate;
    /// Undo the first step of a membership change.
    RAFT_ADMIN_ABORT_CHANGE = 49, Replicate;
    /// Make another node known.
    RAFT_ADMIN_ADD_NODE = 50, Replicate;
    /// Forget another node.
    RAFT_ADMIN_REMOVE_NODE = 51, Replicate;
    /// Start a group on this node.
    RAFT_ADMIN_ADD_GROUP = 52, Replicate;
    /// Stop a group on this node.
    RAFT_ADMIN_REMOVE_GROUP = 53, Replicate;
    /// All known nodes.
    RAFT_ADMIN_LIST_NODES = 54, Replicate;
    /// All groups of this node.
    RAFT_ADMIN_LIST_GROUPS = 55, Replicate;
    /// Write nodes and groups to the node's configuration.
    RAFT_ADMIN_SYNC_CONFIG = 56, Replicate;
    /// Remove a node of the tree.
    DTKV_REMOVE = 70, Service;
    /// Make a directory.
    DTKV_MKDIR = 71, Service;
    /// The children of a directory.
    DTKV_LIST = 72, Service;
    /// Several nodes of the tree.
    DTKV_BATCH_GET = 73, Service;
    /// Set several values.
    DTKV_BATCH_PUT = 74, Service;
    /// Remove several nodes of the tree.
    DTKV_BATCH_REMOVE = 75, Service;
    /// Compare and set.
    DTKV_CAS = 76, Service;
    /// Add and remove watches.
    DTKV_SYNC_WATCH = 77, Service;
    /// What changed under a watch, from server to client.
    DTKV_WATCH_NOTIFY_PUSH = 78, Never;
    /// The status of a group and of this connection's watches.
    DTKV_QUERY_STATUS = 79, Service;
    /// Set a value that expires.
    DTKV_PUT_TEMP_NODE = 80, Service;
    /// Make a directory that expires.
    DTKV_MAKE_TEMP_DIR = 81, Service;
    /// Change when something expires.
    DTKV_UPDATE_TTL = 82, Service;
    /// Take a lock or wait for it.
    DTKV_TRY_LOCK = 83, Service;
    /// Give a lock back.
    DTKV_UNLOCK = 84, Service;
    /// A lock was granted, from server to client, one-way.
    DTKV_LOCK_PUSH = 85, Never;
    /// Renew the lease of a lock.
    DTKV_UPDATE_LOCK_LEASE = 86, Service;
    /// The first request of a node on a connection to another node.
    NODE_HELLO = 1001, Replicate;
    /// A message of a raft group, one-way, after a hello.
    NODE_MESSAGE = 1002, Replicate;
    /// Several operations on the tree under conditions, as a whole or not at all.
    TRANSACTION = 1100, Service;
    /// Every change of some keys from an index on, in order.
    CHANGES = 1101, Service;
    /// Save a snapshot of a group on this node.
    SNAPSHOT_SAVE = 1102, Replicate;
    /// The snapshots of a group on this node.
    SNAPSHOT_LIST = 1103, Replicate;
    /// Let other nodes lead, or lead again.
    NODE_DRAIN = 1104, Replicate;
    /// Open a session, in which a write may be sent again.
    SESSION_OPEN = 1120, Service;
}

impl Command {
    /// The time a caller gives this command when nobody says otherwise, in milliseconds.
    ///
    /// The leadership and membership commands wait for other nodes, a snapshot for the disk.
    pub const fn timeout_ms(self) -> u64 {
        match self {
            Command::RAFT_ADMIN_TRANSFER_LEADER
            | Command::RAFT_ADMIN_PREPARE_CHANGE
            | Command::SNAPSHOT_SAVE => 30_000,
            Command::RAFT_ADMIN_COMMIT_CHANGE | Command::RAFT_ADMIN_ABORT_CHANGE => 15_000,
            _ => 5_000,
        }
    }
}

/// The name, or the number when there is no name.
impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => formatter.write_str(name),
            None => write!(formatter, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_is_ascending_and_complete() {
        assert!(Command::ALL.is_sorted_by(|left, right| left < right));
        assert_eq!(Command::ALL.len(), 48);
        for &command in Command::ALL {
            assert!(command.name().is_some() && command.served().is_some());
            assert!(command.timeout_ms() >= 5_000);
        }
        for number in [i32::MIN, -1, 0, 7, 39, 57, 69, 87, 999, 1000, 1003, 1099, 1105, i32::MAX] {
            assert_eq!(Command(number).name(), None);
            assert_eq!(Command(number).served(), None);
        }
    }

    #[test]
    fn ports_serve_what_the_protocol_says() {
        let on = |port| Command::ALL.iter().filter(move |c| c.served().is_some_and(|s| s.on(port)));
        let service = [
            1, 2, 5, 6, 46, 70, 71, 72, 73, 74, 75, 76, 77, 79, 80, 81, 82, 83, 84, 86, 1100, 1101,
            1120,
        ];
        assert!(on(PortKind::Service).map(|command| command.0).eq(service));
        let replicate = [1, 2, 4].into_iter().chain(40..=56).chain([1001, 1002, 1102, 1103, 1104]);
        assert!(on(PortKind::Replicate).map(|command| command.0).eq(replicate));
    }
}
