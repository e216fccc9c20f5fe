//! `serve` and `dev`: a node in the foreground.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::{env, fs, process, thread};

use runtime::StopHandle;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{info, warn};
use tracing_subscriber::filter::LevelFilter;

use super::configuration;
use super::exit::{Exit, Failure};
use crate::config::{Config, Level, Trace, TraceFormat};
use crate::node;

/// Runs a node until it is asked to stop.
pub(super) fn serve(file: &Path) -> Result<(), Failure> {
    run(configuration::load(file)?)
}

/// Runs a development node until it is asked to stop.
pub(super) fn dev(keep: Option<PathBuf>, base_port: u16) -> Result<(), Failure> {
    let Some(directory) = keep else {
        let temporary = TemporaryDirectory::create()?;
        return run(Config::dev(1, base_port, temporary.path.clone()));
    };
    run(Config::dev(1, base_port, directory))
}

fn run(config: Config) -> Result<(), Failure> {
    start_tracing(&config.trace);
    let stop = StopHandle::new();
    stop_on_signals(stop.clone())?;
    let (id, data_dir) = (config.node.id, config.node.data_dir.clone());
    info!(node = id, data_dir = %data_dir.display(), "starting");
    if !config.raft.sync_force {
        warn!("raft.sync_force is false: a power failure loses acknowledged writes");
    }
    node::serve(config, stop, move |ready| {
        let (service, replicate) = (ready.service, ready.replicate);
        info!(node = id, %service, %replicate, "ready");
    })?;
    info!(node = id, "stopped");
    Ok(())
}

/// Lets SIGINT and SIGTERM stop the node; a second one ends the process at once.
fn stop_on_signals(stop: StopHandle) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let wait = move || {
        for _ in signals.forever() {
            if stop.is_stopped() {
                warn!("asked to stop for the second time: ending without waiting");
                process::exit(Exit::Other as i32);
            }
            info!("asked to stop");
            stop.stop();
        }
    };
    // Not joined: it waits for signals as long as the process lives.
    thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(())
}

fn start_tracing(trace: &Trace) {
    let level = match trace.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr);
    match trace.format {
        TraceFormat::Text => lines.with_ansi(io::stderr().is_terminal()).init(),
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
