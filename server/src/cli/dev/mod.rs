//! `dev --nodes N`: a cluster of real processes on this machine, and orders to it.
//!
//! The process that the user started runs no node itself. It writes a configuration for each node,
//! starts this same binary once for each, and stays their parent: it holds their standard input,
//! whose end is the order to stop, so that no node outlives it, however it ends. `dev kill` and
//! `dev start` reach it over a socket in the cluster's directory.

mod directory;

mod child;
mod control;
mod orders;
mod supervisor;

pub(super) use orders::give_order;
pub(super) use supervisor::run_cluster;
