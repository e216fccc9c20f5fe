//! The binary against a running node: verbs, exit codes, and what a restart leaves.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_dongting");

/// A development node of this test; killed when dropped.
struct Node {
    process: Child,
    servers: String,
}

impl Node {
    /// Starts a node on the data in `directory` and waits until it says that it is ready.
    fn start(directory: &Path) -> Node {
        let mut process = Command::new(BINARY)
            .args(["dev", "--base-port", &base_port().to_string(), "--keep"])
            .arg(directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let ready = lines.into_iter().find_map(|line| {
            let service = line.strip_prefix("ready: clients ")?.split(',').next()?;
            Some(format!("1={service}"))
        });
        match ready {
            Some(servers) => Node { process, servers },
            None => panic!("the node ended while starting: {:?}", process.wait()),
        }
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(BINARY)
            .args(["--servers", &self.servers])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        command.stdin.take().unwrap().write_all(input).unwrap();
        command.wait_with_output().unwrap()
    }

    /// Code and standard output of a verb.
    fn verb(&self, line: &str) -> (i32, String) {
        let arguments: Vec<&str> = line.split(' ').collect();
        outcome(&self.run(&arguments, b""))
    }

    fn json(&self, line: &str) -> serde_json::Value {
        let (code, text) = self.verb(&format!("-o json {line}"));
        assert_eq!(code, 0, "{line}");
        serde_json::from_str(&text).unwrap()
    }

    /// Stops it in order.
    fn stop(mut self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A base port whose two followers, which a node takes, are free.
fn base_port() -> u16 {
    let free = || {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let second = TcpListener::bind(("127.0.0.1", port.checked_add(1)?));
        second.is_ok().then_some(port - 1)
    };
    (0..100).find_map(|_| free()).unwrap()
}

fn outcome(output: &Output) -> (i32, String) {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output.status.code().unwrap(), text)
}

fn told(code: i32, text: &str) -> (i32, String) {
    (code, text.to_owned())
}

#[test]
fn every_verb_of_kv_has_its_output_and_code() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path());
    for (line, code, text) in [
        ("kv mkdir a", 0, "created at index 2\n"),
        ("kv mkdir a", 0, "was there already at index 3\n"),
        ("kv mkdir --parents p.q.r", 0, "created at index 6\n"),
        ("kv put a.k first", 0, "created at index 7\n"),
        ("kv put a.k second", 0, "replaced at index 8\n"),
        ("kv get a.k", 0, "second\n"),
        ("kv get -n a.k", 0, "second"),
        ("kv get a.none", 3, ""),
        ("kv get a", 5, ""),
        ("kv put none.k v", 5, ""),
        ("kv put a v", 5, ""),
        ("kv cas a.k --expect first --new third", 4, ""),
        ("kv cas a.k --expect second --new third", 0, "changed at index 12\n"),
        ("kv cas a.n --new made", 0, "changed at index 13\n"),
        ("kv cas a.n --expect made", 0, "changed at index 14\n"),
        ("kv mput a.x 1 a.y 2", 0, "a.x: created\na.y: created\n"),
        ("kv mput a.x", 2, ""),
        ("kv mget a.x a.y a.z", 3, "a.x = 1\na.y = 2\na.z = (not found)\n"),
        ("kv del a", 5, ""),
        ("kv del a.y", 0, "removed at index 17\n"),
        ("kv del a.y", 3, ""),
        (
            "kv ls a",
            0,
            "name  kind   bytes  index\nk     value  5      12\nx     value  1      15\n",
        ),
        ("kv tree", 0, "a.\n  k = third\n  x = 1\np.\n  q.\n    r.\n"),
        ("kv ls a.k", 5, ""),
        ("kv get a..k", 5, ""),
    ] {
        assert_eq!(node.verb(line), told(code, text), "{line}");
    }
}

#[test]
fn transactions_are_lines() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path());
    let txn = |lines: &[&str]| outcome(&node.run(&[&["kv", "txn"], lines].concat(), b""));
    let lines = ["if missing a", "then mkdir a", "then put a.k two words", "else get a.k"];
    assert_eq!(txn(&lines), told(0, "then at index 2\na: created\na.k: created\n"));
    assert_eq!(txn(&lines), told(4, "else at index 3\na.k = two words\n"));
    let input = b"# moves a value\nif updated a.k = 2\n\nthen put b two words\nthen del a.k\n";
    let moved = outcome(&node.run(&["kv", "txn"], input));
    assert_eq!(moved, told(0, "then at index 4\nb: created\na.k: removed\n"));
    let refused = node.run(&["kv", "txn", "then put b 1", "then put none.k 1"], b"");
    assert_eq!(outcome(&refused), told(5, ""));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("nothing was done, because of none.k"), "{said}");
    assert_eq!(node.verb("kv get b"), told(0, "two words\n"));
    let wrong = node.run(&["kv", "txn", "then put b 1", "when b"], b"");
    assert_eq!(wrong.status.code(), Some(2));
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(said.starts_with("line 2, `when b`: it begins with neither"), "{said}");
    let answer = node.run(&["-o", "json", "kv", "txn", "if token l = 0", "then get b"], b"");
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    let value = answer["results"][0]["value"].as_str();
    assert_eq!((answer["held"].as_bool(), value), (Some(true), Some("two words")));
}

#[test]
fn a_token_that_is_not_the_holders_sets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path());
    assert_eq!(node.verb("kv put k v --if-token l=1"), told(4, ""));
    let script = format!(
        "{BINARY} --servers {} kv put k v --if-token l=$DONGTING_FENCING_TOKEN",
        node.servers
    );
    let under = node.run(&["lock", "l", "--", "/bin/sh", "-c", &script], b"");
    assert!(under.status.success(), "{under:?}");
    assert_eq!(node.verb("kv get k"), told(0, "v\n"));
    assert_eq!(node.verb("kv put k w --if-token l=3"), told(4, ""), "it was given back");
}

#[test]
fn values_are_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path());
    let value = [0, 159, 146, 150, b'\n'];
    assert!(node.run(&["kv", "put", "raw", "-"], &value).status.success());
    assert_eq!(node.run(&["kv", "get", "-n", "raw"], b"").stdout, value);
    assert_eq!(node.json("kv get raw")["value_base64"], "AJ+Slgo=");
    assert_eq!(
        node.run(&["kv", "put", "raw", "-"], &vec![1; (1 << 20) + 1]).status.code(),
        Some(5)
    );
}

#[test]
fn status_shows_the_leader() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path());
    let status = &node.json("status")["nodes"][0];
    assert_eq!((status["role"].as_str(), status["leader"].as_i64()), (Some("leader"), Some(1)));
    assert_eq!(node.verb("--group 7 status --timeout 500ms").0, 6);
    let servers = node.servers.clone();
    node.kill();
    let dead = ["--servers", &servers, "--timeout", "300ms", "kv", "get", "a"];
    let output = Command::new(BINARY).args(dead).output().unwrap();
    assert_eq!(outcome(&output), told(6, ""));
}

#[test]
fn what_was_acknowledged_survives_kill_and_stays_readable_offline() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path());
    for number in 0..20 {
        assert_eq!(node.verb(&format!("kv put k{number} v{number}")).0, 0);
    }
    node.kill();
    let data = directory.path().to_str().unwrap();
    let inspect = |verb: &str| {
        let arguments = ["inspect", verb, data, "-o", "json"];
        outcome(&Command::new(BINARY).args(arguments).output().unwrap())
    };
    let (code, text) = inspect("log");
    let entries: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, entries.len()), (0, 22));
    assert_eq!(entries[20]["keys"][0]["key"], "k19");
    assert_eq!(entries[21]["last_index"], 21);
    let (code, text) = inspect("hard-state");
    let state: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, state["term"].as_i64(), state["vote"].as_i64()), (0, Some(1), Some(1)));
    let node = Node::start(directory.path());
    for number in 0..20 {
        assert_eq!(node.verb(&format!("kv get k{number}")), told(0, &format!("v{number}\n")));
    }
    assert_eq!(node.json("status")["nodes"][0]["snapshot"]["index"], 0);
    node.stop();
    let (code, text) = inspect("snapshot");
    let snapshots: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, snapshots[0]["nodes"].as_i64()), (0, Some(20)));
    let node = Node::start(directory.path());
    let status = node.json("status")["nodes"][0]["snapshot"].clone();
    assert_eq!(status["index"], snapshots[0]["index"]);
    assert_eq!(node.verb("kv get k7"), told(0, "v7\n"));
}

#[test]
fn snapshots_are_saved_and_listed_on_the_port_for_administration() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path());
    let (address, service) = node.servers.rsplit_once(':').unwrap();
    let admin = format!("{address}:{}", service.parse::<u16>().unwrap() - 1);
    let (list, save) =
        (format!("snapshot list --admin {admin}"), format!("snapshot save --admin {admin}"));
    let (code, text) = node.verb(&list);
    assert!(code == 0 && text.ends_with("\n1     none\n"), "{code} {text}");
    let saved = |number: u32| {
        assert_eq!(node.verb(&format!("kv put k v{number}")).0, 0);
        let saved = node.json(&save)["nodes"][0]["snapshots"][0].clone();
        // Nothing has changed: it is the same one.
        assert_eq!(node.json(&save)["nodes"][0]["snapshots"][0]["index"], saved["index"]);
        saved
    };
    let [first, second, third] = [1, 2, 3].map(saved);
    assert!(first["bytes"].as_u64().unwrap() >= 3 * 4096, "{first}");
    assert_eq!(second["index"].as_u64(), first["index"].as_u64().map(|index| index + 1));
    let listed = node.json(&list);
    let indexes: Vec<_> = listed["nodes"][0]["snapshots"].as_array().unwrap().iter().collect();
    assert_eq!(indexes.len(), 2, "{listed}");
    assert_eq!((&indexes[0]["index"], &indexes[1]["index"]), (&second["index"], &third["index"]));
    assert_eq!(listed["nodes"][0]["is_saving"], false);
    // Clients have another port, other groups are none of this node, and nobody answers elsewhere.
    assert_eq!(node.verb(&format!("snapshot save --admin {}", node.servers)).0, 5);
    assert_ne!(node.verb(&format!("{list} --group 7")).0, 0);
    let (code, text) = node.verb("-o json snapshot list --admin 1=127.0.0.1:1 --timeout 1s");
    assert!(code == 6 && text.contains("\"error\""), "{code} {text}");
}

#[test]
fn a_second_node_on_the_same_data_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _node = Node::start(directory.path());
    let port = base_port().to_string();
    let mut second = Command::new(BINARY)
        .args(["dev", "--base-port", &port, "--keep"])
        .arg(directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A node that serves prints a line; one that is refused ends without a word on this side.
    let first_line = BufReader::new(second.stdout.take().unwrap()).lines().next();
    if first_line.is_some() {
        second.kill().unwrap();
    }
    let second = second.wait_with_output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let message = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(message.contains("cannot be used"), "{message}");
}

#[test]
fn a_load_is_measured_recorded_and_verified() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path());
    let record = directory.path().join("record");
    let record = record.to_str().unwrap();
    let load = "--in-flight 16 --keys 100 --warm-up 100ms --duration 300ms";
    let report = node.json(&format!("bench put {load} --record {record}"));
    assert!(report["ops"].as_u64().unwrap() > 0);
    assert_eq!(report["errors"], 0);
    let (code, text) = node.verb(&format!("bench verify {record}"));
    assert!(code == 0 && text.ends_with(" keys read, 0 lost\n"), "{text}");
    assert!(node.json(&format!("bench get {load}"))["ops"].as_u64().unwrap() > 0);
    assert_eq!(node.verb("kv del benchmark.none").0, 3);
    // A record of another run: its puts are not there.
    assert_eq!(node.verb(&format!("bench verify {record} --directory other")).0, 9);
}

#[test]
fn watchers_and_locks_are_measured() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path());
    let load = "--in-flight 16 --keys 100 --warm-up 100ms --duration 300ms";
    let report = node.json(&format!("bench watch {load} --watchers 20 --rate 500"));
    assert_eq!((&report["watchers_up_to_date"], &report["errors"]), (&20.into(), &0.into()));
    assert!(report["told_per_s"].as_f64().unwrap() > 20.0, "{report}");
    // The second run finds nothing that the first one holds.
    for _ in 0..2 {
        let report = node.json(&format!("bench lock {load} --locks 5"));
        assert_eq!(report["errors"], 0);
        assert!(report["handovers_per_s"].as_f64().unwrap() > 10.0, "{report}");
    }
}

#[test]
fn the_shell_runs_scripts_from_standard_input() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path());
    let shell = |script: &str| {
        let output = node.run(&["shell"], script.as_bytes());
        let message = String::from_utf8(output.stderr.clone()).unwrap();
        (outcome(&output), message)
    };
    let script = "# a comment\nmkdir d\n\nput d.k 'two words'\nkv get d.k\nls d\nexit\nget never\n";
    let (done, message) = shell(script);
    assert_eq!((done.0, message.as_str()), (0, ""));
    let made = "created at index 2\ncreated at index 3\ntwo words\n";
    assert!(done.1.starts_with(made) && done.1.contains('k'), "{}", done.1);
    // It ends with the code of the first line that fails.
    let (done, message) = shell("get d.k\nget d.none\nput d.k never\n");
    assert_eq!(done, told(3, "two words\n"));
    assert!(message.contains("line 2: "), "{message}");
    assert_eq!(node.verb("kv get d.k"), told(0, "two words\n"));
    for (line, what) in [
        ("fetch a", "fetch"),
        ("put d.k 'x", "has no end"),
        ("put d.k -", "stand in the line"),
        ("txn", "stand in the line"),
    ] {
        let (done, message) = shell(line);
        assert!(done.0 == 2 && message.contains(what), "{line}: {message}");
    }
    assert!(shell("help").0.1.contains("mkdir"));
}
