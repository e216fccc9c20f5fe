//! Where the tests run.

use std::rc::Rc;

use rpc::Limits;
use runtime::{BootError, BootPlan, ShardPlacement, StopHandle, boot};

use crate::serving::{Server, serve_and};

/// Runs `program` beside a server, on one shard.
pub(crate) fn run<F>(limits: Limits, program: F)
where
    F: AsyncFn(Rc<Server>) + Clone + Send + Sync + 'static,
{
    let directory = tempfile::tempdir().expect("a directory");
    let plan = BootPlan::new(ShardPlacement::Count(1), directory.path().to_owned());
    let result: Result<(), BootError> = boot(plan, StopHandle::new(), move |shard| {
        let (limits, program) = (limits.clone(), program.clone());
        async move {
            serve_and(shard, limits, program).await;
            Ok(())
        }
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
