//! Where the tests run.

use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use rpc::Limits;
use runtime::sim::{FiberOrder, NodeKey, World, WorldOptions};
use runtime::{BootError, BootPlan, Shard, ShardPlacement, StopHandle, boot};

use crate::serving::{Server, serve_and};

/// Runs `program` beside a server in simulated worlds, each with its own delays and read sizes.
pub(crate) fn run<F>(limits: Limits, program: F)
where
    F: AsyncFn(Rc<Server>) + Clone + Send + Sync + 'static,
{
    for seed in 0..SEEDS {
        run_world(seed, FiberOrder::Fifo, main(limits.clone(), program.clone()));
        run_world(seed, FiberOrder::Seeded, main(limits.clone(), program.clone()));
    }
}

/// The same, with every fiber having its turn.
pub(crate) fn run_in_turns<F>(limits: Limits, program: F)
where
    F: AsyncFn(Rc<Server>) + Clone + Send + Sync + 'static,
{
    for seed in 0..SEEDS {
        run_world(seed, FiberOrder::Fifo, main(limits.clone(), program.clone()));
    }
}

const SEEDS: u64 = 3;

fn run_world(
    seed: u64,
    fiber_order: FiberOrder,
    main: impl Fn(Shard) -> Life + Clone + Send + Sync + 'static,
) {
    let world = World::new(WorldOptions { fiber_order, ..WorldOptions::new(seed) });
    let run = world.start(NodeKey(1), 1, main);
    match world.run_until(|_| run.has_ended(), Duration::from_secs(600)) {
        Ok(true) => {}
        Ok(false) => panic!("seed {seed}, {fiber_order:?}: the program did not end"),
        Err(failure) => panic!("seed {seed}, {fiber_order:?}: {failure}"),
    }
}

/// Runs `program` beside a server on a real core with real sockets.
pub(crate) fn run_really<F>(limits: Limits, program: F)
where
    F: AsyncFn(Rc<Server>) + Clone + Send + Sync + 'static,
{
    let directory = tempfile::tempdir().expect("a directory");
    let plan = BootPlan::new(ShardPlacement::Count(1), directory.path().to_owned());
    if let Err(error) = boot(plan, StopHandle::new(), main(limits, program)) {
        panic!("{error}");
    }
}

/// Both.
pub(crate) fn run_on_both<F>(limits: Limits, program: F)
where
    F: AsyncFn(Rc<Server>) + Clone + Send + Sync + 'static,
{
    run_really(limits.clone(), program.clone());
    run(limits, program);
}

type Life = Pin<Box<dyn Future<Output = Result<(), BootError>>>>;

/// One shard's program.
fn main<F>(limits: Limits, program: F) -> impl Fn(Shard) -> Life + Clone + Send + Sync
where
    F: AsyncFn(Rc<Server>) + Clone + Send + Sync + 'static,
{
    move |shard| {
        let (limits, program) = (limits.clone(), program.clone());
        Box::pin(async move {
            serve_and(shard, limits, program).await;
            Ok(())
        })
    }
}
