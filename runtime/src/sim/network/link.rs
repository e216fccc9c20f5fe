//! The way from one node to another, in one direction.

use std::time::Duration;

use crate::sim::latency::Latency;

/// How a link treats what is sent over it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkOptions {
    /// Time on the way.
    pub delay: Latency,
    /// One in so many segments is lost and sent again after `retransmission`, holding up those
    /// behind it; 0 means none.
    pub loss_one_in: u64,
    /// Most that a lost segment costs.
    pub retransmission: Duration,
    /// One in so many segments arrives with a flipped bit that no checksum saw; 0 means none.
    pub corrupt_one_in: u64,
    /// One in so many segments resets its connection; 0 means none.
    pub reset_one_in: u64,
    /// One in so many attempts to connect is refused; 0 means none.
    pub refuse_one_in: u64,
    /// Bytes a second of each connection; 0 means no limit.
    pub bandwidth: u64,
}

impl LinkOptions {
    /// Nothing goes wrong.
    pub const fn reliable(delay: Latency) -> LinkOptions {
        LinkOptions {
            delay,
            loss_one_in: 0,
            retransmission: Duration::from_millis(200),
            corrupt_one_in: 0,
            reset_one_in: 0,
            refuse_one_in: 0,
            bandwidth: 0,
        }
    }
}

/// The whole network's manners.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetworkOptions {
    /// Links that were given no options of their own.
    pub link: LinkOptions,
    /// Links from a node to itself.
    pub loopback: LinkOptions,
    /// Bytes that a direction of a connection takes before its writer waits: those on the way and
    /// those that wait to be read.
    pub window: usize,
    /// One in so many reads returns fewer bytes than there are; 0 means none.
    pub short_read_one_in: u64,
    /// Connections that wait to be accepted; more are left to try again.
    pub backlog: usize,
    /// How long a connection is tried when nobody answers.
    pub connect_timeout: Duration,
    /// How long bytes may stay unacknowledged before their connection breaks.
    pub retransmit_timeout: Duration,
}

impl Default for NetworkOptions {
    fn default() -> NetworkOptions {
        let micros = Duration::from_micros;
        let delay = Latency::between(micros(50), micros(500)).with_tail(200, micros(5_000));
        NetworkOptions {
            link: LinkOptions::reliable(delay),
            loopback: LinkOptions::reliable(Latency::between(micros(5), micros(30))),
            window: 256 << 10,
            short_read_one_in: 16,
            backlog: 1024,
            connect_timeout: Duration::from_secs(20),
            retransmit_timeout: Duration::from_secs(15),
        }
    }
}

/// A link's state.
pub(crate) struct Link {
    pub(crate) options: LinkOptions,
    pub(crate) is_cut: bool,
}
