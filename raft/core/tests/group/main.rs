//! Groups of several nodes: scripts with their traces, and random runs with a checker.

mod checker;
mod disk;
mod garbage;
mod host;
mod model;
mod script;
mod trace;
mod world;
