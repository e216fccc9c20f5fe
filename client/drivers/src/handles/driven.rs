//! What a lock or a watch needs of its client.

use client_core::Core;
use moment::Moment;

use crate::notices::Notices;

/// A client with a driver, which carries out what the core wants.
pub trait Driven: Clone {
    /// Does something with lock objects or watches, and then what the core wants because of it.
    fn act<R>(&self, act: impl FnOnce(&mut Core, &mut Notices, Moment) -> R) -> R;

    /// Looks at what lock objects and watches were told.
    fn with_notices<R>(&self, look: impl FnOnce(&mut Notices) -> R) -> R;

    /// Looks at the core.
    fn with_core<R>(&self, look: impl FnOnce(&Core) -> R) -> R;

    /// The time on the client's clock.
    fn now(&self) -> Moment;
}
