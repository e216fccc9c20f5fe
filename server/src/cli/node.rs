//! `serve` and `dev`: a node in the foreground.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::{env, fs, io, process, thread};

use runtime::StopHandle;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::level_filters::LevelFilter;
use tracing::{info, warn};

use super::configuration;
use super::exit::{Exit, Failure};
use crate::config::{Config, Level, Trace, TraceFormat};
use crate::node::{self, Ready};

/// Runs a node until it is asked to stop.
pub(super) fn serve(file: &Path) -> Result<(), Failure> {
    run(configuration::load(file)?, StopHandle::new(), |_| {})
}

/// Runs a node for a parent process, which holds this one's standard input: when that ends, because
/// the parent wants it or is gone, the node stops.
pub(super) fn serve_managed(file: &Path) -> Result<(), Failure> {
    let config = configuration::load(file)?;
    let stop = StopHandle::new();
    let asked = stop.clone();
    // Not joined: it waits for the parent as long as the process lives.
    thread::spawn(move || {
        // Nothing is said there; whether it ends or fails, nobody holds this process any more.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        asked.stop();
    });
    // The parent may be gone already; then the node is stopping.
    run(config, stop, |_| drop(writeln!(io::stdout(), "ready")))
}

/// Runs a development node until it is asked to stop.
pub(super) fn dev(keep: Option<PathBuf>, base_port: u16) -> Result<(), Failure> {
    let Some(directory) = keep else {
        let temporary = TemporaryDirectory::create()?;
        let config = Config::dev(1, base_port, temporary.path.clone());
        return run(config, StopHandle::new(), introduce);
    };
    run(Config::dev(1, base_port, directory), StopHandle::new(), introduce)
}

fn run(config: Config, stop: StopHandle, on_ready: fn(Ready)) -> Result<(), Failure> {
    start_trace(&config.trace);
    stop_on_signals(&stop)?;
    let id = config.node.id;
    info!(node = id, data_dir = %config.node.data_dir.display(), "starting");
    if !config.raft.sync_force {
        warn!("raft.sync_force is false: a power failure loses acknowledged writes");
    }
    node::serve(config, stop, move |ready| {
        info!(node = id, service = %ready.service, replicate = %ready.replicate, "ready");
        on_ready(ready);
    })?;
    info!(node = id, "stopped");
    Ok(())
}

/// Says where a development node is and what to try first.
fn introduce(ready: Ready) {
    let service = ready.service;
    let servers = match service.port() {
        9332 => String::new(),
        _ => format!("--servers 1={service} "),
    };
    let text = format!(
        "ready: clients {service}, replication and administration {}\n\
         try, in another terminal:\n  \
         dongting {servers}kv put greeting hello\n  \
         dongting {servers}kv get greeting\n  \
         dongting {servers}bench put\n",
        ready.replicate
    );
    // Nobody may be reading, or not after the first line; the node serves all the same. All at once,
    // so that nothing of it is left for the end, where it would count as a result that was lost.
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Has the signals of an orderly end use the node's stop handle. A second signal ends at once:
/// nothing acknowledged is lost by that.
fn stop_on_signals(stop: &StopHandle) -> Result<(), Failure> {
    let cannot = |error| Failure::new(Exit::Other, format!("cannot handle signals: {error}"));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(cannot)?;
    let asked = stop.clone();
    // Not joined: it waits for signals as long as the process lives.
    thread::spawn(move || {
        for signal in signals.forever() {
            if asked.is_stopped() {
                process::exit(128 + signal);
            }
            info!("asked to stop");
            asked.stop();
        }
    });
    Ok(())
}

/// Sends the node's log lines to standard error.
fn start_trace(trace: &Trace) {
    let level = match trace.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr);
    let lines = lines.with_ansi(io::stderr().is_terminal());
    match trace.format {
        TraceFormat::Text => lines.with_target(false).init(),
        TraceFormat::Json => lines.json().init(),
    }
}

/// A directory of this process alone, removed with everything in it when dropped.
struct TemporaryDirectory {
    path: PathBuf,
}

impl TemporaryDirectory {
    fn create() -> Result<TemporaryDirectory, Failure> {
        let path = env::temp_dir().join(format!("dongting-dev-{}", process::id()));
        match fs::create_dir(&path) {
            Ok(()) => Ok(TemporaryDirectory { path }),
            Err(error) => {
                let message = format!("cannot make {}: {error}; use --keep DIR", path.display());
                Err(Failure::new(Exit::Other, message))
            }
        }
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        // A leftover in the temporary directory is harmless, and there is nobody to tell.
        let _ = fs::remove_dir_all(&self.path);
    }
}
