//! What a node does without being asked, in a simulated world: it removes what has expired, tells
//! new holders of locks, and tells those who watch of changes.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../cluster_sim/cluster.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod cluster;
mod session;
#[path = "../support/simulated.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod simulated;

mod clients;
mod leaders;
mod locks;
mod parts;
mod streams;
mod ttl;
mod watches;

use std::net::SocketAddr;

use runtime::Shard;
use runtime::sim::World;
use server::config::Config;

use crate::simulated::{LIMIT, PROGRAMS, Process, key, start_program, world};

/// Where clients of a node connect.
fn address(config: &Config) -> SocketAddr {
    SocketAddr::new(key(config).ip(), config.listen.service.port())
}

/// Runs `program` against a node until it ends.
fn run<Fut: Future<Output = ()> + 'static>(
    seed: u64,
    config: &Config,
    program: impl Fn(Shard, SocketAddr) -> Fut + Send + Sync + Clone + 'static,
) {
    let world = world(seed);
    let _process = Process::start(&world, config);
    let address = address(config);
    start_program(&world, PROGRAMS, move |shard| program(shard, address));
    let ended = world.run_until(|world| !world.is_running(PROGRAMS), LIMIT);
    assert_eq!(ended, Ok(true), "seed {seed}");
}

/// [`run`] against both groups of a node with two shards. Connections go to the shards in turn, so
/// that half of them are not where the group is.
fn run_on_both<Fut: Future<Output = ()> + 'static>(
    seed: u64,
    program: impl Fn(Shard, SocketAddr, i32) -> Fut + Send + Sync + Clone + 'static,
) {
    for group in [0, 1] {
        let program = program.clone();
        run(seed, &simulated::config(1, 2), move |shard, address| program(shard, address, group));
    }
}

fn has_ended(world: &World) -> bool {
    !world.is_running(PROGRAMS)
}
