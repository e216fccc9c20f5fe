//! Sockets and threads.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use wire::{Packet, Splitter};

use crate::server::answer::{Manner, Tree};

/// Stops when it is dropped, and closes its connections.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    tree: Mutex<Tree>,
    stopping: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl Server {
    /// A server on a port that the system chooses.
    pub(crate) fn start(node: i32, manner: Manner) -> Server {
        Server::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), node, manner)
    }

    pub(crate) fn start_at(address: SocketAddr, node: i32, manner: Manner) -> Server {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let shared = Arc::new(Shared {
            tree: Mutex::new(Tree { node, manner, values: BTreeMap::new() }),
            stopping: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let acceptor = std::thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        });
        Server { address, shared, acceptor: Some(acceptor) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().expect("no panic in the server");
        }
    }
}

/// Returns when all threads of connections have ended.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    for stream in listener.incoming() {
        let stream = stream.expect("a connection");
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        let copy = stream.try_clone().expect("a second handle");
        shared.connections.lock().expect("no panic").push(copy);
        let shared = shared.clone();
        threads.push(std::thread::spawn(move || serve(stream, &shared)));
    }
    for connection in shared.connections.lock().expect("no panic").drain(..) {
        // The other side may have closed it.
        let _ = connection.shutdown(Shutdown::Both);
    }
    for thread in threads {
        thread.join().expect("no panic in the server");
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    let splitter = Splitter::new(8 << 20);
    let (mut input, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        input.extend_from_slice(&buffer[..count]);
        let (mut used, mut output) = (0, Vec::new());
        while let Some((frame, length)) = splitter.split(&input[used..]).expect("a frame") {
            let packet = Packet::decode(frame).expect("a packet");
            assert!(packet.timeout_nanos > 0, "an expired request");
            if !shared.tree.lock().expect("no panic").answer(&packet, &mut output) {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
            used += length;
        }
        input.drain(..used);
        // Odd pieces, so that the client sees frames cut anywhere.
        for piece in output.chunks(1_001) {
            if stream.write_all(piece).is_err() {
                return;
            }
        }
    }
}
