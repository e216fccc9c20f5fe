//! Clients: what they ask, how, and what they were told.

mod errand;
mod history;
mod operations;
mod program;
mod request;

pub use errand::{End, Errand, Operator};
pub use history::{Answer, Call, History, Lane, Point, View};
pub use operations::{Operations, PlannedOperation, Shape};
pub use program::{Program, ProgramPlan};
pub use request::{Request, label, lock_value};
