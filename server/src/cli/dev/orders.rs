//! `dev kill` and `dev start`: from another terminal.

use std::path::PathBuf;

use super::control;
use super::directory::ClusterDirectory;
use crate::cli::arguments::DevOrder;
use crate::cli::exit::{Exit, Failure};

/// Has a running cluster carry out an order.
pub(in crate::cli) fn give_order(
    order: DevOrder,
    keep: Option<PathBuf>,
    base_port: u16,
) -> Result<(), Failure> {
    let directory = ClusterDirectory::of(keep, base_port);
    let answered = control::send(&directory.socket(), order).map_err(|error| {
        let path = directory.path().display();
        let message = format!(
            "no cluster is running in {path}: {error}; start one with `dongting dev --nodes 3`, or \
             say with --keep or --base-port which one is meant"
        );
        Failure::new(Exit::Unavailable, message)
    })?;
    answered.map_err(|why| Failure::new(Exit::Other, why))
}
