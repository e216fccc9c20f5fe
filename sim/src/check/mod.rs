//! What must hold: while a run goes on, and of its history.

mod elections;
mod keys;
mod leases;
mod logs;
mod members;
mod memberships;
mod model;
mod register;
mod revision;
mod sessions;
mod transactions;
mod watches;

pub use keys::{KeysChecked, check as check_keys};
pub use members::{Eye, Members, Observation};
pub use model::{Model, Stamp};
pub use register::{Action, Decision, RegisterCall, Value, decide};
pub use revision::{Applied, check as check_revisions};
pub use watches::check as check_watches;
