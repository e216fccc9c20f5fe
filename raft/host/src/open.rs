//! Opens a group: hard state, log, consensus, fibers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use raft_core::{
    Config, ConfigEntry, HardState, Index, Raft, ReadsSettled, RestoreError, Restored,
};
use runtime::{Condition, FiberGroup, Shard, Signal};

use crate::applier;
use crate::core::{Core, Limits};
use crate::entry_clock::EntryClock;
use crate::error::{GroupError, during};
use crate::execute::{Life, Shared};
use crate::group::Group;
use crate::hard_state::{HardStateFile, SavedState};
use crate::log::recovery::Recovered;
use crate::log::replay::{Replayed, replay};
use crate::log::segment::{segment_name, segment_number};
use crate::log::spares::{Segment, SegmentPlan, Spares};
use crate::log::tail::LogTail;
use crate::log::writer::LogWriter;
use crate::options::{GroupOptions, HARD_STATE};
use crate::persist::Persist;
use crate::ports::StateMachine;
use crate::proposals::Proposals;
use crate::restart::Restart;
use crate::{send, ticker};

impl<M: StateMachine> Group<M> {
    /// Opens the group in its directory, or founds it there. The machine must be empty; it holds
    /// every entry known to be committed when this returns.
    ///
    /// # Errors
    /// When the files cannot be used. Nothing was cut or changed then that was ever acknowledged.
    pub async fn open(
        shard: &Shard,
        options: GroupOptions,
        machine: M,
    ) -> Result<Group<M>, GroupError> {
        options.check()?;
        let plan = SegmentPlan {
            dir: options.log_dir(),
            identity: options.identity,
            size: options.segment_bytes,
            spares: options.spare_segments,
            frame_bytes_max: options.frame_bytes_max(),
            is_synced: options.sync_force,
        };
        make_directories(shard, &plan.dir).await?;
        let hard_state = open_hard_state(shard, &options, &plan).await?;
        let mut restart = Restart::new(&options, *hard_state.state(), machine);
        let mark = hard_state.state().durable_sequence;
        let replayed = replay(shard, &plan, mark, &mut |recovery, header, records| {
            restart.take(recovery, header, records);
        })
        .await?;
        if let Some(torn) = replayed.recovered.torn {
            let group = options.identity.group.0;
            tracing::warn!(group, ?torn, "cut a frame that was never completely written");
        }
        start(shard, options, plan, hard_state, restart, replayed).await
    }
}

/// Makes the directories that are missing, and all names in them durable: those that a killed
/// process has left are there, but a power failure could still take them away.
async fn make_directories(shard: &Shard, log_dir: &str) -> Result<(), GroupError> {
    let storage = shard.storage();
    if !storage.exists(log_dir).await.map_err(during("look for", log_dir))? {
        storage.create_dir_all(log_dir).await.map_err(during("create", log_dir))?;
    }
    let mut dir = log_dir;
    loop {
        storage.sync_dir(dir).await.map_err(during("sync", dir))?;
        let Some((parent, _)) = dir.rsplit_once('/') else { break };
        dir = parent;
    }
    storage.sync_dir("").await.map_err(during("sync", "the data directory"))
}

/// Opens the hard state, or makes it for a group that has no log yet.
async fn open_hard_state(
    shard: &Shard,
    options: &GroupOptions,
    plan: &SegmentPlan,
) -> Result<HardStateFile, GroupError> {
    let storage = shard.storage();
    let path = options.hard_state_path();
    if storage.exists(&path).await.map_err(during("look for", &path))? {
        let opened = HardStateFile::open(shard, &options.dir, HARD_STATE, options.identity).await?;
        if let (_, Some((slot, fault))) = &opened {
            tracing::warn!(path, slot, %fault, "used the other slot and restored this one");
        }
        return Ok(opened.0);
    }
    let names = storage.list(&plan.dir).await.map_err(during("list", &plan.dir))?;
    if names.iter().any(|name| segment_number(name).is_some()) {
        let what = "it is missing, but the group has a log".to_owned();
        return Err(GroupError::Damaged { path, offset: 0, index: None, what });
    }
    let state = SavedState { incarnation: options.incarnation, ..SavedState::default() };
    HardStateFile::create(shard, &options.dir, HARD_STATE, options.identity, state).await
}

async fn start<M: StateMachine>(
    shard: &Shard,
    options: GroupOptions,
    plan: SegmentPlan,
    hard_state: HardStateFile,
    restart: Restart<M>,
    replayed: Replayed,
) -> Result<Group<M>, GroupError> {
    let Replayed { recovered, mut segments, numbers } = replayed;
    let oldest = numbers.0;
    check_beginning(&options, &plan, &recovered, oldest)?;
    let (machine, applied, commit) = restart.finish(&recovered);
    let restored = restored(&options, hard_state.state().hard_state, &recovered, applied, commit)?;
    let raft = Raft::new(options.raft.clone(), restored, shard.clock().now())?;
    let current = segments.pop_front();
    let spares = Spares::new(shard, plan.clone(), segments, numbers.1);
    let fibers = FiberGroup::new(shard, "group");
    let maker = Rc::clone(&spares);
    drop(fibers.spawn("segments", async move { maker.run().await }));
    let current = match current {
        Some(current) => current,
        None => first_segment(&spares).await?,
    };
    let seed = options.identity.seed();
    let tail = LogTail::new(shard, &options, recovered.image.clone(), applied);
    let log = LogWriter::new(&plan, current, &recovered, Rc::clone(&spares), fibers.clone());
    let core = Core {
        raft,
        limits: Limits::of(&options),
        proposals: Proposals::new(),
        hard_state_wanted: None,
        is_writing: false,
        apply_to: applied,
        clock: EntryClock::behind(recovered.time_ms),
        oldest_segment: oldest,
        room: 0,
        change_outcome: None,
        reads: ReadsSettled::default(),
        tail,
    };
    let shared = Rc::new(Shared {
        shard: shard.clone(),
        seed,
        core: RefCell::new(core),
        machine: RefCell::new(machine),
        outbox: RefCell::new(None),
        spares,
        fibers: fibers.clone(),
        life: RefCell::new(Life::Running),
        accepts: Cell::new(true),
        replicates: Cell::new(false),
        write_work: Signal::new(),
        apply_work: Signal::new(),
        send_work: Signal::new(),
        tick_work: Signal::new(),
        changed: Condition::new(),
        options,
    });
    let last = recovered.image.last().index;
    let persist = Persist::new(Rc::clone(&shared), log, hard_state, last);
    drop(fibers.spawn("persist", persist.run()));
    drop(fibers.spawn("apply", applier::run(Rc::clone(&shared))));
    drop(fibers.spawn("send", send::run(Rc::clone(&shared))));
    drop(fibers.spawn("tick", ticker::run(Rc::clone(&shared))));
    Ok(Group(shared))
}

/// The log must go on where the snapshot ends, or begin before that.
fn check_beginning(
    options: &GroupOptions,
    plan: &SegmentPlan,
    recovered: &Recovered,
    oldest: u64,
) -> Result<(), GroupError> {
    let boundary = options.snapshot.position.index;
    match recovered.image.first() {
        Some(first) if first > boundary.next() => Err(GroupError::Damaged {
            path: format!("{}/{}", plan.dir, segment_name(oldest)),
            offset: 0,
            index: Some(boundary.next()),
            what: format!("the log begins at {first}, but the snapshot ends at {boundary}"),
        }),
        None if recovered.image.last().index > boundary => Err(GroupError::Damaged {
            path: plan.dir.clone(),
            offset: 0,
            index: Some(boundary.next()),
            what: "the log was begun anew behind a snapshot that is newer than this one".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// What consensus starts from: the entries behind the snapshot.
fn restored(
    options: &GroupOptions,
    hard_state: HardState,
    recovered: &Recovered,
    applied: Index,
    commit: Index,
) -> Result<Restored, GroupError> {
    let boundary = options.snapshot.position;
    let image = &recovered.image;
    let mut configs = Vec::new();
    for (index, payload) in image.configs() {
        let malformed = |_| RestoreError::Config { index: *index };
        if *index > boundary.index {
            let config = Config::decode(payload).map_err(malformed)?;
            configs.push(ConfigEntry { index: *index, config });
        }
    }
    Ok(Restored {
        hard_state,
        boundary,
        config: options.snapshot.config.clone(),
        runs: image.runs_behind(boundary.index),
        last: image.last().index.max(boundary.index),
        configs,
        commit,
        applied,
        standing: options.standing,
    })
}

/// The first segment of a new log. When it cannot be made there is no group.
async fn first_segment(spares: &Spares) -> Result<Segment, GroupError> {
    loop {
        if let Some(segment) = spares.take() {
            return Ok(segment);
        }
        if let Some(problem) = spares.problem() {
            spares.stop();
            return Err(problem);
        }
        spares.changed().await;
    }
}
