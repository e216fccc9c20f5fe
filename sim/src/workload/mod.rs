//! Clients: what they ask, how, and what they were told.

mod errand;
mod history;
mod operations;
mod program;
mod request;
mod transaction;
mod watcher;

pub use errand::{End, Errand, Operator, Told};
pub use history::{Answer, Call, History, Lane, Point, StepsDone, Transacted, View};
pub use operations::{Operations, PlannedOperation, Shape};
pub use program::{Program, ProgramPlan};
pub use request::{Request, label, lock_value};
pub use transaction::{Act, Transaction, Wanted};
pub use watcher::{Sight, Watcher, WatcherPlan};
