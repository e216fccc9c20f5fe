//! Nodes and groups come and go on disks that fail or are full.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::sim::{CrashKind, DiskEffect, DiskFault, DiskOperation, DiskOptions, EIO, NodeKey};

use crate::cluster::{Cluster, client_of, put_surely};
use crate::rosters::{GROUP, add_group, groups};

/// What came of adding a group to the only node.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Nothing,
    Added,
    Refused(String),
}

/// Orders a group and returns what the node has said within a second.
fn order(cluster: &mut Cluster) -> Told {
    let told = Arc::new(Mutex::new(Told::Nothing));
    let answer = told.clone();
    cluster.launch(move |shard, _| {
        let answer = answer.clone();
        async move {
            let added = add_group(&shard, 1, "1").await;
            *answer.lock().unwrap() = match added {
                Ok(()) => Told::Added,
                Err(rpc::LinkError::Refused { text, .. }) => Told::Refused(text),
                Err(_) => Told::Nothing,
            };
        }
    });
    cluster.world.run_for(Duration::from_secs(1)).unwrap();
    told.lock().unwrap().clone()
}

/// Whether the node has the group; afterwards it has, and serves it.
fn had(cluster: &mut Cluster) -> bool {
    let found = Arc::new(Mutex::new(false));
    let seen = found.clone();
    cluster.run(move |shard, _| {
        let seen = seen.clone();
        async move {
            let has_it = groups(&shard, 1).await.contains(&GROUP);
            *seen.lock().unwrap() = has_it;
            if !has_it {
                add_group(&shard, 1, "1").await.unwrap();
            }
            put_surely(&shard, &client_of(&shard, 1, GROUP), "a", "1").await;
        }
    });
    *found.lock().unwrap()
}

#[test]
fn a_failing_disk_refuses_a_change_or_ends_the_node() {
    let (mut added, mut refused, mut ended) = (0, 0, 0);
    for seed in 0..48 {
        let mut cluster = Cluster::with_shards(seed, 1, 2);
        cluster.wait_ready();
        let fault = |operation| DiskFault::new(operation, DiskEffect::Error(EIO)).times(1);
        let fault = match seed % 4 {
            0 => fault(DiskOperation::Write).path("roster"),
            1 => fault(DiskOperation::Sync).path("roster"),
            2 => fault(DiskOperation::Directory).path("roster").one_in(3),
            _ => fault(DiskOperation::Directory).one_in(6),
        };
        cluster.world.disk(NodeKey(1)).add_fault(fault);
        let told = order(&mut cluster);
        cluster.world.disk(NodeKey(1)).clear_faults();
        let runs = cluster.world.is_running(NodeKey(1));
        match &told {
            Told::Added => added += 1,
            Told::Refused(text) => {
                refused += 1;
                assert!(runs && text.contains("os error 5"), "seed {seed}: {text}");
            }
            Told::Nothing => {
                ended += 1;
                let error = cluster.ending(1);
                assert!(error.contains("os error 5"), "seed {seed}: {error}");
            }
        }
        cluster.crash(1, CrashKind::PowerLoss);
        cluster.start_node(1);
        cluster.wait_ready();
        let had = had(&mut cluster);
        assert!(told == Told::Nothing || had == (told == Told::Added), "seed {seed}: {told:?}");
    }
    assert!(added > 0 && refused > 0 && ended > 0, "{added} {refused} {ended}: all are seen");
}

#[test]
fn a_full_disk_refuses_a_change_until_there_is_room() {
    let mut cluster = Cluster::with_shards(1, 1, 2);
    cluster.wait_ready();
    let disk = cluster.world.disk(NodeKey(1));
    let roomy = disk.options();
    let used: usize = disk.paths().iter().map(|path| disk.read(path).unwrap().len()).sum();
    disk.set_options(DiskOptions { capacity: used as u64, ..roomy });
    let Told::Refused(text) = order(&mut cluster) else { panic!("it is not refused") };
    assert!(text.contains("roster") && text.contains("nothing changed"), "{text}");
    cluster.world.disk(NodeKey(1)).set_options(roomy);
    assert!(!had(&mut cluster), "it was refused, and can be added now");
}
