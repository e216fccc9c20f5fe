//! `lock` and `elect`: a command that runs only while this process holds a lock.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Args;
use client::blocking::{Client, HeldLock};
use client::{Event, LockEvent, LockId, LockOptions};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::bytes::printable;
use super::command::{RunningCommand, pass_on};
use super::exit::{Exit, Failure};
use crate::config::parse_duration;

#[derive(Args, Debug)]
pub(super) struct LockArguments {
    #[command(flatten)]
    pub(super) lease: LeaseArguments,
    /// How long to wait for the lock: 0s tries once; for ever without it.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(super) wait: Option<Duration>,
    #[command(flatten)]
    pub(super) run: CommandArguments,
}

#[derive(Args, Debug)]
pub(super) struct ElectArguments {
    #[command(flatten)]
    pub(super) lease: LeaseArguments,
    #[command(flatten)]
    pub(super) run: CommandArguments,
}

#[derive(Args, Debug)]
pub(super) struct LeaseArguments {
    /// The lock, components separated by dots.
    pub(super) name: OsString,
    /// How soon another one may hold the lock if nothing is heard of this process: at least 1s.
    #[arg(long, value_name = "TIME", value_parser = parse_lease, default_value = "10s")]
    pub(super) ttl: Duration,
}

#[derive(Args, Debug)]
pub(super) struct CommandArguments {
    /// What to run, in a process group of its own, with DONGTING_LOCK and DONGTING_FENCING_TOKEN in
    /// its environment. It is stopped before another process can hold the lock.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

fn parse_lease(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        lease if lease < Duration::from_secs(1) => Err("a lease is at least 1s".to_owned()),
        lease => Ok(lease),
    }
}

/// How often to look after the command and the signals.
const LOOK: Duration = Duration::from_millis(20);

/// Runs the command once under the lock.
pub(super) fn run(arguments: &LockArguments, client: &mut Client) -> Result<(), Failure> {
    let name = arguments.lease.name.as_bytes();
    let signals = Signals::watch()?;
    let wait = arguments.wait.unwrap_or(Duration::MAX);
    let lock = acquire(client, &arguments.lease, wait, &signals)?.ok_or_else(|| {
        Failure::new(Exit::Conflict, format!("lock {} is another's", printable(name)))
    })?;
    match hold(client, &arguments.lease, lock, &arguments.run.command, &signals)? {
        Ended::ByItself(status) => pass_on(status),
        Ended::LockLost => {
            let message = format!("lock {} was lost; the command was stopped", printable(name));
            Err(Failure::new(Exit::Lost, message))
        }
    }
}

/// Runs the command whenever this process has the lock, until the command ends by itself.
pub(super) fn elect(arguments: &ElectArguments, client: &mut Client) -> Result<(), Failure> {
    let signals = Signals::watch()?;
    loop {
        let lock = acquire(client, &arguments.lease, Duration::MAX, &signals)?;
        let Some(lock) = lock else { continue };
        match hold(client, &arguments.lease, lock, &arguments.run.command, &signals)? {
            Ended::ByItself(status) => return pass_on(status),
            Ended::LockLost if signals.taken() => return Err(signals.failure()),
            Ended::LockLost => {}
        }
    }
}

/// Why the command runs no more.
enum Ended {
    ByItself(ExitStatus),
    LockLost,
}

fn acquire(
    client: &mut Client,
    lease: &LeaseArguments,
    wait: Duration,
    signals: &Signals,
) -> Result<Option<HeldLock>, Failure> {
    let options = LockOptions::new(lease.ttl).waiting(wait);
    let id = client.start_lock(lease.name.as_bytes(), options)?;
    loop {
        match client.next_event(LOOK) {
            Some(Event::Lock(other, event)) if other == id => match event {
                LockEvent::Acquired { fencing_token } => {
                    return Ok(Some(HeldLock { id, fencing_token }));
                }
                event => {
                    give_back(client, id);
                    return match event {
                        LockEvent::Failed(error) => Err(error.into()),
                        _ => Ok(None),
                    };
                }
            },
            _ if signals.taken() => {
                give_back(client, id);
                return Err(signals.failure());
            }
            _ => {}
        }
    }
}

/// Runs the command as long as the lock is held.
fn hold(
    client: &mut Client,
    lease: &LeaseArguments,
    lock: HeldLock,
    command: &[OsString],
    signals: &Signals,
) -> Result<Ended, Failure> {
    let token = OsString::from(lock.fencing_token.to_string());
    let environment =
        [("DONGTING_LOCK", &*lease.name), ("DONGTING_FENCING_TOKEN", OsStr::new(&token))];
    let mut running = match RunningCommand::start(command, &environment) {
        Ok(running) => running,
        Err(failure) => {
            give_back(client, lock.id);
            return Err(failure);
        }
    };
    let (mut warned, mut passed_on) = (false, 0);
    let ended = loop {
        client.next_event(LOOK);
        if let Some(status) = running.ended()? {
            break if warned { Ended::LockLost } else { Ended::ByItself(status) };
        }
        let signal = signals.latest();
        if signal != passed_on {
            running.signal(signal);
            passed_on = signal;
        }
        match client.held_for(&lock) {
            Some(left) if left > lease.ttl / 4 => {}
            Some(left) if left > lease.ttl / 8 => {
                if !warned {
                    running.signal(SIGTERM);
                    warned = true;
                }
            }
            _ => {
                running.kill()?;
                break Ended::LockLost;
            }
        }
    };
    give_back(client, lock.id);
    Ok(ended)
}

/// Gives the lock back. If that fails it is free when its lease ends, and nothing is lost.
fn give_back(client: &mut Client, lock: LockId) {
    let _ = client.cancel_lock(lock);
}

/// The signals that ask this process to end.
struct Signals(Arc<AtomicUsize>);

impl Signals {
    fn watch() -> Result<Signals, Failure> {
        let latest = Arc::new(AtomicUsize::new(0));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::flag::register_usize(signal, latest.clone(), signal as usize).map_err(
                |error| Failure::new(Exit::Other, format!("cannot handle signals: {error}")),
            )?;
        }
        Ok(Signals(latest))
    }

    /// The number of the last one that came; 0 if none did.
    fn latest(&self) -> i32 {
        self.0.load(Ordering::Relaxed) as i32
    }

    fn taken(&self) -> bool {
        self.latest() != 0
    }

    /// Ends as if the signal had ended this process.
    fn failure(&self) -> Failure {
        Failure::of_command(u8::try_from(128 + self.latest()).unwrap_or(u8::MAX))
    }
}
