//! Nodes for tests, each on a data directory of its own.

use std::future::Future;

use runtime::{BootError, BootPlan, Shard, ShardPlacement, StopHandle, boot};
use tempfile::TempDir;

#[derive(Debug)]
pub(crate) enum Failed {
    Boot(BootError),
    Test(&'static str),
}

impl From<BootError> for Failed {
    fn from(error: BootError) -> Failed {
        Failed::Boot(error)
    }
}

/// Two shards where the machine has two cores.
pub(crate) fn shards() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(2))
}

pub(crate) fn on_shards<F, Fut>(shards: usize, stop: StopHandle, main: F) -> Result<(), Failed>
where
    F: Fn(Shard) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<(), Failed>> + 'static,
{
    let data = data_dir();
    let plan = BootPlan::new(ShardPlacement::Count(shards), data.path().to_owned());
    boot(plan, stop, main)
}

/// Runs `main` on one shard; panics when it fails.
pub(crate) fn on_shard<F, Fut>(main: F)
where
    F: Fn(Shard) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let result = on_shards(1, StopHandle::new(), move |shard| {
        let main = main.clone();
        async move {
            main(shard).await;
            Ok(())
        }
    });
    if let Err(error) = result {
        panic!("{error:?}");
    }
}

/// A directory on a real disk, which the one for temporary files may not be on.
pub(crate) fn data_dir() -> TempDir {
    match tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")) {
        Ok(dir) => dir,
        Err(error) => panic!("no directory for the test: {error}"),
    }
}
