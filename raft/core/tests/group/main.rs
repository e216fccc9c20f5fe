//! Groups of several nodes: scripts with their traces, and random runs with a checker.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![expect(clippy::print_stdout, reason = "a run that is repeated shows its trace")]

mod checker;
mod disk;
mod faults;
mod garbage;
mod host;
mod model;
mod script;
mod trace;
mod words;
mod world;
