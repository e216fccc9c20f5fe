//! Connections to a server with several shards, in a simulated world.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::sim::{NodeKey, World, WorldOptions};
use runtime::{BootError, ListenOptions, Shard};

#[test]
fn connections_spread_over_the_shards_of_a_server() {
    let world = World::new(WorldOptions::new(1));
    let shards = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&shards);
    drop(world.start::<BootError, _, _>(NodeKey(1), 3, move |shard: Shard| {
        let seen = Arc::clone(&seen);
        async move {
            let options = ListenOptions { reuse_port: true };
            let address = "0.0.0.0:7000".parse().unwrap();
            let listener = shard.network().listen(address, options).await.unwrap();
            loop {
                drop(listener.accept().await.unwrap());
                seen.lock().unwrap().insert(shard.id());
            }
        }
    }));
    let client = world.start::<BootError, _, _>(NodeKey(2), 1, |shard: Shard| async move {
        for _ in 0..30 {
            let server = (NodeKey(1).ip(), 7000).into();
            let (mut read, _write) = shard.network().connect(server).await.unwrap().split();
            assert_eq!(read.read(&mut [0]).await.unwrap(), 0);
        }
        Ok(())
    });
    assert_eq!(world.run_until(|_| client.has_ended(), Duration::from_secs(60)).ok(), Some(true));
    assert_eq!(shards.lock().unwrap().len(), 3);
}
