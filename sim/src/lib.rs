//! The whole cluster in a deterministic simulator, under every fault, watched by checkers.
//!
//! A run is decided by its seed, or by a tape of decisions. It draws a [`plan`], starts servers and
//! clients (the same code that production runs) in a simulated world, lets a storm of [`fault`]s go
//! over them, then lets it calm down, and [`check`]s what it saw: the members at every step, the
//! history of all calls at the end.
//!
//! What it does not do: it knows no real time, no real file and no thread; it does not test the
//! kernel or the I/O library.

pub mod violation;

pub mod coverage;
pub mod ear;
pub mod plan;
pub mod story;

pub mod cluster;
pub mod fault;
pub mod witness;
pub mod workload;

pub mod check;
pub mod run;

pub mod bugs;
pub mod shrink;
pub mod soak;

pub mod exhaust;

pub mod cli;
