//! Many polls, mails and bytes: what a long run is made of.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::sim::{NodeKey, World, WorldOptions};
use runtime::{BootError, ListenOptions, Shard, ShardId, mailbox};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_million_passes_of_four_shards() {
    let world = World::new(WorldOptions::new(1));
    let run = world.start::<BootError, _, _>(NodeKey(1), 4, |shard: Shard| async move {
        for _ in 0..250_000 {
            shard.pass().await;
        }
        Ok(())
    });
    assert_eq!(world.run_until(|_| run.has_ended(), HOUR), Ok(true));
    assert!(world.events() > 1_000_000);
}

#[test]
fn two_hundred_thousand_mails_there_and_back() {
    const ROUNDS: u64 = 200_000;
    let world = World::new(WorldOptions::new(1));
    let (to_second, at_second) = mailbox::<u64>(16);
    let (to_first, at_first) = mailbox::<u64>(16);
    let ends = Arc::new(Mutex::new(vec![Some((to_second, at_first)), Some((to_first, at_second))]));
    let run = world.start::<BootError, _, _>(NodeKey(1), 2, move |shard: Shard| {
        let ends = Arc::clone(&ends);
        async move {
            let index = usize::from(shard.id().0);
            let (sender, mut receiver) = ends.lock().unwrap()[index].take().unwrap();
            let mut mails = Vec::new();
            if shard.id() == ShardId(0) {
                assert!(sender.send_all(&mut vec![0]).await.is_ok());
            }
            while receiver.recv_all(&mut mails).await.is_ok() {
                let next = mails.pop().unwrap_or(0) + 1;
                if sender.send_all(&mut vec![next]).await.is_err() || next >= ROUNDS {
                    break;
                }
            }
            Ok(())
        }
    });
    assert_eq!(world.run_until(|_| run.has_ended(), HOUR), Ok(true));
}

#[test]
fn two_hundred_thousand_messages_over_the_network() {
    const CONNECTIONS: usize = 20;
    const ROUNDS: usize = 10_000;
    let world = World::new(WorldOptions::new(1));
    drop(world.start::<BootError, _, _>(NodeKey(1), 1, |shard: Shard| async move {
        let address = "0.0.0.0:7000".parse().unwrap();
        let listener = shard.network().listen(address, ListenOptions::default()).await.unwrap();
        while let Ok(stream) = listener.accept().await {
            let (mut read, mut write) = stream.split();
            shard.fibers().spawn_daemon("echo", async move {
                let mut buffer = [0; 64];
                while let Ok(count @ 1..) = read.read(&mut buffer).await {
                    if write.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(())
    }));
    let run = world.start::<BootError, _, _>(NodeKey(2), 1, |shard: Shard| async move {
        let fibers: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let network = shard.network().clone();
                shard.fibers().spawn("caller", async move {
                    let address = "10.0.0.1:7000".parse().unwrap();
                    let (mut read, mut write) = network.connect(address).await.unwrap().split();
                    for _ in 0..ROUNDS {
                        write.write_all(&[7]).await.unwrap();
                        assert_eq!(read.read(&mut [0]).await.unwrap(), 1);
                    }
                })
            })
            .collect();
        for fiber in fibers {
            assert_eq!(fiber.await, Some(()));
        }
        Ok(())
    });
    assert_eq!(world.run_until(|_| run.has_ended(), HOUR), Ok(true));
}
