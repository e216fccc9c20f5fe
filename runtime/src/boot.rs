//! Starting a node: one pinned executor a shard, and one cause when it ends.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::fiber::{Panic, panic_message};
use crate::host;
use crate::race::{Either, race};
use crate::shard::{Shard, ShardId};
use crate::stop::StopHandle;

/// Which cores the shards run on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ShardPlacement {
    /// This many, on the first cores the process may use.
    Count(usize),
    /// One on each of these cores.
    Cpus(Vec<usize>),
}

/// How to start a node.
#[derive(Clone, Debug)]
pub struct BootPlan {
    /// How many shards, and where.
    pub shards: ShardPlacement,
    /// The root of [`Shard::storage`]; made when it does not exist.
    pub data_dir: PathBuf,
    /// Bytes of memory a shard registers for direct I/O.
    pub io_memory: usize,
    /// How long a shard that has run out of work looks for more before it sleeps: 200 µs or so
    /// where each shard has its core for itself, which saves the core's wake-up when the next
    /// request comes or a write to the disk ends; zero where shards share cores with others. An
    /// idle shard spends less than 1 % of its core on it.
    pub spin: Duration,
}

impl BootPlan {
    /// A plan with 8 MiB of I/O memory a shard, and without spinning.
    pub fn new(shards: ShardPlacement, data_dir: PathBuf) -> BootPlan {
        BootPlan { shards, data_dir, io_memory: 8 << 20, spin: Duration::ZERO }
    }
}

/// Why a node did not start or did not end by itself.
#[derive(Debug)]
pub enum BootError {
    /// The plan has no shard, or more than can be numbered.
    ShardCount(usize),
    /// The process may not use this core.
    Cpu(usize),
    /// There are fewer usable cores than shards.
    TooFewCpus {
        /// Shards wanted.
        shards: usize,
        /// Cores the process may use.
        usable: usize,
    },
    /// The data directory cannot be used.
    DataDir(PathBuf, io::Error),
    /// A shard's executor could not be started or ended with an error.
    Executor(ShardId, String),
    /// Code on a shard panicked.
    Panicked {
        /// The shard.
        shard: ShardId,
        /// Main or the fiber's group and name.
        place: String,
        /// What the panic said.
        message: String,
    },
}

impl fmt::Display for BootError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BootError::ShardCount(count) => write!(formatter, "cannot run {count} shards"),
            BootError::Cpu(cpu) => write!(formatter, "the process may not use cpu {cpu}"),
            BootError::TooFewCpus { shards, usable } => {
                write!(formatter, "{shards} shards need as many cpus, usable are {usable}")
            }
            BootError::DataDir(path, error) => {
                write!(formatter, "data directory {}: {error}", path.display())
            }
            BootError::Executor(shard, cause) => {
                write!(formatter, "executor of shard {}: {cause}", shard.0)
            }
            BootError::Panicked { shard, place, message } => {
                write!(formatter, "shard {}: {place} panicked: {message}", shard.0)
            }
        }
    }
}

impl std::error::Error for BootError {}

/// Runs `main` on every shard and returns when all have ended.
///
/// The first end of a `main`, good or bad, and the first panic stop the node. A shard whose main
/// has returned stops its root group and joins it.
///
/// # Errors
/// The first error, in time.
pub fn boot<E, F, Fut>(plan: BootPlan, stop: StopHandle, main: F) -> Result<(), E>
where
    E: From<BootError> + Send + 'static,
    F: Fn(Shard) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<(), E>> + 'static,
{
    host::boot(plan, stop, main)
}

/// What a shard does on either backend: `main`, then the end of the root group.
pub(crate) async fn run_shard<E, F, Fut>(shard: Shard, main: F) -> Result<(), E>
where
    E: From<BootError>,
    F: Fn(Shard) -> Fut,
    Fut: Future<Output = Result<(), E>>,
{
    let spawner = shard.spawner().clone();
    let life = async {
        let result = catch_panic(main(shard.clone())).await;
        shard.stop_node();
        shard.fibers().stop();
        if matches!(result, Ok(Ok(()))) {
            shard.fibers().join().await;
        }
        result
    };
    let outcome = match race(life, spawner.failure.happened()).await {
        Either::Left(outcome) => outcome,
        Either::Right(panic) => Err(panic),
    };
    shard.stop_node();
    spawner.cancel_all();
    outcome.unwrap_or_else(|Panic { place, message }| {
        Err(E::from(BootError::Panicked { shard: shard.id(), place, message }))
    })
}

async fn catch_panic<F: Future>(future: F) -> Result<F::Output, Panic> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(cause) => Poll::Ready(Err(Panic {
            place: "main".to_owned(),
            message: panic_message(cause.as_ref()),
        })),
    })
    .await
}
