//! Listening and connecting, as a node's fibers do it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::connection::Side;
use super::stream::{OpenEnd, SimStream};
use crate::ListenOptions;
use crate::sim::arena::Key;
use crate::sim::kernel::Kernel;
use crate::sim::node::NodeKey;

/// A node's way to the network.
#[derive(Clone)]
pub(crate) struct SimNetwork {
    kernel: Rc<Kernel>,
    node: NodeKey,
}

impl SimNetwork {
    pub(crate) fn new(kernel: Rc<Kernel>, node: NodeKey) -> SimNetwork {
        SimNetwork { kernel, node }
    }

    #[expect(clippy::unused_async, reason = "listening is asynchronous on the other backend")]
    pub(crate) async fn listen(
        &self,
        address: SocketAddr,
        options: ListenOptions,
    ) -> io::Result<SimListener> {
        let mut network = self.kernel.network.borrow_mut();
        let (key, address) = network.listen(self.node, address, options.reuse_port)?;
        Ok(SimListener { kernel: Rc::clone(&self.kernel), key, address })
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<SimStream> {
        let key = self.kernel.network.borrow_mut().connect(&self.kernel, self.node, address);
        // Made at once: dropping this future closes the connection.
        let end = OpenEnd::new(Rc::clone(&self.kernel), key, Side::Caller);
        poll_fn(|context| self.kernel.network.borrow_mut().poll_connected(key, context.waker()))
            .await?;
        Ok(SimStream::new(end, address))
    }
}

pub(crate) struct SimListener {
    kernel: Rc<Kernel>,
    key: Key,
    address: SocketAddr,
}

impl SimListener {
    pub(crate) async fn accept(&self) -> io::Result<SimStream> {
        let key =
            poll_fn(|context| self.kernel.network.borrow_mut().accept(self.key, context.waker()))
                .await?;
        let end = OpenEnd::new(Rc::clone(&self.kernel), key, Side::Callee);
        let peer = self.kernel.network.borrow().peer_address(key, Side::Callee);
        Ok(SimStream::new(end, peer.unwrap_or(self.address)))
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.kernel.network.borrow_mut().stop_listening(&self.kernel, self.key);
    }
}
