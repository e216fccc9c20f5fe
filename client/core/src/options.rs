//! Who the servers are, and every limit of a client.

use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use wire::ProcessId;

/// The number of a server, as its configuration gives it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub i32);

/// The number of a raft group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct GroupId(pub i32);

/// One server, reached on its service port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Server {
    /// Its number.
    pub node: NodeId,
    /// Its service port.
    pub address: SocketAddr,
}

/// What becomes of a write whose answer is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retries {
    /// Its outcome is unknown.
    Never,
    /// It is sent again until its time is over, and carried out once: each write has a number in a
    /// session, which the first write opens. Servers that know no sessions get writes without.
    InSession,
}

/// The configuration of a [`Core`](crate::Core); [`Options::new`] gives the usual limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The members of the group. The order only decides how links are numbered.
    pub servers: Vec<Server>,
    /// The group that all operations are for.
    pub group: GroupId,
    /// Identity of this client, the same on all its connections. It owns temporary nodes and locks,
    /// so that two clients must not share it: take 128 random bits.
    pub client: ProcessId,
    /// Connections to each server. With more than one, operations are spread over those to the
    /// leader, and two operations in flight may be executed in either order.
    pub connections_per_server: usize,
    /// Time that an operation has, the search for the leader included.
    pub call_timeout: Duration,
    /// Whether a write whose answer is lost is sent again.
    pub retries: Retries,
    /// Time that a server has to answer a write before it is sent again.
    pub retry_after: Duration,
    /// Time that a connection has until the handshake is answered.
    pub connect_timeout: Duration,
    /// Pause after the first failure of a connection; it doubles with each further one.
    pub reconnect_delay_min: Duration,
    /// Longest pause after a failure of a connection.
    pub reconnect_delay_max: Duration,
    /// Time between two questions to the same server for the leader.
    pub search_interval: Duration,
    /// Time that a server has to answer such a question.
    pub search_timeout: Duration,
    /// Time between two questions to a server whether this client's watches are still there.
    pub watch_keep_alive: Duration,
    /// Keys that may be watched at the same time.
    pub watches_max: usize,
    /// Operations submitted and not yet taken back.
    pub calls_max: usize,
    /// Bytes of all operations in flight.
    pub call_bytes_max: usize,
    /// Longest packet that is accepted.
    pub packet_bytes_max: usize,
    /// Longest body that is sent.
    pub body_bytes_max: usize,
}

impl Options {
    /// Group 0 on these servers, with the usual limits.
    pub fn new(servers: Vec<Server>, client: ProcessId) -> Options {
        Options {
            servers,
            group: GroupId::default(),
            client,
            connections_per_server: 1,
            call_timeout: Duration::from_secs(5),
            retries: Retries::Never,
            retry_after: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(3),
            reconnect_delay_min: Duration::from_millis(50),
            reconnect_delay_max: Duration::from_secs(1),
            search_interval: Duration::from_millis(100),
            search_timeout: Duration::from_secs(1),
            watch_keep_alive: Duration::from_secs(15),
            watches_max: 50_000,
            calls_max: 2_000,
            call_bytes_max: 32 << 20,
            packet_bytes_max: 5 << 20,
            body_bytes_max: 4 << 20,
        }
    }

    /// How much of a long answer to ask for at once.
    pub fn page_bytes(&self) -> usize {
        self.packet_bytes_max.saturating_sub(PACKET_ROOM).max(1)
    }

    /// Says what is wrong with these options, if anything is.
    pub fn check(&self) -> Result<(), OptionsError> {
        if self.servers.is_empty() {
            return Err(OptionsError::NoServers);
        }
        if self.client.is_zero() {
            return Err(OptionsError::ZeroClientId);
        }
        for (position, server) in self.servers.iter().enumerate() {
            if server.node.0 <= 0 {
                return Err(OptionsError::InvalidNode(server.node));
            }
            if self.servers.iter().take(position).any(|earlier| earlier.node == server.node) {
                return Err(OptionsError::DuplicateNode(server.node));
            }
        }
        let limits = [
            ("connections_per_server", self.connections_per_server, CONNECTIONS_MAX),
            ("watches_max", self.watches_max, i32::MAX as usize),
            ("calls_max", self.calls_max, CALLS_MAX),
            ("call_bytes_max", self.call_bytes_max, usize::MAX),
            ("packet_bytes_max", self.packet_bytes_max, i32::MAX as usize),
            ("body_bytes_max", self.body_bytes_max, i32::MAX as usize),
        ];
        for (name, value, max) in limits {
            if value == 0 || value > max {
                return Err(OptionsError::OutOfRange { name, max });
            }
        }
        Ok(())
    }
}

/// What a packet may have besides the results that were asked for.
const PACKET_ROOM: usize = 64 << 10;
/// More connections to one server serve nobody.
const CONNECTIONS_MAX: usize = 1_024;
/// Leaves room for the marks of [`crate::sequence`] and for a ring of twice the size.
const CALLS_MAX: usize = 1 << 24;

/// Why options cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OptionsError {
    /// The list of servers is empty.
    NoServers,
    /// Servers refuse a client whose identity is 0.
    ZeroClientId,
    /// A node number is not positive.
    InvalidNode(NodeId),
    /// Two servers have the same number.
    DuplicateNode(NodeId),
    /// A limit is 0 or too large.
    OutOfRange {
        /// The field.
        name: &'static str,
        /// Its largest value.
        max: usize,
    },
}

impl fmt::Display for OptionsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionsError::NoServers => formatter.write_str("no server is given"),
            OptionsError::ZeroClientId => formatter.write_str("the client's identity is 0"),
            OptionsError::InvalidNode(node) => {
                write!(formatter, "node number {} is not positive", node.0)
            }
            OptionsError::DuplicateNode(node) => {
                write!(formatter, "node number {} is given twice", node.0)
            }
            OptionsError::OutOfRange { name, max } => {
                write!(formatter, "{name} must be between 1 and {max}")
            }
        }
    }
}

impl core::error::Error for OptionsError {}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn check_names_the_fault() {
        let server =
            |node| Server { node: NodeId(node), address: SocketAddr::from(([127, 0, 0, 1], 9332)) };
        let client = ProcessId { high: 0, low: 1 };
        let good = Options::new(vec![server(1), server(2)], client);
        assert_eq!(good.check(), Ok(()));
        let servers = |servers| Options { servers, ..good.clone() }.check();
        assert_eq!(servers(vec![]), Err(OptionsError::NoServers));
        assert_eq!(servers(vec![server(0)]), Err(OptionsError::InvalidNode(NodeId(0))));
        let twice = servers(vec![server(1), server(2), server(1)]);
        assert_eq!(twice, Err(OptionsError::DuplicateNode(NodeId(1))));
        let nobody = Options { client: ProcessId { high: 0, low: 0 }, ..good.clone() };
        assert_eq!(nobody.check(), Err(OptionsError::ZeroClientId));
        let none = Options { calls_max: 0, ..good };
        let fault = none.check().expect_err("a limit of 0");
        assert!(matches!(fault, OptionsError::OutOfRange { name: "calls_max", .. }));
    }
}
