//! What must hold: while a run goes on, and of its history.

mod elections;
mod keys;
mod leases;
mod members;
mod model;
mod register;
mod revision;

pub use keys::{KeysChecked, check as check_keys};
pub use members::{Members, Observation};
pub use model::{Model, Stamp};
pub use register::{Action, Decision, RegisterCall, Value, decide};
pub use revision::{Applied, check as check_revisions};
