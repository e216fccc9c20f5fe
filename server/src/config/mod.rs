//! The configuration of a node: one TOML file, units in strings, every key with a default.
//!
//! [`Config`] is what the rest of the server sees: complete, checked, typed. A text becomes one in
//! four steps: it is parsed, the environment is laid over it (`DONGTING_<SECTION>_<KEY>`), keys that
//! no section has are refused with a suggestion, and settings that contradict each other are
//! refused with the mend. Each problem names the line or the variable it comes from, and all of
//! them are reported at once.
//!
//! `defaults.toml` beside this file is the reference for people and the list of known keys for the
//! parser; a test keeps it equal to the `Default` of each section.

mod sections;
mod units;

mod check;
mod document;
mod error;
mod load;

pub use error::{ConfigError, Origin, Problem};
pub use load::DEFAULTS;
pub use sections::{
    Config, Endpoint, Group, Level, Listen, Log, Node, Peer, Raft, Reads, Rpc, Sessions, Shards,
    Snapshot, Trace, TraceFormat, Watch,
};
pub use units::ByteSize;
pub(crate) use units::parse_duration;
