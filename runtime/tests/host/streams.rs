//! Real sockets, on the loopback address.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use runtime::{FiberGroup, ListenOptions, Listener, Shard, Stream};

use crate::support::on_shard;

const ALONE: ListenOptions = ListenOptions { reuse_port: false };

async fn listener(shard: &Shard) -> Listener {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    shard.network().listen(address, ALONE).await.expect("a free port")
}

/// Both ends of a connection: the connecting and the accepted one.
async fn pair(shard: &Shard) -> (Stream, Stream) {
    let listener = listener(shard).await;
    let connected = shard.network().connect(listener.local_addr()).await.expect("connected");
    let accepted = listener.accept().await.expect("accepted");
    (connected, accepted)
}

#[test]
fn an_echo_returns_every_byte_in_order_at_any_size() {
    on_shard(|shard| async move {
        let (connected, accepted) = pair(&shard).await;
        let (mut read, mut write) = accepted.split();
        let echo = shard.fibers().spawn("echo", async move {
            let mut buffer = vec![0; 4_000];
            loop {
                let count = read.read(&mut buffer).await.expect("read");
                if count == 0 {
                    return;
                }
                write.write_all(&buffer[..count]).await.expect("written");
            }
        });
        let (mut read, mut write) = connected.split();
        // More than the socket buffers hold, so that both sides wait for each other.
        let sent: Rc<Vec<u8>> = Rc::new((0..5_000_000u32).map(|number| number as u8).collect());
        let sending = Rc::clone(&sent);
        let sender = shard.fibers().spawn("sender", async move {
            for part in sending.chunks(700_001) {
                write.write_all(part).await.expect("written");
            }
            write
        });
        let (mut got, mut buffer) = (Vec::new(), vec![0; 100_000]);
        while got.len() < sent.len() {
            let count = read.read(&mut buffer).await.expect("read");
            assert!(count > 0, "ended after {} bytes", got.len());
            got.extend_from_slice(&buffer[..count]);
        }
        assert!(got == *sent, "the bytes differ");
        drop((read, sender.await));
        assert_eq!(echo.await, Some(()));
    });
}

#[test]
fn shutdown_and_drop_end_the_other_side_at_once() {
    on_shard(|shard| async move {
        let (connected, accepted) = pair(&shard).await;
        let (_read, write) = connected.split();
        let (mut read, _write) = accepted.split();
        write.shutdown();
        assert_eq!(read.read(&mut [0; 10]).await.expect("the end"), 0);

        let (connected, accepted) = pair(&shard).await;
        drop(connected);
        let (mut read, mut write) = accepted.split();
        assert_eq!(read.read(&mut [0; 10]).await.expect("the end"), 0);
        let mut writes = 0;
        while write.write_all(&[0; 1_000]).await.is_ok() {
            writes += 1;
            assert!(writes < 10_000, "writing to nobody goes on");
        }
    });
}

#[test]
fn a_dropped_accept_loses_no_connection() {
    on_shard(|shard| async move {
        let listener = listener(&shard).await;
        let short = Duration::from_micros(50);
        for round in 0..50u8 {
            assert!(shard.clock().timeout(short, listener.accept()).await.is_none());
            let connected =
                shard.network().connect(listener.local_addr()).await.expect("connected");
            let (_read, mut write) = connected.split();
            write.write_all(&[round]).await.expect("written");
            let accepted = loop {
                if let Some(accepted) = shard.clock().timeout(short, listener.accept()).await {
                    break accepted.expect("accepted");
                }
            };
            let (mut read, _write) = accepted.split();
            let mut byte = [0];
            assert_eq!((read.read(&mut byte).await.expect("read"), byte[0]), (1, round));
        }
    });
}

#[test]
fn a_detached_stream_goes_on_where_it_was() {
    on_shard(|shard| async move {
        let (connected, accepted) = pair(&shard).await;
        let peer = accepted.peer_addr();
        let (mut read, mut write) = connected.split();
        write.write_all(b"before").await.expect("written");
        let moved = accepted.detach();
        fn assert_send<T: Send>(_: &T) {}
        assert_send(&moved);
        write.write_all(b" after").await.expect("written");
        let accepted = moved.attach(&shard).expect("attached");
        assert_eq!(accepted.peer_addr(), peer);
        let (mut far_read, mut far_write) = accepted.split();
        let mut got = Vec::new();
        let mut buffer = [0; 5];
        while got.len() < 12 {
            let count = far_read.read(&mut buffer).await.expect("read");
            got.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(got, b"before after");
        far_write.write_all(b"back").await.expect("written");
        assert_eq!(read.read(&mut buffer).await.expect("read"), 4);
        // Dropped while detached: the other side hears of it.
        let (connected, accepted) = pair(&shard).await;
        drop(accepted.detach());
        let (mut read, _write) = connected.split();
        assert_eq!(read.read(&mut buffer).await.expect("the end"), 0);
    });
}

#[test]
fn an_address_in_use_is_refused_unless_it_is_shared() {
    on_shard(|shard| async move {
        let alone = listener(&shard).await;
        let again = shard.network().listen(alone.local_addr(), ALONE).await;
        assert_eq!(again.err().map(|error| error.kind()), Some(ErrorKind::AddrInUse));
        let shared = ListenOptions { reuse_port: true };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = shard.network().listen(any, shared).await.expect("a free port");
        let second = shard.network().listen(first.local_addr(), shared).await;
        assert!(second.is_ok());
    });
}

#[test]
fn connecting_to_nobody_is_an_error() {
    on_shard(|shard| async move {
        let address = listener(&shard).await.local_addr();
        shard.pass().await;
        let refused = shard.network().connect(address).await;
        assert_eq!(refused.err().map(|error| error.kind()), Some(ErrorKind::ConnectionRefused));
    });
}

#[test]
fn a_silent_reader_holds_the_writer_back() {
    on_shard(|shard| async move {
        let (connected, accepted) = pair(&shard).await;
        let group = FiberGroup::new(&shard, "writers");
        let (_read, mut write) = accepted.split();
        drop(group.spawn("writer", async move {
            let chunk = vec![0; 1 << 20];
            loop {
                write.write_all(&chunk).await.expect("the reader is there");
            }
        }));
        let short = Duration::from_millis(50);
        assert!(shard.clock().timeout(short, group.join()).await.is_none());
        group.cancel();
        drop(connected);
    });
}
