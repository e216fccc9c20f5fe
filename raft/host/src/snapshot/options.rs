//! When snapshots are made, how fast, and what is kept.

use std::time::Duration;

/// Settings of a group's snapshots.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotOptions {
    /// A snapshot is saved this long after the one before; never when zero.
    pub interval: Duration,
    /// A snapshot is saved when so many bytes of log were written since the one before, or as many
    /// as that has, whichever is more; never when zero.
    pub log_bytes: u64,
    /// Newest snapshots that are kept; at least one. The log is kept as far back as the oldest of
    /// so many needs it.
    pub keep: usize,
    /// Whether one is saved when the group stops.
    pub at_stop: bool,
    /// Bytes that are saved in a second; at a stop it goes as fast as it can.
    pub save_bytes_per_second: u64,
    /// Bytes of changed state that are kept while saving. When there are more, it is given up.
    pub kept_bytes_max: usize,
    /// Log that is not needed any more is dropped after this time.
    pub log_delete_delay: Duration,
    /// Bytes of snapshots that are sent to other members in a second.
    pub send_bytes_per_second: u64,
}

impl Default for SnapshotOptions {
    fn default() -> SnapshotOptions {
        SnapshotOptions {
            interval: Duration::from_secs(3600),
            log_bytes: 1 << 30,
            keep: 2,
            at_stop: true,
            save_bytes_per_second: 256 << 20,
            kept_bytes_max: 256 << 20,
            log_delete_delay: Duration::from_secs(60),
            send_bytes_per_second: 128 << 20,
        }
    }
}
