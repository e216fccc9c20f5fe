//! Opens a group: hard state, log, consensus, fibers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use runtime::{Condition, FiberGroup, Moment, Shard, Signal};

use crate::applier;
use crate::beginning::{Begun, begin};
use crate::error::{GroupError, during};
use crate::execute::{Life, Shared};
use crate::group::Group;
use crate::hard_state::{HardStateFile, SavedState};
use crate::log::replay::{Replayed, replay};
use crate::log::segment::segment_number;
use crate::log::spares::{Segment, SegmentPlan, Spares};
use crate::log::writer::LogWriter;
use crate::options::{GroupOptions, HARD_STATE};
use crate::persist::Persist;
use crate::ports::StateMachine;
use crate::restart::{Base, Restart};
use crate::snapshot::load::load_newest;
use crate::snapshot::save::{self, Snapshots};
use crate::snapshot::store::SnapshotStore;
use crate::snapshot::{receiving, sending};
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
        let store = SnapshotStore::new(
            shard,
            options.snapshot_dir(),
            options.identity,
            options.snapshots.keep,
        );
        make_directories(shard, &plan.dir).await?;
        make_directories(shard, &options.snapshot_dir()).await?;
        let hard_state = open_hard_state(shard, &options, &plan).await?;
        let mut machine = machine;
        let base = match load_newest(shard, &store, &mut machine).await? {
            Some(header) => Base { boundary: header.boundary, time_ms: header.time_ms },
            None => Base::founded_with(options.founding.clone()),
        };
        let mut restart = Restart::new(&options, &base, *hard_state.state(), machine);
        let mark = hard_state.state().durable_sequence;
        let covered = base.boundary.position.index;
        let replayed = replay(shard, &plan, (mark, covered), &mut |recovery, header, records| {
            restart.take(recovery, header, records);
        })
        .await?;
        if let Some(torn) = replayed.recovered.torn {
            let group = options.identity.group.0;
            tracing::warn!(group, ?torn, "cut a frame that was never completely written");
        }
        let found = Found { base, store, hard_state, replayed };
        start(shard, options, plan, found, restart).await
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

/// What was on the disk.
pub(crate) struct Found {
    pub(crate) base: Base,
    store: SnapshotStore,
    pub(crate) hard_state: HardStateFile,
    pub(crate) replayed: Replayed,
}

async fn start<M: StateMachine>(
    shard: &Shard,
    options: GroupOptions,
    plan: SegmentPlan,
    found: Found,
    restart: Restart<M>,
) -> Result<Group<M>, GroupError> {
    let Begun { core, machine, log_bytes } = begin(shard, &options, &plan, &found, restart)?;
    let Found { store, hard_state, replayed, .. } = found;
    let Replayed { recovered, mut segments, numbers } = replayed;
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
    let log = LogWriter::new(&plan, current, &recovered, Rc::clone(&spares), fibers.clone());
    let due = match options.snapshots.interval {
        Duration::ZERO => Moment::MAX,
        interval => shard.clock().now() + interval,
    };
    let shared = Rc::new(Shared {
        shard: shard.clone(),
        seed,
        core: RefCell::new(core),
        machine: RefCell::new(machine),
        outbox: RefCell::new(None),
        spares,
        snapshots: Snapshots::new(store, log_bytes, due),
        fibers: fibers.clone(),
        life: RefCell::new(Life::Running),
        accepts: Cell::new(true),
        replicates: Cell::new(false),
        keeps_applied: Cell::new(false),
        write_work: Signal::new(),
        apply_work: Signal::new(),
        send_work: Signal::new(),
        tick_work: Signal::new(),
        changed: Condition::new(),
        life_changed: Condition::new(),
        options,
    });
    let last = recovered.image.last().index;
    let persist = Persist::new(Rc::clone(&shared), log, hard_state, last);
    drop(fibers.spawn("persist", persist.run()));
    drop(fibers.spawn("apply", applier::run(Rc::clone(&shared))));
    drop(fibers.spawn("send", send::run(Rc::clone(&shared))));
    drop(fibers.spawn("tick", ticker::run(Rc::clone(&shared))));
    drop(fibers.spawn("snapshots", save::run(Rc::clone(&shared))));
    drop(fibers.spawn("send snapshots", sending::run(Rc::clone(&shared))));
    drop(fibers.spawn("receive snapshots", receiving::run(Rc::clone(&shared))));
    Ok(Group(shared))
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
