//! The command line of the one binary.
//!
//! [`Arguments`] says what can be asked, [`run()`] carries it out, [`Exit`] lists how it can end. Each
//! verb has a file; none of them knows another.

mod arguments;
mod exit;
mod follow;
mod output;
mod run;

mod configuration;
mod dev;
mod node;

mod bytes;
mod connect;
mod kv;
mod load;
mod snapshot;
mod status;

mod administered;
mod change;
mod drain;
mod groups;
mod leaders;
mod members;
mod nodes;
mod survey;
mod zones;

mod temporary;
mod transaction;

mod command;
mod lock;
mod shell;
mod watch;

mod inspect;
mod inspect_snapshot;
mod mapped;

pub use arguments::Arguments;
pub use exit::{Exit, Failure};
pub use run::run;
