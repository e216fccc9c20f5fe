//! The script of the documentation that restarts node after node, under load.

use std::fs;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use crate::alone;
use crate::cluster::{Cluster, NODES, bare};
use crate::full_load::{FullLoad, QUIET};
use crate::process::{DEADLINE, directory};

const HEADING: &str = "### Restart node after node";

/// The script, with this cluster's addresses, and a `restart` that asks this test to do it.
fn script(cluster: &Cluster) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    let manual = fs::read_to_string(path).unwrap();
    let section = manual.split_once(HEADING).unwrap().1;
    let block = section.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0;
    let admin = NODES.map(|node| format!("{node}={}", cluster.replicate_of(node))).join(",");
    let mut replaced = 0;
    let lines = block.lines().map(|line| {
        let new = match line {
            _ if line.starts_with("ADMIN=") => format!("ADMIN={admin}"),
            _ if line.starts_with("restart()") => {
                "restart() { touch \"$1\"; while [ -e \"$1\" ]; do sleep 0.05; done; }".to_owned()
            }
            _ => return line.to_owned(),
        };
        replaced += 1;
        new
    });
    let script = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(replaced, 2, "{block}");
    script
}

/// The script's process; it ends with this value.
struct Script(Child);

impl Drop for Script {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_script_of_the_documentation_restarts_all_nodes_and_no_client_notices() {
    let _alone = alone();
    let mut cluster = Cluster::start("");
    cluster.wait_for_leader();
    let load = FullLoad::start(&cluster);
    load.go_on(QUIET);
    let orders = directory();
    let binaries = std::path::Path::new(env!("CARGO_BIN_EXE_dongting")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let child = bare("sh")
        .env("PATH", format!("{}:{path}", binaries.display()))
        .args(["-c", &script(&cluster)])
        .current_dir(orders.path())
        .spawn()
        .unwrap();
    let mut script = Script(child);
    let (begun, mut restarted) = (Instant::now(), Vec::new());
    let code = loop {
        if let Some(status) = script.0.try_wait().unwrap() {
            break status.code();
        }
        for node in NODES {
            let order = orders.path().join(node.to_string());
            if order.exists() {
                cluster.stop(node);
                cluster.start_node(node);
                restarted.push(node);
                fs::remove_file(order).unwrap();
            }
        }
        assert!(begun.elapsed() < 3 * DEADLINE && !load.has_ended(), "{}", cluster.all_said());
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!((code, restarted.as_slice()), (Some(0), &NODES[..]), "{}", cluster.all_said());
    load.go_on(1);
    load.end(QUIET, 0);
}
