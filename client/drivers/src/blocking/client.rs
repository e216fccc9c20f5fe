//! One call after the other.

use std::time::Duration;

use client_core::operations::{
    BatchGet, BatchPut, BatchRemove, CompareAndSet, Get, KvStatus, List, Mkdir, Ping, Put,
    QueryStatus, Remove,
};
use client_core::{Error, NodeId, Operation, Options, OptionsError};

use crate::blocking::pipeline::Pipeline;

/// The reply of an operation, or why there is none.
type Reply<O> = Result<<O as Operation>::Reply, Error>;

/// A client whose calls return when they have their reply.
///
/// It connects with the first call, and again when a connection has broken.
pub struct Client {
    pipeline: Pipeline,
}

/// How long to wait in one go; the core ends every call, so this is no limit of a call.
const WAIT: Duration = Duration::from_secs(1);

impl Client {
    /// A client that is not connected yet.
    pub fn new(options: Options) -> Result<Client, OptionsError> {
        Ok(Client { pipeline: Pipeline::new(options)? })
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

    /// The leader as far as this client knows.
    pub fn leader(&self) -> Option<NodeId> {
        self.pipeline.leader()
    }

    /// Reads a node.
    pub fn get(&mut self, key: &[u8]) -> Reply<Get<'_>> {
        self.call(&Get { key })
    }

    /// Reads the children of a directory.
    pub fn list(&mut self, key: &[u8]) -> Reply<List<'_>> {
        self.call(&List { key })
    }

    /// Sets a value.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Reply<Put<'_>> {
        self.call(&Put { key, value })
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

    /// Reads several nodes.
    pub fn batch_get(&mut self, keys: &[&[u8]]) -> Reply<BatchGet<'_>> {
        self.call(&BatchGet { keys })
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

    /// Asks a server to send some bytes back.
    pub fn ping(&mut self, node: NodeId, payload: &[u8]) -> Reply<Ping<'_>> {
        self.call(&Ping { node, payload })
    }
}
