//! One call after the other.

use std::collections::VecDeque;
use std::time::Duration;

use client_core::operations::{
    BatchGet, BatchPut, BatchRemove, CompareAndSet, Gathering, Get, KvStatus, List, ListSnapshots,
    Listing, MakeTemporaryDirectory, Mkdir, Ping, Put, PutTemporary, QueryStatus, Remove,
    SaveSnapshot, Transaction, UpdateTtl,
};
use client_core::{
    Completion, Condition, Core, Error, Event, LockEvent, LockId, LockOptions, NodeId, Operation,
    Options, OptionsError, Step, Stream, StreamUpdate, WatchId,
};
use wire::ProcessId;

use crate::blocking::pipeline::Pipeline;

/// The reply of an operation, or why there is none.
type Reply<O> = Result<<O as Operation>::Reply, Error>;

/// A client whose calls return when they have their reply.
///
/// It connects with the first call, and again when a connection has broken. It has no thread of its
/// own: leases are renewed and news are taken while a call is made, so that whoever holds locks or
/// watches keys calls [`Client::next_event`] often enough, three times in the length of a lease.
pub struct Client {
    pipeline: Pipeline,
    /// What other lock objects have told while one was waited for.
    told: VecDeque<(LockId, LockEvent)>,
}

/// A lock that this client held when it got this.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeldLock {
    /// Names it in events.
    pub id: LockId,
    /// Greater than that of every earlier holder of the lock.
    pub fencing_token: u64,
}

/// How long to wait in one go; the core ends every call, so this is no limit of a call.
const WAIT: Duration = Duration::from_secs(1);

impl Client {
    /// A client that is not connected yet.
    pub fn new(options: Options) -> Result<Client, OptionsError> {
        Ok(Client { pipeline: Pipeline::new(options)?, told: VecDeque::new() })
    }

    /// Carries out any operation.
    pub fn call<O: Operation>(&mut self, operation: &O) -> Reply<O> {
        let request = self.pipeline.submit(operation)?;
        let mut reply = None;
        loop {
            self.pipeline.poll(WAIT, |completion| {
                assert_eq!(completion.request, request, "one call at a time");
                reply = Some(completion.reply::<O>());
            });
            if let Some(reply) = reply {
                return reply;
            }
        }
    }

    /// Who this client is for the servers: the owner of what is temporary, and of locks.
    pub fn process_id(&mut self) -> ProcessId {
        self.pipeline.with_core(|core, _| core.options().client)
    }

    /// The leader as far as this client knows.
    pub fn leader(&self) -> Option<NodeId> {
        self.pipeline.leader()
    }

    /// Reads a node.
    pub fn get(&mut self, key: &[u8]) -> Reply<Get<'_>> {
        self.call(&Get { key })
    }

    /// Reads the children of a directory, a long list in parts of several moments.
    pub fn list(&mut self, key: &[u8]) -> Reply<List<'_>> {
        let mut listing = Listing::new(key, self.page_bytes());
        while let Some(part) = listing.next_part() {
            let reply = self.call(&part)?;
            listing.take(reply);
        }
        Ok(listing.into_children())
    }

    /// Sets a value.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Reply<Put<'_>> {
        self.call(&Put { key, value })
    }

    /// Sets a value that the server removes when its time is over.
    pub fn put_temporary(
        &mut self,
        key: &[u8],
        value: &[u8],
        time_to_live: Duration,
    ) -> Reply<PutTemporary<'_>> {
        self.call(&PutTemporary { key, value, time_to_live })
    }

    /// Makes a directory that the server removes, with all below it, when its time is over.
    pub fn make_temporary_directory(
        &mut self,
        key: &[u8],
        time_to_live: Duration,
    ) -> Reply<MakeTemporaryDirectory<'_>> {
        self.call(&MakeTemporaryDirectory { key, time_to_live })
    }

    /// Starts the time of something temporary anew.
    pub fn update_ttl(&mut self, key: &[u8], time_to_live: Duration) -> Reply<UpdateTtl<'_>> {
        self.call(&UpdateTtl { key, time_to_live })
    }

    /// Takes a lock, waiting for it as the options say; `None` if it is another's. It must be given
    /// back with [`Client::unlock`].
    pub fn lock(&mut self, key: &[u8], options: LockOptions) -> Result<Option<HeldLock>, Error> {
        let id = self.start_lock(key, options)?;
        let event = self.wait_for(id);
        if event.is_last() {
            // An error says that the place in the queue lasts a little longer.
            let _ = self.cancel_lock(id);
        }
        match event {
            LockEvent::Acquired { fencing_token } => Ok(Some(HeldLock { id, fencing_token })),
            LockEvent::Failed(error) => Err(error),
            _ => Ok(None),
        }
    }

    /// Wants a lock without waiting for it: [`Client::next_event`] tells.
    pub fn start_lock(&mut self, key: &[u8], options: LockOptions) -> Result<LockId, Error> {
        self.pipeline.with_core(|core, now| core.lock(key, options, now))
    }

    /// Gives a lock back. An error says that the server may keep it until its lease ends.
    pub fn unlock(&mut self, lock: HeldLock) -> Result<(), Error> {
        self.cancel_lock(lock.id)
    }

    /// Gives a lock back, or leaves its queue, and waits until that is done or of no use any more.
    /// To be called also when a lock was lost or waited for in vain: what is left of it on the
    /// server could get the lock later, for nobody.
    pub fn cancel_lock(&mut self, lock: LockId) -> Result<(), Error> {
        self.told.retain(|(id, _)| *id != lock);
        self.pipeline.with_core(|core, now| core.unlock(lock, now));
        let mut result = Ok(());
        while self.pipeline.with_core(|core, _| core.has_lock(lock)) {
            let no_call = |_: Completion<'_>| unreachable!("no call is under way");
            let stop = |core: &Core| core.has_lock_event() || !core.has_lock(lock);
            self.pipeline.poll_until(WAIT, no_call, stop);
            while let Some((id, event)) = self.pipeline.with_core(|core, _| core.next_lock_event())
            {
                match event {
                    LockEvent::NotReleased(error) if id == lock => result = Err(error),
                    _ if id == lock => {}
                    event => self.told.push_back((id, event)),
                }
            }
        }
        result
    }

    /// Renews the lease of a lock, which happens on its own unless the options say otherwise.
    pub fn renew(&mut self, lock: &HeldLock) {
        self.pipeline.with_core(|core, now| core.renew_lock(lock.id, now));
    }

    /// Whether this client holds the lock at this moment, by its own clock, which ends before that
    /// of the server.
    pub fn is_held(&mut self, lock: &HeldLock) -> bool {
        self.held_for(lock).is_some()
    }

    /// How long this client holds the lock for sure.
    pub fn held_for(&mut self, lock: &HeldLock) -> Option<Duration> {
        self.pipeline
            .with_core(|core, now| core.lock_held_until(lock.id, now).map(|end| end.since(now)))
    }

    /// Wants to be told of a key: its state now, if it is newer than `known_index`, and each newer
    /// one. [`Client::next_event`] tells.
    pub fn watch(&mut self, key: &[u8], known_index: u64) -> Result<WatchId, Error> {
        self.pipeline.with_core(|core, now| core.watch(key, known_index, now))
    }

    /// Asks for what a stream tells next, which may be nothing if that takes longer than `wait`.
    /// After an error the stream is where it was.
    pub fn follow(
        &mut self,
        stream: &mut Stream,
        wait: Duration,
    ) -> Result<Vec<StreamUpdate>, Error> {
        let reply = self.call(&stream.request(wait))?;
        Ok(stream.take(reply))
    }

    /// Ends a watch.
    pub fn unwatch(&mut self, watch: WatchId) {
        self.pipeline.with_core(|core, now| core.unwatch(watch, now));
    }

    /// Waits for news of locks and watches, at most so long. Renews leases meanwhile.
    pub fn next_event(&mut self, timeout: Duration) -> Option<Event> {
        if let Some((lock, event)) = self.told.pop_front() {
            return Some(Event::Lock(lock, event));
        }
        let no_call = |_: Completion<'_>| unreachable!("no call is under way");
        self.pipeline.poll_until(timeout, no_call, Core::has_event);
        self.pipeline.with_core(|core, _| core.next_event())
    }

    /// Waits for what a lock object tells next.
    fn wait_for(&mut self, lock: LockId) -> LockEvent {
        if let Some(place) = self.told.iter().position(|(id, _)| *id == lock)
            && let Some((_, event)) = self.told.remove(place)
        {
            return event;
        }
        loop {
            while let Some((id, event)) = self.pipeline.with_core(|core, _| core.next_lock_event())
            {
                if id == lock {
                    return event;
                }
                self.told.push_back((id, event));
            }
            let no_call = |_: Completion<'_>| unreachable!("no call is under way");
            self.pipeline.poll_until(WAIT, no_call, Core::has_lock_event);
        }
    }

    /// Removes a node.
    pub fn remove(&mut self, key: &[u8]) -> Reply<Remove<'_>> {
        self.call(&Remove { key })
    }

    /// Makes a directory.
    pub fn mkdir(&mut self, key: &[u8]) -> Reply<Mkdir<'_>> {
        self.call(&Mkdir { key })
    }

    /// Sets a value if it is the expected one.
    pub fn compare_and_set(
        &mut self,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Reply<CompareAndSet<'_>> {
        self.call(&CompareAndSet { key, expected, new })
    }

    /// Does one of two lists of steps as a whole, depending on conditions.
    pub fn transact(
        &mut self,
        conditions: &[Condition<'_>],
        then: &[Step<'_>],
        otherwise: &[Step<'_>],
    ) -> Reply<Transaction<'_>> {
        self.call(&Transaction { conditions, then, otherwise })
    }

    /// Reads several nodes, if they are too large for one answer in parts of several moments.
    pub fn batch_get(&mut self, keys: &[&[u8]]) -> Reply<BatchGet<'_>> {
        let mut gathering = Gathering::new(keys, self.page_bytes());
        while !gathering.take(self.call(&gathering.next_part())?)? {}
        Ok(gathering.into_results())
    }

    fn page_bytes(&mut self) -> usize {
        self.pipeline.with_core(|core, _| core.options().page_bytes())
    }

    /// Sets several values.
    pub fn batch_put(&mut self, keys: &[&[u8]], values: &[&[u8]]) -> Reply<BatchPut<'_>> {
        self.call(&BatchPut { keys, values })
    }

    /// Removes several nodes.
    pub fn batch_remove(&mut self, keys: &[&[u8]]) -> Reply<BatchRemove<'_>> {
        self.call(&BatchRemove { keys })
    }

    /// Asks a server for its status in the group.
    pub fn query_status(&mut self, node: NodeId) -> Reply<QueryStatus> {
        self.call(&QueryStatus { node })
    }

    /// Asks a server for its status in the group and this client's watches.
    pub fn kv_status(&mut self, node: NodeId) -> Reply<KvStatus> {
        self.call(&KvStatus { node })
    }

    /// Has a server save a snapshot of the group, on its port for administration.
    pub fn save_snapshot(&mut self, node: NodeId) -> Reply<SaveSnapshot> {
        self.call(&SaveSnapshot { node })
    }

    /// Asks a server for its snapshots of the group, on its port for administration.
    pub fn list_snapshots(&mut self, node: NodeId) -> Reply<ListSnapshots> {
        self.call(&ListSnapshots { node })
    }

    /// Asks a server to send some bytes back.
    pub fn ping(&mut self, node: NodeId, payload: &[u8]) -> Reply<Ping<'_>> {
        self.call(&Ping { node, payload })
    }
}
