//! Three real processes as one cluster: the leader is killed and comes back, and nothing outlives the
//! process that started them.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_dongting");
const LIMIT: Duration = Duration::from_secs(60);

/// A cluster of three in a directory of its own; its processes end with this value.
struct Cluster {
    supervisor: Child,
    directory: tempfile::TempDir,
    servers: String,
}

impl Cluster {
    fn start() -> Cluster {
        Cluster::of(3)
    }

    fn of(nodes: u16) -> Cluster {
        let directory = tempfile::tempdir().unwrap();
        let mut supervisor = Command::new(BINARY)
            .args([
                "dev",
                "--nodes",
                &nodes.to_string(),
                "--base-port",
                &base_port().to_string(),
                "--keep",
            ])
            .arg(directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(supervisor.stdout.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).find_map(|line| {
            let servers = line.strip_prefix("ready: clients ")?.split(';').next()?;
            Some(servers.to_owned())
        });
        match ready {
            Some(servers) => Cluster { supervisor, directory, servers },
            None => panic!("the cluster ended while starting: {:?}", supervisor.wait()),
        }
    }

    /// Code and standard output of a verb.
    fn verb(&self, line: &str) -> (i32, String) {
        let output = Command::new(BINARY)
            .args(["--servers", &self.servers, "--timeout", "2s"])
            .args(line.split(' '))
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    }

    fn admin_port(&self, node: u64) -> u16 {
        let first: u16 = self.servers.split([':', ',']).nth(1).unwrap().parse().unwrap();
        first - 1 + 10 * (node as u16 - 1)
    }

    /// Code and what is said by a verb for administrators that knows the address of node 1.
    fn administer(&self, line: &str) -> (i32, String) {
        let output = Command::new(BINARY)
            .args(line.split(' '))
            .args(["--admin", &format!("1=127.0.0.1:{}", self.admin_port(1))])
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    /// Repeats a verb until it ends with code 0.
    fn verb_surely(&self, line: &str) -> String {
        let begun = Instant::now();
        loop {
            let (code, text) = self.verb(line);
            if code == 0 {
                return text;
            }
            assert!(begun.elapsed() < LIMIT, "{line} ends with {code}: {text}");
        }
    }

    fn order(&self, order: &str, node: u64) {
        let status = Command::new(BINARY)
            .args(["dev", order, &node.to_string(), "--keep"])
            .arg(self.directory.path())
            .status()
            .unwrap();
        assert!(status.success(), "{order} {node}");
    }

    fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.verb("-o json status").1).unwrap()
    }

    /// Waits until the cluster can lose so many nodes, and returns its leader.
    fn wait_until_it_can_lose(&self, nodes: u64) -> u64 {
        let begun = Instant::now();
        loop {
            let status = self.status();
            if status["can_lose"].as_u64() == Some(nodes) {
                return status["leader"].as_u64().unwrap();
            }
            assert!(begun.elapsed() < LIMIT, "{status}");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
        let processes = processes(self.directory.path());
        wait_for_end(&processes);
    }
}

/// The process ids that the cluster has noted.
fn processes(directory: &Path) -> Vec<String> {
    let files = (1..=4).map(|node| directory.join(format!("node{node}.pid")));
    files.filter_map(|file| Some(std::fs::read_to_string(file).ok()?.trim().to_owned())).collect()
}

/// Waits until none of the processes runs; a test must not leave any behind.
fn wait_for_end(processes: &[String]) {
    let begun = Instant::now();
    let runs = |id: &String| {
        let name = std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
        name.trim() == "dongting"
    };
    while processes.iter().any(runs) {
        assert!(begun.elapsed() < LIMIT, "{processes:?} still run");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A base port behind which all ports that four nodes take are free.
fn base_port() -> u16 {
    let free = || {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = first.local_addr().unwrap().port() - 1;
        let others = [2, 11, 12, 21, 22, 31, 32].map(|add| base.checked_add(add));
        let all = others.map(|port| TcpListener::bind(("127.0.0.1", port?)).ok());
        all.iter().all(Option::is_some).then_some(base)
    };
    (0..100).find_map(|_| free()).unwrap()
}

#[test]
fn a_killed_leader_is_replaced_and_comes_back() {
    let cluster = Cluster::start();
    let leader = cluster.wait_until_it_can_lose(1);
    assert!(cluster.verb_surely("kv put a 1").starts_with("created"));
    cluster.order("kill", leader);
    let begun = Instant::now();
    assert!(cluster.verb_surely("kv put b 2").starts_with("created"));
    assert!(begun.elapsed() < Duration::from_secs(20), "no leader for {:?}", begun.elapsed());
    assert_eq!(cluster.verb_surely("kv get a"), "1\n");
    assert_ne!(cluster.wait_until_it_can_lose(0), leader);
    cluster.order("start", leader);
    cluster.wait_until_it_can_lose(1);
    assert_eq!(cluster.verb_surely("kv get b"), "2\n");
}

#[test]
fn no_node_outlives_its_cluster() {
    let mut cluster = Cluster::start();
    let running = processes(cluster.directory.path());
    assert_eq!(running.len(), 3);
    // Nobody is there any more to stop them.
    cluster.supervisor.kill().unwrap();
    cluster.supervisor.wait().unwrap();
    wait_for_end(&running);
}

#[test]
fn groups_come_and_go_and_leaders_move() {
    let cluster = Cluster::start();
    cluster.wait_until_it_can_lose(1);
    let administer = |line: &str, code: i32, text: &str| {
        let (ended, said) = cluster.administer(line);
        assert!(ended == code && said.contains(text), "{line}: {ended}, {said}");
        said
    };
    administer("group add 7 --members 1,2,3", 0, "group 7 begins on 1,2,3");
    administer("group add 7 --members 1,2,3", 0, "is there already");
    administer("group add 8 --members 1,9", 5, "dongting node add");
    cluster.verb_surely("--group 7 kv put a 1");
    for node in 1..=3 {
        // Whoever was elected before may lead already.
        administer(&format!("leader move {node} --group 7"), 0, &format!("node {node}"));
        let list: serde_json::Value =
            serde_json::from_str(&administer("group list -o json", 0, "")).unwrap();
        let group = &list["groups"][1];
        assert_eq!((&group["group"], &group["leader"]), (&7.into(), &node.into()), "{list}");
    }
    administer("leader move 9 --group 7", 5, "no member");
    administer("leader move 1 --group 6", 3, "group list");
    administer("leader balance", 0, "");
    administer("leader balance", 0, "evenly already");
    administer("group remove 7", 0, "its files, group-7, stay there");
    administer("group remove 7", 3, "no node has group 7");
    administer("group add 7 --members 1,2,3", 0, "group 7 begins on 1,2,3");
    assert_eq!(cluster.verb_surely("--group 7 kv get a"), "1\n");
}

#[test]
fn a_drained_node_may_be_stopped_and_leads_again_when_that_is_over() {
    let cluster = Cluster::start();
    let leader = cluster.wait_until_it_can_lose(1);
    cluster.verb_surely("kv put a 1");
    let (code, said) = cluster.administer(&format!("node drain {leader}"));
    assert!(code == 0 && said.contains("may be stopped"), "{code} {said}");
    assert!(cluster.verb("status").1.contains("follower, drained"));
    let other = cluster.wait_until_it_can_lose(1);
    assert_ne!(other, leader);
    // Without the drained one, neither of the others can be done without.
    cluster.order("kill", leader);
    cluster.wait_until_it_can_lose(0);
    let third = 6 - leader - other;
    let drain =
        format!("node drain {third} --admin {third}=127.0.0.1:{}", cluster.admin_port(third));
    let (code, said) = cluster.verb(&drain);
    assert!(code == 6 && said.is_empty(), "{code} {said}");
    cluster.order("start", leader);
    cluster.wait_until_it_can_lose(1);
    let undrain = format!("node undrain {leader}");
    let (code, said) = cluster.administer(&undrain);
    assert!(code == 0 && said.contains("and may lead again"), "{code} {said}");
    let (code, said) = cluster.administer(&format!("leader move {leader}"));
    assert!(code == 0, "{said}");
    assert_eq!(cluster.wait_until_it_can_lose(1), leader);
}

#[test]
fn nodes_are_listed_and_those_in_use_stay() {
    let cluster = Cluster::start();
    cluster.wait_until_it_can_lose(1);
    let (code, list) = cluster.administer("node list -o json");
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!((code, &list["nodes"][2]["known_by"]), (0, &serde_json::json!([1, 2, 3])));
    for (line, code, text) in [
        ("node remove 2", 5, "current ref count: 1"),
        ("node remove 9", 3, "no node 9 is known"),
        ("node add 9=127.0.0.1:1", 6, "cannot be reached at 127.0.0.1:1"),
    ] {
        let (ended, said) = cluster.administer(line);
        assert!(ended == code && said.contains(text), "{line}: {ended}, {said}");
    }
}

#[test]
fn members_come_and_go_and_change_places() {
    let cluster = Cluster::of(4);
    cluster.wait_until_it_can_lose(1);
    let administer = |line: &str, code: i32, text: &str| {
        let (ended, said) = cluster.administer(line);
        assert!(ended == code && said.contains(text), "{line}: {ended}, {said}");
        said
    };
    let group = || -> serde_json::Value {
        serde_json::from_str(&administer("change show --group 7 -o json", 0, "")).unwrap()
    };
    administer("group add 7 --members 1,2,3", 0, "begins");
    cluster.verb_surely("--group 7 kv put a 1");
    administer("member add 4 --group 7 --dry-run", 0, "members 1,2,3,4; 3 of 4 decide");
    assert_eq!(group()["members"], serde_json::json!([1, 2, 3]), "it was only a question");
    administer("member add 4 --group 7", 0, "done: members 1,2,3,4");
    administer("member add 4 --group 7", 5, "is a member already");
    administer("member demote 4 --group 7", 0, "done: members 1,2,3, observers 4");
    let leader = group()["leader"].as_u64().unwrap();
    administer(&format!("member replace {leader} 4 --group 7"), 0, "node 4 has caught up");
    let members = group()["members"].clone();
    assert!(!members.as_array().unwrap().contains(&leader.into()), "{members}");
    administer(&format!("group remove 7 --on {leader}"), 0, "is removed");
    administer(&format!("member add {leader} --group 7"), 0, "done: members 1,2,3,4");
    administer("change prepare --members 1,2,3 --group 7", 0, "are prepared");
    administer("member remove 4 --group 7", 5, "dongting change abort");
    administer("change abort --group 7", 0, "taken back");
    administer("change commit --group 7", 3, "nothing is prepared");
    administer("member remove 4 --group 7", 0, "group remove 7 --on 4");
    administer("member remove 9 --group 7", 5, "neither member nor observer");
    assert_eq!(cluster.verb_surely("--group 7 kv get a"), "1\n");
}
