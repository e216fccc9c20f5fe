//! Calls to await.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use client_core::operations::{
    BatchGet, BatchPut, BatchRemove, CompareAndSet, Gathering, Get, KvStatus, List, Listing,
    MakeTemporaryDirectory, Mkdir, Ping, Put, PutTemporary, QueryStatus, Remove, Transaction,
    UpdateTtl,
};
use client_core::{
    Condition, Core, Error, LockOptions, NodeId, Operation, Options, OptionsError, RequestId, Step,
    Stream, StreamUpdate,
};
use runtime::Shard;
use wire::ProcessId;

use moment::Moment;

use crate::fiber::driver::Driver;
use crate::fiber::{Lock, Watch};
use crate::handles::Driven;
use crate::notices::Notices;

/// The reply of an operation, or why there is none.
type Reply<O> = Result<<O as Operation>::Reply, Error>;

/// A client that many fibers of one shard may use at the same time; clones are the same client.
///
/// It connects with the first call, and closes its connections when the last clone is dropped
/// and no lock or watch is left.
///
/// ```
/// use client::fiber::Client;
///
/// async fn visits(client: &Client) -> Result<u64, client::Error> {
///     let node = client.get(b"visits").await?;
///     Ok(node.map_or(0, |node| node.value.len() as u64))
/// }
/// ```
#[derive(Clone)]
pub struct Client(Rc<Owner>);

/// Stops the driver when nobody can call any more; its fibers own it as well.
struct Owner(Rc<Driver>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// A call that ends without a reply if it is dropped.
struct Pending<'a> {
    driver: &'a Driver,
    request: Option<RequestId>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(request) = self.request {
            self.driver.abandon(request);
        }
    }
}

impl Driven for Client {
    fn act<R>(&self, act: impl FnOnce(&mut Core, &mut Notices, Moment) -> R) -> R {
        self.driver().act(act)
    }

    fn with_notices<R>(&self, look: impl FnOnce(&mut Notices) -> R) -> R {
        self.driver().with_notices(look)
    }

    fn with_core<R>(&self, look: impl FnOnce(&Core) -> R) -> R {
        self.driver().with_core(look)
    }

    fn now(&self) -> Moment {
        self.driver().now()
    }
}

impl Client {
    /// A client that is not connected yet. Take random numbers of the shard for the identity in
    /// `options`: [`Client::new_process_id`].
    pub fn new(shard: &Shard, options: Options) -> Result<Client, OptionsError> {
        Ok(Client(Rc::new(Owner(Driver::start(shard, Core::new(options)?)))))
    }

    /// 128 random bits; the same ones for the same seed of a simulation.
    pub fn new_process_id(shard: &Shard) -> ProcessId {
        // The servers refuse 0.
        ProcessId { high: shard.random().next_u64() | 1, low: shard.random().next_u64() }
    }

    /// Carries out any operation. If the future is dropped, whether it is carried out stays open.
    pub async fn call<O: Operation>(&self, operation: &O) -> Reply<O> {
        let driver = &self.0.0;
        let request = driver.submit(operation)?;
        let mut pending = Pending { driver, request: Some(request) };
        let reply = poll_fn(|context| {
            driver.poll_finished(request, context, |completion| completion.reply::<O>())
        });
        let reply = reply.await;
        pending.request = None;
        reply
    }

    fn driver(&self) -> &Rc<Driver> {
        &self.0.0
    }

    /// The leader as far as this client knows.
    pub fn leader(&self) -> Option<NodeId> {
        self.0.0.with_core(Core::leader)
    }

    /// Reads a node.
    pub async fn get(&self, key: &[u8]) -> Reply<Get<'_>> {
        self.call(&Get { key }).await
    }

    /// Reads the children of a directory, a long list in parts of several moments.
    pub async fn list(&self, key: &[u8]) -> Reply<List<'_>> {
        let mut listing = Listing::new(key, self.page_bytes());
        while let Some(part) = listing.next_part() {
            let reply = self.call(&part).await?;
            listing.take(reply);
        }
        Ok(listing.into_children())
    }

    /// Sets a value.
    pub async fn put(&self, key: &[u8], value: &[u8]) -> Reply<Put<'_>> {
        self.call(&Put { key, value }).await
    }

    /// Sets a value that the server removes when its time is over.
    pub async fn put_temporary(
        &self,
        key: &[u8],
        value: &[u8],
        time_to_live: Duration,
    ) -> Reply<PutTemporary<'_>> {
        self.call(&PutTemporary { key, value, time_to_live }).await
    }

    /// Makes a directory that the server removes, with all below it, when its time is over.
    pub async fn make_temporary_directory(
        &self,
        key: &[u8],
        time_to_live: Duration,
    ) -> Reply<MakeTemporaryDirectory<'_>> {
        self.call(&MakeTemporaryDirectory { key, time_to_live }).await
    }

    /// Starts the time of something temporary anew.
    pub async fn update_ttl(&self, key: &[u8], time_to_live: Duration) -> Reply<UpdateTtl<'_>> {
        self.call(&UpdateTtl { key, time_to_live }).await
    }

    /// Takes a lock, waiting for it as the options say; `None` if it is another's. If the future is
    /// dropped, the place in the queue is given up.
    pub async fn lock(&self, key: &[u8], options: LockOptions) -> Result<Option<Lock>, Error> {
        Lock::acquire(self, key, options).await
    }

    /// Watches a key: its state now, if it is newer than `known_index`, and each newer one.
    pub fn watch(&self, key: &[u8], known_index: u64) -> Result<Watch, Error> {
        Watch::start(self, key, known_index)
    }

    /// Asks for what a stream tells next, which may be nothing if that takes longer than `wait`.
    /// After an error the stream is where it was.
    pub async fn follow(
        &self,
        stream: &mut Stream,
        wait: Duration,
    ) -> Result<Vec<StreamUpdate>, Error> {
        let reply = self.call(&stream.request(wait)).await?;
        Ok(stream.take(reply))
    }

    /// Removes a node.
    pub async fn remove(&self, key: &[u8]) -> Reply<Remove<'_>> {
        self.call(&Remove { key }).await
    }

    /// Makes a directory.
    pub async fn mkdir(&self, key: &[u8]) -> Reply<Mkdir<'_>> {
        self.call(&Mkdir { key }).await
    }

    /// Sets a value if it is the expected one.
    pub async fn compare_and_set(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Reply<CompareAndSet<'_>> {
        self.call(&CompareAndSet { key, expected, new }).await
    }

    /// Does one of two lists of steps as a whole, depending on conditions.
    pub async fn transact(
        &self,
        conditions: &[Condition<'_>],
        then: &[Step<'_>],
        otherwise: &[Step<'_>],
    ) -> Reply<Transaction<'_>> {
        self.call(&Transaction { conditions, then, otherwise }).await
    }

    /// Reads several nodes, if they are too large for one answer in parts of several moments.
    pub async fn batch_get(&self, keys: &[&[u8]]) -> Reply<BatchGet<'_>> {
        let mut gathering = Gathering::new(keys, self.page_bytes());
        while !gathering.take(self.call(&gathering.next_part()).await?)? {}
        Ok(gathering.into_results())
    }

    fn page_bytes(&self) -> usize {
        self.with_core(|core| core.options().page_bytes())
    }

    /// Sets several values.
    pub async fn batch_put(&self, keys: &[&[u8]], values: &[&[u8]]) -> Reply<BatchPut<'_>> {
        self.call(&BatchPut { keys, values }).await
    }

    /// Removes several nodes.
    pub async fn batch_remove(&self, keys: &[&[u8]]) -> Reply<BatchRemove<'_>> {
        self.call(&BatchRemove { keys }).await
    }

    /// Asks a server for its status in the group.
    pub async fn query_status(&self, node: NodeId) -> Reply<QueryStatus> {
        self.call(&QueryStatus { node }).await
    }

    /// Asks a server for its status in the group and this client's watches.
    pub async fn kv_status(&self, node: NodeId) -> Reply<KvStatus> {
        self.call(&KvStatus { node }).await
    }

    /// Asks a server to send some bytes back.
    pub async fn ping(&self, node: NodeId, payload: &[u8]) -> Reply<Ping<'_>> {
        self.call(&Ping { node, payload }).await
    }
}
