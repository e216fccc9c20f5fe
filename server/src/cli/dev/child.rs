//! One node of a development cluster: a process of its own.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::SyncSender;
use std::{env, fs, thread};

use super::directory::ClusterDirectory;
use super::supervisor::Event;

/// A node's process.
pub(super) struct NodeProcess {
    process: Child,
    /// Its end is the order to stop.
    input: Option<ChildStdin>,
}

impl NodeProcess {
    /// Starts a node. Its log lines go to standard error with its name before them; what becomes of
    /// it is told to `events`, under `life`.
    pub(super) fn start(
        directory: &ClusterDirectory,
        node: u32,
        life: u64,
        events: &SyncSender<Event>,
    ) -> io::Result<NodeProcess> {
        let mut process = Command::new(env::current_exe()?)
            .args(["serve", "--managed", "--config"])
            .arg(directory.configuration(node))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A key pressed at the terminal is for the parent, which stops its nodes in order.
            .process_group(0)
            .spawn()?;
        fs::write(directory.process_id(node), format!("{}\n", process.id()))?;
        let input = process.stdin.take();
        if let Some(lines) = process.stderr.take() {
            thread::spawn(move || prefix(node, BufReader::new(lines)));
        }
        if let Some(lines) = process.stdout.take() {
            let events = events.clone();
            thread::spawn(move || {
                for _ in BufReader::new(lines).lines().map_while(Result::ok) {
                    let _ = events.send(Event::Ready { node, life });
                }
                let _ = events.send(Event::Ended { node, life });
            });
        }
        Ok(NodeProcess { process, input })
    }

    /// Asks it to stop.
    pub(super) fn stop(&mut self) {
        self.input = None;
    }

    /// How it has ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Ends it at once and waits for that.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        self.process.wait()
    }
}

/// Writes lines to standard error with the node's name before each.
fn prefix(node: u32, lines: impl BufRead) {
    for line in lines.lines().map_while(Result::ok) {
        // Nobody may be reading; the node serves all the same.
        let _ = writeln!(io::stderr(), "node{node} | {line}");
    }
}
