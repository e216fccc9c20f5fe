//! The built binary as a node in a process of its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio, id};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use client::{NodeId, Options, Server, new_process_id};
use tempfile::TempDir;

/// Longer than anything takes that ends at all, on a machine with much else to do.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The binary with these arguments, without the environment of this process.
pub(crate) fn dongting<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dongting"));
    command.args(arguments).env_clear();
    command
}

/// A directory on the disk of the build; memory keeps nothing.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A node that runs until it is told to stop, or dropped, which ends it as `kill -9` does.
pub(crate) struct NodeProcess {
    child: Child,
    lines: Receiver<String>,
    /// What it has written to standard error so far.
    said: Vec<String>,
}

/// How a process ended.
pub(crate) struct Ended {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Its standard error.
    pub(crate) said: String,
}

impl NodeProcess {
    /// Starts a verb that runs a node.
    pub(crate) fn start(command: &mut Command) -> NodeProcess {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stderr.take().unwrap());
        // Ends with the process, or when nobody wants its lines any more.
        thread::spawn(move || {
            output.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        NodeProcess { child, lines, said: Vec::new() }
    }

    /// Waits until it serves.
    pub(crate) fn wait_ready(&mut self) {
        let is_ready = self.wait_ready_for(DEADLINE);
        assert!(is_ready, "it does not get ready: {:#?}", self.said);
    }

    /// Waits until it serves or `time` is over; false if it does not serve.
    pub(crate) fn wait_ready_for(&mut self, time: Duration) -> bool {
        let end = Instant::now() + time;
        while let Ok(line) = self.lines.recv_timeout(end - Instant::now()) {
            let is_ready = line.contains(" ready ");
            self.said.push(line);
            if is_ready {
                return true;
            }
        }
        false
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, as a service manager does, and waits for its end.
    pub(crate) fn terminate(self) -> Ended {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.end()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let end = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(end - Instant::now()) {
                Ok(line) => self.said.push(line),
                // The end of the process has closed its standard error.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {:#?}", self.said),
            }
        }
        let code = self.child.wait().unwrap().code();
        Ended { code, said: self.said.join("\n") }
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The ports of a development node, free when they were chosen.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    /// The one before the port for nodes, which is the one before that for clients.
    pub(crate) base: u16,
    /// Where clients connect.
    pub(crate) service: SocketAddr,
}

impl Ports {
    /// Ports that nothing listens on. Below those that the system gives to outgoing connections,
    /// so that none of these takes one between two lives of a node.
    pub(crate) fn choose() -> Ports {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let start = (id() % 1000) as u16 * 20;
        for _ in 0..1000 {
            let base = 10_000 + (start + NEXT.fetch_add(3, Ordering::Relaxed)) % 20_000;
            let addresses =
                [1, 2].map(|offset| SocketAddr::from((Ipv4Addr::LOCALHOST, base + offset)));
            if addresses.into_iter().all(|address| TcpListener::bind(address).is_ok()) {
                return Ports { base, service: addresses[1] };
            }
        }
        panic!("no free ports");
    }

    /// The options of a patient client of the node.
    pub(crate) fn client(&self) -> Options {
        let server = Server { node: NodeId(1), address: self.service };
        Options { call_timeout: DEADLINE, ..Options::new(vec![server], new_process_id()) }
    }
}
