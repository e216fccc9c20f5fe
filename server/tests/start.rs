//! Starts that are refused, each with its exit code, its cause and its mend, and orderly stops.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/development.rs"]
mod development;
#[path = "support/load.rs"]
mod load;
#[path = "support/process.rs"]
mod process;
#[path = "support/served.rs"]
mod served;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use client::blocking::Client;

use crate::development::dev;
use crate::load::Acknowledged;
use crate::process::{Ended, NodeProcess, Ports, directory, dongting};
use crate::served::{replicate, serve};

/// Checks that a start was refused with this code and these words, in so many lines that a person
/// reads them.
fn refused(ended: &Ended, code: i32, words: &[&str]) {
    let said = &ended.said;
    assert_eq!(ended.code, Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is missing in:\n{said}");
    }
    assert!(!said.contains("panicked") && !said.contains(" ready "), "{said}");
    assert!(said.lines().count() <= 5, "{said}");
}

/// Some data of an ordered life, below a directory that is kept until it is dropped.
fn lived() -> (tempfile::TempDir, PathBuf, Ports) {
    let (directory, ports) = (directory(), Ports::choose());
    let data_dir = directory.path().join("data");
    let mut node = dev(&data_dir, ports);
    node.wait_ready();
    let mut client = Client::new(ports.client()).unwrap();
    for number in 0..20_u32 {
        client.put(b"key", &number.to_le_bytes()).unwrap();
    }
    assert_eq!(node.terminate().code, Some(0));
    (directory, data_dir, ports)
}

fn damage(file: &Path, offset: usize) -> Vec<u8> {
    let mut bytes = fs::read(file).unwrap();
    bytes[offset] ^= 0x10;
    fs::write(file, &bytes).unwrap();
    bytes
}

#[test]
fn an_address_in_use_is_named() {
    let (directory, ports) = (directory(), Ports::choose());
    for address in [ports.service, replicate(ports)] {
        let _held = TcpListener::bind(address).unwrap();
        let ended = dev(directory.path(), ports).end();
        let cause = format!("cannot listen on {address}");
        refused(&ended, 1, &[&cause, "in use", "end the process that uses it"]);
    }
    // What was refused has left nothing that stands in the way.
    let mut node = dev(directory.path(), ports);
    node.wait_ready();
    assert_eq!(node.terminate().code, Some(0));
}

#[test]
fn a_data_directory_in_use_is_named_with_its_user() {
    let (directory, ports) = (directory(), Ports::choose());
    let mut node = dev(directory.path(), ports);
    node.wait_ready();
    let ended = dev(directory.path(), Ports::choose()).end();
    let path = directory.path().display().to_string();
    let user = format!("process {}", node.id());
    refused(&ended, 1, &[&path, "in use by", &user, "end that process"]);
    // The one that has it did not notice, and its end makes the directory free.
    Client::new(ports.client()).unwrap().put(b"key", b"value").unwrap();
    drop(node);
    dev(directory.path(), ports).wait_ready();
}

#[test]
fn the_data_of_another_node_is_refused() {
    let (_directory, data_dir, ports) = lived();
    for node in ["id = 2\ncluster = \"dev\"", "cluster = \"orders\""] {
        let ended = serve(&data_dir, ports, node).end();
        let path = data_dir.display().to_string();
        let owner = "belongs to node 1 of cluster \"dev\"";
        refused(&ended, 9, &[&path, owner, "correct node.id and node.cluster"]);
    }
    let mut node = serve(&data_dir, ports, "cluster = \"dev\"");
    node.wait_ready();
    let stored = Client::new(ports.client()).unwrap().get(b"key").unwrap().unwrap();
    assert_eq!(stored.value, 19_u32.to_le_bytes());
}

#[test]
fn a_damaged_identity_is_refused() {
    let (_directory, data_dir, ports) = lived();
    let file = data_dir.join("identity");
    let bytes = damage(&file, 30);
    let words = ["the file `identity`", &data_dir.display().to_string(), "restore the file"];
    refused(&dev(&data_dir, ports).end(), 9, &words);
    assert_eq!(fs::read(&file).unwrap(), bytes, "a refused start changes nothing");
    fs::remove_file(&file).unwrap();
    refused(&dev(&data_dir, ports).end(), 9, &words);
}

#[test]
fn a_damaged_log_or_vote_is_refused() {
    for (file, offset) in [
        // A frame in the middle, the head of the file, and one of the two equal votes' files.
        ("log/00000000000000000001.log", 5 * 4096 + 100),
        ("log/00000000000000000001.log", 100),
    ] {
        let (_directory, data_dir, ports) = lived();
        let path = data_dir.join("group-0").join(file);
        let bytes = damage(&path, offset);
        let ended = dev(&data_dir, ports).end();
        refused(&ended, 9, &["raft group 0", file, "damaged at offset", "restore"]);
        assert_eq!(fs::read(&path).unwrap(), bytes, "a refused start changes nothing");
    }
    let (_directory, data_dir, ports) = lived();
    let path = data_dir.join("group-0/hard-state");
    damage(&path, 100);
    damage(&path, 4096 + 100);
    let ended = dev(&data_dir, ports).end();
    refused(&ended, 9, &["raft group 0", "group-0/hard-state", "damaged", "restore"]);
    fs::remove_file(&path).unwrap();
    let ended = dev(&data_dir, ports).end();
    refused(&ended, 9, &["raft group 0", "no group-0/hard-state", "has voted", "restore"]);
}

#[test]
fn what_the_machine_does_not_offer_is_named() {
    let (directory, ports) = (directory(), Ports::choose());
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let ended = dev(&file.join("data"), ports).end();
    refused(&ended, 1, &["data directory", &file.display().to_string(), "Not a directory"]);
    let data_dir = directory.path().join("data");
    let ended = serve(&data_dir, ports, "shards = 4000").end();
    refused(&ended, 1, &["4000 shards need as many cpus", "node.shards"]);
    let ended = serve(&data_dir, ports, "shards = [4000]").end();
    refused(&ended, 1, &["may not use cpu 4000", "node.shards"]);
    let node = dongting(["dev", "--base-port", &ports.base.to_string()]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -l 64 && exec \"$0\" \"$@\""]).arg(node.get_program());
    let ended = NodeProcess::start(limited.args(node.get_args()).env_clear()).end();
    refused(&ended, 1, &["may lock 65536 bytes", "ulimit -l"]);
}

#[test]
fn an_invalid_configuration_is_refused_with_its_line() {
    let (directory, ports) = (directory(), Ports::choose());
    let ended = serve(&directory.path().join("data"), ports, "shards = 0").end();
    refused(&ended, 8, &["toml:6: [node] shards is 0", "a node needs a shard"]);
    assert!(!directory.path().join("data").exists(), "nothing is made before the check");
}

#[test]
fn a_stop_under_load_is_orderly_and_the_next_life_goes_on() {
    let (directory, ports) = (directory(), Ports::choose());
    let acknowledged = Acknowledged::default();
    let mut index = 0;
    for life in 1..=3 {
        let mut node = dev(directory.path(), ports);
        node.wait_ready();
        acknowledged.verify(ports);
        let put = Client::new(ports.client()).unwrap().put(b"life", &[life]).unwrap();
        assert!(put.raft_index > index, "the log goes on");
        index = put.raft_index;
        let load = acknowledged.load(ports, 256, Duration::from_secs(2));
        acknowledged.wait_for(acknowledged.count() + 5000);
        let ended = node.terminate();
        load.end();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        assert!(ended.said.trim_end().ends_with("stopped node=1"), "{}", ended.said);
    }
}
