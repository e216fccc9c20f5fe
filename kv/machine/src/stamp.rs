//! What a log entry is, besides its payload.

/// The place of an entry in the log and the leader's time when it was put there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Log index, above 0.
    pub index: u64,
    /// Milliseconds on the clock of the leader that made the entry.
    pub time_ms: u64,
}
