//! Load for a cluster: a closed loop that keeps a number of operations in flight, and a report.
//!
//! ```no_run
//! use client::{NodeId, Server, new_process_id};
//!
//! let servers = vec![Server { node: NodeId(1), address: "127.0.0.1:9332".parse()? }];
//! let options = bench::Options::new(client::Options::new(servers, new_process_id()));
//! let report = bench::run(&options, &mut |second| eprintln!("{second}"))?;
//! println!("{}", report.to_json());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A latency is the time from the burst in which an operation was submitted to the read that
//! brought its answer: the clock is read once for each of the two, so that measuring costs nothing.
//!
//! With [`Options::record`] every acknowledged put is reported, and [`verify()`] finds out later
//! whether the cluster still has it.
//!
//! What this crate does not do: it starts no servers and prints nothing.

mod options;
mod run;

mod failures;
mod report;

mod key;
mod random;
mod value;
mod worker;

mod lock;
mod watch;

mod record;
mod verify;

pub use lock::{LockReport, run_locks};
pub use options::{BenchError, Load, Options};
pub use record::{Acknowledged, Record, RecordFile, read_record};
pub use report::{Report, Second};
pub use run::run;
pub use value::{ValueHead, decode_value};
pub use verify::{Lost, Verification, verify};
pub use watch::{WatchReport, run_watchers};
