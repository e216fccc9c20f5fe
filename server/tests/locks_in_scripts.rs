//! `lock`, `elect` and `watch` as scripts use them: the real binary and commands under it.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/development.rs"]
mod development;
#[path = "support/process.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod process;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use client::LockOptions;
use client::blocking::Client;
use tempfile::TempDir;

use crate::process::{DEADLINE, NodeProcess, Ports, directory, dongting};

struct Cluster {
    node: NodeProcess,
    ports: Ports,
    directory: TempDir,
}

impl Cluster {
    fn start() -> Cluster {
        let (directory, ports) = (directory(), Ports::choose());
        let mut node = development::dev(&directory.path().join("data"), ports);
        node.wait_ready();
        Cluster { node, ports, directory }
    }

    /// A verb with these words before a script that comes behind `--`, if there is one.
    fn command(&self, line: &str, script: &str) -> Command {
        let servers = format!("--servers=1={}", self.ports.service);
        let mut command = dongting([servers.as_str()]);
        command.args(line.split(' ')).env("PATH", "/usr/bin:/bin");
        if !script.is_empty() {
            command.args(["--", "/bin/sh", "-c", script]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Code, standard output and standard error of a verb.
    fn run(&self, line: &str, script: &str) -> (i32, String, String) {
        finish(self.command(line, script).spawn().unwrap())
    }

    fn client(&self) -> Client {
        Client::new(self.ports.client()).unwrap()
    }

    fn file(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }
}

fn finish(child: Child) -> (i32, String, String) {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn signal(name: &str, process: u32) {
    let status = Command::new("kill").args([name, &process.to_string()]).status().unwrap();
    assert!(status.success());
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The number that a script has written to a file.
fn number_in(file: &str) -> u32 {
    let read = || fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    wait_for("a number", || read().is_some());
    read().unwrap()
}

fn is_running(process: u32) -> bool {
    // A zombie waits only for somebody who wants to know how it has ended.
    let status = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat"));
    status.is_ok_and(|text| !text.rsplit(')').next().unwrap_or("").starts_with(" Z"))
}

#[test]
fn the_command_has_the_token_and_its_code_is_passed_on() {
    let cluster = Cluster::start();
    let mut last = 0;
    for code in [0, 7, 255] {
        let script = format!("echo $DONGTING_LOCK $DONGTING_FENCING_TOKEN; exit {code}");
        let (ended, said, _) = cluster.run("lock l", &script);
        assert_eq!(ended, code);
        let token: u64 = said.strip_prefix("l ").unwrap().trim().parse().unwrap();
        assert!(token > last, "{token} after {last}");
        last = token;
    }
    assert_eq!(cluster.run("lock l", "kill -9 $$").0, 128 + 9);
    let file = cluster.file("no-program");
    fs::write(&file, "text").unwrap();
    for (command, code) in [("/no/such/command", 127), (&file, 126)] {
        let mut verb = cluster.command("lock l --", "");
        let (ended, _, said) = finish(verb.arg(command).spawn().unwrap());
        assert_eq!(ended, code);
        assert!(said.contains("cannot be run"), "{said}");
    }
    assert_eq!(cluster.run("lock a.b", "true").0, 5, "no parent");
    cluster.client().put(b"v", b"1").unwrap();
    assert_eq!(cluster.run("lock v", "true").0, 5, "a value");
    let mut client = cluster.client();
    let lock = client.lock(b"l", LockOptions::new(DEADLINE)).unwrap().unwrap();
    for wait in ["0s", "200ms"] {
        let (code, _, said) = cluster.run(&format!("lock l --wait {wait}"), "echo no");
        assert_eq!((code, said.as_str()), (4, "lock l is another's\n"));
    }
    client.unlock(lock).unwrap();
    assert_eq!(cluster.run("lock l --wait 0s", "true").0, 0, "everything was given back");
}

#[test]
fn a_command_is_gone_before_the_lock_is_free() {
    let mut cluster = Cluster::start();
    let obedient = cluster.file("obedient");
    // One that obeys, and one that does not, with a child of its own.
    let obeys = cluster.command(
        "lock a --ttl 2s",
        &format!(
            "trap 'echo stopped; exit 0' TERM; echo $$ > {obedient}; echo up; \
             while :; do sleep 0.02; done"
        ),
    );
    let (file, grandchild) = (cluster.file("stubborn"), cluster.file("grandchild"));
    let script = format!(
        "trap '' TERM; sleep 1000 & echo $! > {grandchild}; echo $$ > {file}; echo up; wait; wait"
    );
    let stubborn = cluster.command("lock b --ttl 2s", &script);
    let mut held = Vec::new();
    for mut command in [obeys, stubborn] {
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        held.push((child, output));
    }
    let processes = [number_in(&obedient), number_in(&file), number_in(&grandchild)];
    // The node stops at once; the last renewal was at most this long ago.
    let node = std::mem::replace(&mut cluster.node, NodeProcess::start(&mut dongting(["--help"])));
    drop(node);
    let start = Instant::now();
    wait_for("all of it is gone", || !processes.into_iter().any(is_running));
    let lasted = start.elapsed();
    assert!(lasted < Duration::from_secs(2) && lasted > Duration::from_millis(300), "{lasted:?}");
    for (child, mut output) in held {
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        let (code, _, said) = finish(child);
        assert_eq!(code, 10, "{said}");
        assert!(said.contains("was lost"), "{said}");
        assert!(rest.is_empty() || rest == "stopped\n", "{rest}");
    }
}

#[test]
fn signals_are_passed_on_and_the_lock_is_free_at_once() {
    let cluster = Cluster::start();
    let started = cluster.file("started");
    let script = format!("trap 'exit 5' TERM; echo 1 > {started}; while :; do sleep 0.02; done");
    let holder = cluster.command("lock l --ttl 60s", &script).spawn().unwrap();
    number_in(&started);
    // Another one waits for its turn and is told to stop.
    let waiter = cluster.command("lock l", "echo no").spawn().unwrap();
    wait_for("a place in the queue", || {
        cluster.client().list(b"l").is_ok_and(|entries| entries.len() == 2)
    });
    signal("-INT", waiter.id());
    assert_eq!(finish(waiter).0, 128 + 2);
    signal("-TERM", holder.id());
    assert_eq!(finish(holder).0, 5, "the command's own code");
    assert_eq!(cluster.run("lock l --wait 0s", "true").0, 0);
}

#[test]
fn the_next_is_elected_when_the_first_dies() {
    let cluster = Cluster::start();
    let (first, second) = (cluster.file("first"), cluster.file("second"));
    let script =
        |file: &str| format!("echo $DONGTING_FENCING_TOKEN > {file}.token; echo $$ > {file}; wait");
    let hold = |file: &str| format!("{}; sleep 1000", script(file));
    let mut one = cluster.command("elect e --ttl 1s", &hold(&first)).spawn().unwrap();
    let leader = number_in(&first);
    let two = cluster.command("elect e --ttl 1s", &script(&second)).spawn().unwrap();
    one.kill().unwrap();
    one.wait().unwrap();
    wait_for("the command dies with its parent", || !is_running(leader));
    number_in(&second);
    assert_eq!(finish(two).0, 0, "its command has ended by itself");
    let tokens = [first, second].map(|file| number_in(&format!("{file}.token")));
    assert!(tokens[0] < tokens[1], "{tokens:?}");
}

#[test]
fn watches_print_or_run() {
    let cluster = Cluster::start();
    let mut client = cluster.client();
    let index = client.put(b"k", b"one").unwrap().raft_index;
    assert_eq!(cluster.run("watch k --count 1", ""), told(0, &format!("{index} value one\n")));
    let mut watch = cluster.command("watch k --count 2 -o json", "");
    let mut child = watch.arg(format!("--newer-than={index}")).spawn().unwrap();
    // No news is no output: the first line is that of the next state.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    wait_for("a watch", || {
        client.put(b"other", b"x").unwrap();
        client.kv_status(client::NodeId(1)).is_ok()
    });
    client.mkdir(b"d").unwrap();
    let removed = client.remove(b"k").unwrap().raft_index;
    let line: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(line["index"].as_u64(), Some(removed));
    assert_eq!(
        (line["state"].as_str(), &line["value"]),
        (Some("missing"), &serde_json::Value::Null)
    );
    client.put(b"k", b"two").unwrap();
    let line: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!((line["state"].as_str(), line["value"].as_str()), (Some("value"), Some("two")));
    assert!(child.wait().unwrap().success());
    let script = "printf '%s %s ' $DONGTING_KEY $DONGTING_STATE; cat; echo; exit 3";
    assert_eq!(cluster.run("watch k", script), told(3, "k value two\n"));
    assert_eq!(cluster.run("watch d --count 1", "echo $DONGTING_STATE"), told(0, "directory\n"));
    assert_eq!(cluster.run("watch a..b", "").0, 5);
}

#[test]
fn a_watch_from_an_index_tells_every_change() {
    let cluster = Cluster::start();
    let mut client = cluster.client();
    let made = client.mkdir(b"d").unwrap().raft_index;
    for value in ["one", "two", "three"] {
        client.put(b"d.k", value.as_bytes()).unwrap();
        client.put(b"other", b"x").unwrap();
    }
    let removed = client.remove(b"d.k").unwrap().raft_index;
    let watch = |text: &str| cluster.run(&format!("watch d --count {text}"), "");
    let put = |place: u64, value| format!("{} changed d.k value {value}\n", made + place);
    let gone = format!("{removed} changed d.k missing\n");
    let expected = [put(1, "one"), put(3, "two"), put(5, "three"), gone].concat();
    assert_eq!(watch(&format!("4 --from {}", made + 1)), told(0, &expected));
    let state = format!("0 resync\n{removed} state d directory\n");
    assert_eq!(watch("1 --from 0"), told(0, &state));
    let script = "echo $DONGTING_EVENT $DONGTING_KEY $DONGTING_STATE; cat; echo; exit 3";
    let run = cluster.run(&format!("watch d --from {}", made + 3), script);
    assert_eq!(run, told(3, "changed d.k value\ntwo\n"));
    assert_eq!(cluster.run("watch a..b --from 0", "").0, 5);
    assert_eq!(cluster.run("watch d --from 0 --newer-than 1", "").0, 2);
}

#[test]
fn what_is_temporary_is_renewed_by_its_owner_alone() {
    let cluster = Cluster::start();
    let (code, said, _) = cluster.run("kv put t v --ttl 60s", "");
    let identity = said.trim().rsplit(' ').next().unwrap().to_owned();
    assert_eq!((code, identity.len()), (0, 32), "{said}");
    assert_eq!(cluster.run("kv ttl t 60s", "").0, 5);
    assert_eq!(cluster.run(&format!("kv ttl t 60s --identity {identity}"), "").0, 0);
    let (code, said, _) = cluster.run(&format!("kv put t w --ttl 50ms --identity {identity}"), "");
    assert_eq!((code, said.starts_with("replaced")), (0, true), "{said}");
    wait_for("it goes", || cluster.run("kv get t", "").0 == 3);
    assert_eq!(cluster.run("kv mkdir d --ttl 60s", "").0, 0);
    assert_eq!(cluster.run("kv put d.k v", "").0, 0);
    assert_eq!(cluster.run("kv put t v --ttl 0s", "").0, 5);
    assert_eq!(cluster.run("kv ttl none 1s", "").0, 3);
}

fn told(code: i32, text: &str) -> (i32, String, String) {
    (code, text.to_owned(), String::new())
}
