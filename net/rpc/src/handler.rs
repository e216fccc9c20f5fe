//! What the owner of the connections does with requests.

use std::rc::Rc;

use moment::Moment;
use wire::Packet;

use crate::connection::Connection;

/// Takes what connections receive. One handler serves all connections of a port on a shard.
///
/// All methods are called from a connection's read fiber and return at once; what takes longer is
/// started, remembers [`Connection::id`], and answers later through
/// [`Connections::get`](crate::Connections::get). A packet is borrowed from the read buffer, and
/// gone when the method returns.
pub trait Handler: 'static {
    /// A request or one-way packet of a command that this port serves, with time left.
    ///
    /// Never the commands ping and handshake. An answer after the deadline is of no use and must
    /// not be written.
    fn request(&self, connection: &Rc<Connection>, packet: &Packet<'_>, budget: TimeBudget)
    -> Flow;

    /// An answer to what [`Connection::push`] has sent, or to nothing at all.
    fn response(&self, connection: &Rc<Connection>, packet: &Packet<'_>) {
        let _ = (connection, packet);
    }

    /// All that one read of `connection` brought has been handed over.
    fn batch_end(&self, connection: &Rc<Connection>) {
        let _ = connection;
    }

    /// The connection has introduced itself; [`Connection::process`] is known from now on.
    fn opened(&self, connection: &Rc<Connection>) {
        let _ = connection;
    }

    /// A connection that was [`opened`](Handler::opened) is gone, and its id with it.
    fn closed(&self, connection: &Rc<Connection>) {
        let _ = connection;
    }
}

/// How long the caller of a request waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeBudget {
    /// A moment shortly before now; one look at the clock serves many packets.
    pub now: Moment,
    /// When the caller stops waiting.
    pub deadline: Moment,
}

/// Whether a connection can go on after a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Yes.
    Continue,
    /// No: the packet cannot be understood, or what follows it.
    Close,
}
