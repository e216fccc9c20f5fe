//! The scripts.

use std::time::Duration;

use raft_core::{Members as Config, NodeId};
use runtime::sim::{CrashKind, Fate, NodeKey};

use super::script::Script;
use crate::exhaust::stage::{GROUP, Settings, Stage};
use crate::violation::{Rule, Violation};
use crate::workload::{End, Errand};

/// All scripts.
pub const ALL: &[Script] = &[
    Script {
        name: "first-start",
        about: "a node starts on an empty disk and takes its first writes",
        settings: Settings::of(1),
        prepare: |_| Ok(1),
        play: |stage, _| {
            stage.start_all();
            write(stage, &[10, 5_000])
        },
        has_failures: false,
    },
    Script {
        name: "segments",
        about: "writes go over the ends of two log files",
        settings: Settings::of(1),
        prepare: serve_alone,
        play: |stage, _| write(stage, &[20_000; 8]),
        has_failures: false,
    },
    Script {
        name: "torn-tail",
        about: "a node starts on a log whose end is torn, and takes writes",
        settings: Settings::of(1),
        prepare: tear_tail,
        play: |stage, _| {
            stage.start_all();
            write(stage, &[300, 9_000])
        },
        has_failures: false,
    },
    Script {
        name: "failing-disk",
        about: "an operation fails, or the disk is full, while a node starts and takes writes",
        settings: Settings::of(1),
        prepare: |stage| {
            serve_alone(stage)?;
            stage.crash(1, CrashKind::Kill);
            Ok(1)
        },
        play: play_failing,
        has_failures: true,
    },
    Script {
        name: "snapshot-save",
        about: "a snapshot is saved while writes go on, and the log before it is dropped",
        settings: Settings { snapshot_kib: 64, ..Settings::of(1) },
        prepare: serve_alone,
        play: |stage, _| {
            write(stage, &[20_000; 12])?;
            stage.until("the log is dropped", |stage| !has_whole_log(stage, 1))
        },
        has_failures: false,
    },
    Script {
        name: "snapshot-install",
        about: "a member that was away is sent a snapshot and begins its log behind it",
        settings: Settings { snapshot_kib: 64, ..Settings::of(3) },
        prepare: leave_behind,
        play: |stage, victim| {
            stage.start(victim);
            stage.until("the member has caught up", Stage::is_settled)?;
            write(stage, &[10])
        },
        has_failures: false,
    },
    Script {
        name: "vote",
        about: "a member votes for the one that is to lead, and follows it",
        settings: Settings::of(3),
        prepare: |stage| Ok(serve(stage)?.voter),
        play: hand_over,
        has_failures: false,
    },
    Script {
        name: "lead",
        about: "a member is handed the leadership over, and leads",
        settings: Settings::of(3),
        prepare: |stage| Ok(serve(stage)?.heir),
        play: hand_over,
        has_failures: false,
    },
    Script {
        name: "conflict",
        about: "a former leader cuts the entries off that only it has",
        settings: Settings::of(3),
        prepare: write_apart,
        play: |stage, _| {
            stage.world.network().heal_all();
            stage.until("the conflict is over", Stage::is_settled)
        },
        has_failures: false,
    },
    Script {
        name: "change",
        about: "a leader of two takes a third member in",
        settings: Settings { founders: 2, ..Settings::of(3) },
        prepare: |stage| Ok(serve(stage)?.leader),
        play: take_in,
        has_failures: false,
    },
    Script {
        name: "join",
        about: "a node becomes the third member of two",
        settings: Settings { founders: 2, ..Settings::of(3) },
        prepare: |stage| serve(stage).map(|_| 3),
        play: take_in,
        has_failures: false,
    },
];

/// The script of this name.
pub fn named(name: &str) -> Option<&'static Script> {
    ALL.iter().find(|script| script.name == name)
}

/// Writes these, one after the other.
fn write(stage: &mut Stage, sizes: &[usize]) -> Result<(), Violation> {
    stage.write(sizes);
    stage.until("everything is written", Stage::has_written)
}

fn serve_alone(stage: &mut Stage) -> Result<u16, Violation> {
    serve(stage).map(|_| 1)
}

/// Who is what once a group serves.
struct Cast {
    leader: u16,
    /// The lowest of the other members; the leader, when there is none.
    heir: u16,
    /// The highest of them.
    voter: u16,
}

fn serve(stage: &mut Stage) -> Result<Cast, Violation> {
    stage.start_all();
    stage.until("the servers serve", Stage::is_settled)?;
    write(stage, &[700])?;
    stage.until("the servers are level", Stage::is_settled)?;
    let leader = stage.leader().unwrap_or(1);
    let founders = 1..=stage.settings.founders;
    let mut others = founders.filter(|number| *number != leader);
    let heir = others.next().unwrap_or(leader);
    Ok(Cast { leader, heir, voter: others.next_back().unwrap_or(heir) })
}

/// Loses power while a write of two blocks is in flight, of which one sector more than the first block
/// gets to the disk.
fn tear_tail(stage: &mut Stage) -> Result<u16, Violation> {
    serve_alone(stage)?;
    stage.write(&[6_000]);
    let node = NodeKey(1);
    stage.until("a write is in flight", |stage| {
        stage.world.disk(node).writes_in_flight() > 0 && stage.ledger.counts().0 == 2
    })?;
    let torn = stage.world.disk(node).crash_point();
    let torn = torn.disk_after(CrashKind::PowerLoss, &[Fate::Head(9); 8]);
    stage.crash(1, CrashKind::PowerLoss);
    stage.world.disk(node).restore(&torn);
    Ok(1)
}

fn play_failing(stage: &mut Stage, victim: u16) -> Result<(), Violation> {
    stage.start_all();
    stage.write(&[3_000, 20_000, 20_000, 20_000]);
    stage.until("everything is written, or the node has ended", |stage| {
        stage.has_written() || !stage.is_running(victim)
    })
}

/// A member is down while the others drop the log that it lacks.
fn leave_behind(stage: &mut Stage) -> Result<u16, Violation> {
    let Cast { leader, voter, .. } = serve(stage)?;
    stage.crash(voter, CrashKind::PowerLoss);
    write(stage, &[20_000; 12])?;
    stage.until("the log is dropped", |stage| !has_whole_log(stage, leader))?;
    Ok(voter)
}

/// Whether the log of a server begins with its first entry.
fn has_whole_log(stage: &Stage, number: u16) -> bool {
    stage.log_begins_behind(number) == Some(0)
}

fn hand_over(stage: &mut Stage, _: u16) -> Result<(), Violation> {
    let leader = stage.leader().unwrap_or(1);
    let heir = stage.nodes().find(|number| *number != leader).unwrap_or(1);
    stage.send(Errand::Transfer { from: u32::from(leader), to: u32::from(heir) });
    stage.until("the heir leads", |stage| stage.leader() == Some(heir) && stage.is_settled())?;
    write(stage, &[10])
}

/// The leader is cut off while a client writes: it has entries that the others replace.
fn write_apart(stage: &mut Stage) -> Result<u16, Violation> {
    let Cast { leader, .. } = serve(stage)?;
    let others: Vec<_> = stage.nodes().filter(|number| *number != leader).map(NodeKey).collect();
    stage.world.network().split(&[NodeKey(leader)], &others);
    stage.write(&[5_000, 200]);
    stage.until("the others have written", |stage| {
        stage.has_written() && stage.leader().is_some_and(|other| other != leader)
    })?;
    let members = stage.members();
    let seen = members.last_seen(NodeKey(leader), GROUP);
    if seen.is_none_or(|seen| seen.last <= seen.commit) {
        let what = format!("server {leader} has nothing that only it has: {seen:?}");
        return Err(Violation::new(Rule::Liveness, what));
    }
    Ok(leader)
}

fn take_in(stage: &mut Stage, _: u16) -> Result<(), Violation> {
    let of = |count| Config { voters: (1..=count).map(NodeId).collect(), observers: Vec::new() };
    let end = Some(End::Commit);
    stage.send(Errand::Change { current: of(2), next: of(3), pause: Duration::ZERO, end });
    stage.until("the third member serves", |stage| {
        stage.has_errands_done() && stage.is_member(3) && stage.is_settled()
    })?;
    write(stage, &[10])
}
