//! What one connection, and all of them together, may take.

use std::time::Duration;

/// Limits of the connections of one shard and port.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest packet that is accepted, without its length prefix. Checked before memory is taken.
    pub packet_bytes_max: usize,
    /// What a connection reads at once. A longer packet gets a buffer of its own while it arrives.
    pub read_buffer_bytes: usize,
    /// Answers waiting to be sent; above it the connection's requests wait unread.
    pub out_buffer_bytes: usize,
    /// Answers owed by [`Connection::owe_answer`](crate::Connection::owe_answer); with that many the
    /// connection's requests wait unread.
    pub owed_answers_max: usize,
    /// Connections of this port on this shard; further ones are closed as soon as they are accepted.
    pub connections_max: usize,
    /// How long a connection may take to introduce itself.
    pub handshake_timeout: Duration,
    /// How long answers may take to leave once the connection is to be closed.
    pub flush_timeout: Duration,
    /// How long the connections of a shard together work before the reactor gets its turn.
    pub work_time: Duration,
    /// How many bytes they read together before the reactor gets its turn.
    pub work_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            packet_bytes_max: 8 << 20,
            read_buffer_bytes: 256 << 10,
            out_buffer_bytes: 4 << 20,
            owed_answers_max: 32,
            connections_max: 10_000,
            handshake_timeout: Duration::from_secs(5),
            flush_timeout: Duration::from_secs(1),
            work_time: Duration::from_micros(200),
            work_bytes: 1 << 20,
        }
    }
}
