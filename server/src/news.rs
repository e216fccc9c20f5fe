//! What a state machine tells the fibers of its group: that there is something to look at. They
//! look for themselves, between applies.

use std::cell::Cell;

use runtime::Signal;

use crate::expiry::ExpiryDesk;

/// One signal for each fiber; setting it again before the fiber has looked costs nothing.
#[derive(Default)]
pub struct News {
    /// For [`expire`](crate::expiry::expire).
    pub expiry: ExpiryDesk,
    /// Locks were granted to waiters.
    pub locks: Signal,
    /// Somebody follows changes, and wants to know of each batch.
    pub is_followed: Cell<bool>,
    /// There may be changes to tell, or somebody who has asked for them.
    pub changes: Signal,
    /// Watched keys have changed, or a client has said something about its watches.
    pub watches: Signal,
}
