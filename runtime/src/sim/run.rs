//! A process of a node: its mains, and what they returned.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use super::clock::SimClock;
use super::disk::SimStorage;
use super::failure::{Failure, FailureCause};
use super::happening::What;
use super::kernel::Kernel;
use super::network::SimNetwork;
use super::node::NodeKey;
use super::shard::SimShard;
use super::tape::CHOICE_LIMIT;
use super::trace::TraceKind;
use crate::boot::{BootError, run_shard};
use crate::shard::{Backend, Parts};
use crate::{Clock, Network, Shard, ShardId, StopHandle, Storage};

/// The results of a process, as they come.
pub struct Run<E>(Rc<RefCell<Results<E>>>);

struct Results<E> {
    shards_left: usize,
    first_error: Option<E>,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending<E> {
    /// Every main returned `Ok`.
    Good,
    /// The first error that a main returned.
    Failed(E),
}

impl<E> Run<E> {
    /// True once the main of every shard has returned; never, when the process crashed.
    pub fn has_ended(&self) -> bool {
        self.0.borrow().shards_left == 0
    }

    /// How the process ended, once it has: `boot` would return this. Takes the error out.
    pub fn take_ending(&self) -> Option<Ending<E>> {
        let mut results = self.0.borrow_mut();
        if results.shards_left > 0 {
            return None;
        }
        Some(results.first_error.take().map_or(Ending::Good, Ending::Failed))
    }
}

/// What a main says: panics are told apart from errors.
enum MainError<E> {
    Returned(E),
    Boot(BootError),
}

impl<E> From<BootError> for MainError<E> {
    fn from(error: BootError) -> MainError<E> {
        MainError::Boot(error)
    }
}

/// Starts a process of `shards` shards on a node that has none.
pub(super) fn start<E, F, Fut>(
    kernel: &Rc<Kernel>,
    node: NodeKey,
    shards: u16,
    stop: &StopHandle,
    main: &F,
) -> Run<E>
where
    E: From<BootError> + 'static,
    F: Fn(Shard) -> Fut + Clone + 'static,
    Fut: Future<Output = Result<(), E>> + 'static,
{
    let results =
        Rc::new(RefCell::new(Results { shards_left: usize::from(shards), first_error: None }));
    for id in (0..shards).map(ShardId) {
        let lane = kernel.add_lane(node, id);
        let shard = Shard::new(Parts {
            id,
            backend: Backend::Sim(SimShard::new(Rc::clone(kernel), lane)),
            clock: Clock::from_sim(SimClock::new(Rc::clone(kernel), node)),
            seed: kernel.choose("node.random", CHOICE_LIMIT),
            storage: Storage::from_sim(SimStorage::new(Rc::clone(kernel), node)),
            network: Network::from_sim(SimNetwork::new(Rc::clone(kernel), node)),
            stop: stop.clone(),
        });
        let life = live(Rc::clone(kernel), node, shard, main.clone(), Rc::clone(&results));
        kernel.spawn(lane, "main", Box::pin(life));
    }
    Run(results)
}

async fn live<E, F, Fut>(
    kernel: Rc<Kernel>,
    node: NodeKey,
    shard: Shard,
    main: F,
    results: Rc<RefCell<Results<E>>>,
) where
    E: From<BootError> + 'static,
    F: Fn(Shard) -> Fut + 'static,
    Fut: Future<Output = Result<(), E>> + 'static,
{
    let id = shard.id();
    let outcome = run_shard(shard, |shard| {
        let life = main(shard);
        async move { life.await.map_err(MainError::Returned) }
    })
    .await;
    let error = match outcome {
        Ok(()) => None,
        Err(MainError::Returned(error)) => Some(error),
        Err(MainError::Boot(error)) => {
            if let BootError::Panicked { place, message, .. } = &error {
                kernel.fail(Failure {
                    node,
                    shard: id,
                    fiber: place.clone(),
                    at: kernel.now(),
                    cause: FailureCause::Panicked(message.clone()),
                });
            }
            Some(E::from(error))
        }
    };
    {
        let mut results = results.borrow_mut();
        results.shards_left -= 1;
        if results.first_error.is_none() {
            results.first_error = error;
        }
    }
    kernel.note(TraceKind::End, node, What::End(node));
    kernel.main_ended(node);
}
