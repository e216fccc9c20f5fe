//! Measures a group of one on this machine's disk: commits and restarts.
//!
//! `speed DIRECTORY [SECONDS]`: depth 1 against bare writes, depth 2,000, then the restart of a
//! log of one gibibyte of 256-byte payloads. The directory must be on a real disk.

#![expect(clippy::print_stdout, reason = "it prints its results")]

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use raft_core::{Config, GroupId, NodeId, RaftOptions};
use raft_host::{
    Entry, Group, GroupError, GroupOptions, Identity, LoadFault, Refusal, SnapshotPiece,
    StateMachine,
};
use runtime::{
    BLOCK, BootError, BootPlan, OpenOptions, Shard, ShardPlacement, Signal, StopHandle, boot,
};

/// Does nothing but answer.
struct Nothing {
    answered: Rc<Answered>,
}

#[derive(Default)]
struct Answered {
    count: Cell<u64>,
    applied: Cell<u64>,
    more: Signal,
}

impl StateMachine for Nothing {
    type Caller = ();

    fn apply(&mut self, _: Entry<'_>, caller: Option<()>) {
        self.answered.applied.set(self.answered.applied.get() + 1);
        if caller.is_some() {
            self.answered.count.set(self.answered.count.get() + 1);
        }
    }

    fn refuse(&mut self, (): (), refusal: Refusal) {
        println!("refused: {refusal:?}");
    }

    fn begin_snapshot(&mut self, _: usize, _: &mut Vec<u8>) {}

    fn snapshot_piece(&mut self, _: usize, _: &mut Vec<u8>) -> SnapshotPiece {
        SnapshotPiece::Last
    }

    fn end_snapshot(&mut self) {}

    fn begin_load(&mut self) {}

    fn load(&mut self, _: &[u8]) -> Result<(), LoadFault> {
        Ok(())
    }

    fn prepare_load(&mut self) -> Result<bool, LoadFault> {
        Ok(true)
    }

    fn finish_load(&mut self) {}

    fn drop_replaced(&mut self) -> bool {
        false
    }

    fn batch_end(&mut self) {
        self.answered.more.set();
    }
}

/// Whatever went wrong, as text.
#[derive(Debug)]
struct SpeedError(#[expect(dead_code, reason = "shown by main")] String);

impl From<BootError> for SpeedError {
    fn from(error: BootError) -> SpeedError {
        SpeedError(error.to_string())
    }
}

impl From<GroupError> for SpeedError {
    fn from(error: GroupError) -> SpeedError {
        SpeedError(error.to_string())
    }
}

impl From<std::io::Error> for SpeedError {
    fn from(error: std::io::Error) -> SpeedError {
        SpeedError(error.to_string())
    }
}

fn main() -> Result<(), SpeedError> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().unwrap_or_else(|| "speed-data".to_owned()));
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(3);
    std::fs::create_dir_all(&directory)?;
    let plan = BootPlan::new(ShardPlacement::Count(1), directory);
    boot(plan, StopHandle::new(), move |shard| async move {
        bare_writes(&shard).await?;
        for depth in [1, 64, 2000, 20_000] {
            proposals(&shard, depth, 300, Duration::from_secs(seconds)).await?;
        }
        restart(&shard).await
    })
}

fn options(dir: &str) -> GroupOptions {
    let node = NodeId(1);
    let identity = Identity { cluster: 1, group: GroupId(0) };
    GroupOptions::new(dir, identity, RaftOptions::new(node, 1), Config::of([node], []))
}

async fn fresh(shard: &Shard, answered: &Rc<Answered>) -> Result<Group<Nothing>, SpeedError> {
    if shard.storage().exists("group").await? {
        shard.storage().remove_dir_all("group").await?;
    }
    let machine = Nothing { answered: Rc::clone(answered) };
    let group = Group::open(shard, options("group"), machine).await?;
    group.serving().await?;
    Ok(group)
}

async fn bare_writes(shard: &Shard) -> Result<(), SpeedError> {
    let storage = shard.storage();
    if storage.exists("bare").await? {
        storage.remove_file("bare").await?;
    }
    let create = OpenOptions { write: true, create: true, dsync: false };
    let file = storage.open("bare", create).await?;
    let mut zeros = shard.buffer(1 << 20);
    zeros.fill(0);
    let zeros = zeros.freeze();
    for chunk in 0..16 {
        file.write_at(&zeros, 0..1 << 20, chunk << 20).await?;
    }
    file.sync_all().await?;
    file.close().await?;
    let file =
        storage.open("bare", OpenOptions { write: true, create: false, dsync: true }).await?;
    let mut times = Vec::new();
    for number in 0..2000u64 {
        let start = Instant::now();
        file.write_at(&zeros, 0..BLOCK, number * BLOCK as u64).await?;
        times.push(start.elapsed());
    }
    report("bare O_DSYNC write", &mut times);
    file.close().await?;
    storage.remove_file("bare").await?;
    Ok(())
}

async fn proposals(
    shard: &Shard,
    depth: u64,
    payload: usize,
    duration: Duration,
) -> Result<(), SpeedError> {
    let answered = Rc::<Answered>::default();
    let group = fresh(shard, &answered).await?;
    let payload = vec![7u8; payload];
    let (head, body) = payload.split_at(2);
    let start = Instant::now();
    let cpu = cpu_time();
    let mut proposed = 0;
    let mut times = Vec::new();
    while start.elapsed() < duration {
        let sent = Instant::now();
        while proposed - answered.count.get() < depth {
            match group.propose([head, body], ()) {
                Ok(()) => proposed += 1,
                Err(((), refusal)) => {
                    println!("{refusal:?}");
                    break;
                }
            }
        }
        answered.more.wait().await;
        if depth == 1 {
            times.push(sent.elapsed());
        }
    }
    let elapsed = start.elapsed().as_secs_f64();
    let cpu = (cpu_time() - cpu).as_secs_f64();
    let count = answered.count.get();
    println!(
        "depth {depth}: {:.0} k/s, {:.0} ns CPU each, {count} in {elapsed:.1} s",
        count as f64 / elapsed / 1000.0,
        cpu * 1e9 / count as f64
    );
    if depth == 1 {
        report("commit at depth 1", &mut times);
    }
    group.stop().await?;
    Ok(())
}

async fn restart(shard: &Shard) -> Result<(), SpeedError> {
    let answered = Rc::<Answered>::default();
    let group = fresh(shard, &answered).await?;
    let payload = [7u8; 256];
    let total = (1u64 << 30) / (256 + 32);
    let mut proposed = 0;
    while answered.count.get() < total {
        while proposed < total && proposed - answered.count.get() < 20_000 {
            if group.propose([&payload, &[]], ()).is_err() {
                break;
            }
            proposed += 1;
        }
        answered.more.wait().await;
    }
    group.stop().await?;
    for _ in 0..3 {
        let answered = Rc::<Answered>::default();
        let machine = Nothing { answered: Rc::clone(&answered) };
        let (start, cpu) = (Instant::now(), cpu_time());
        let group = Group::open(shard, options("group"), machine).await?;
        let (opened, cpu) = (start.elapsed(), cpu_time() - cpu);
        group.serving().await?;
        println!(
            "restart with {} entries: open {:.3} s, serving {:.3} s, {:.0} ns CPU an entry",
            answered.applied.get(),
            opened.as_secs_f64(),
            start.elapsed().as_secs_f64(),
            cpu.as_nanos() as f64 / total as f64
        );
        group.stop().await?;
    }
    shard.storage().remove_dir_all("group").await?;
    Ok(())
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 1000).copied().unwrap_or_default();
    println!("{what}: p50 {:?}, p99 {:?}, p99.9 {:?}", at(500), at(990), at(999));
}

/// CPU time of this process, from the kernel's accounts in hundredths of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
