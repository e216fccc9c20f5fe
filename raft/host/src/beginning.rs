//! What consensus and the log start from: the snapshot that was loaded, and the log that was read.

use raft_core::{Config, ConfigEntry, Index, Position, Raft, ReadsSettled, RestoreError, Restored};
use runtime::Shard;

use crate::core::{Core, Limits};
use crate::entry_clock::EntryClock;
use crate::error::GroupError;
use crate::log::recovery::Recovered;
use crate::log::segment::segment_name;
use crate::log::spares::SegmentPlan;
use crate::log::tail::LogTail;
use crate::open::Found;
use crate::options::{GroupOptions, SnapshotBoundary};
use crate::ports::StateMachine;
use crate::proposals::Proposals;
use crate::restart::{Base, Restart, Restarted};

/// A group before it has fibers.
pub(crate) struct Begun<M: StateMachine> {
    pub(crate) core: Core<M::Caller>,
    pub(crate) machine: M,
    /// Bytes of log behind the snapshot.
    pub(crate) log_bytes: u64,
}

/// Fits together what was found.
pub(crate) fn begin<M: StateMachine>(
    shard: &Shard,
    options: &GroupOptions,
    plan: &SegmentPlan,
    found: &Found,
    restart: Restart<M>,
) -> Result<Begun<M>, GroupError> {
    let Found { base, replayed, .. } = found;
    let (recovered, oldest) = (&replayed.recovered, replayed.numbers.0);
    let position = base.boundary.position;
    let is_void = log_is_void(position, plan, recovered, oldest)?;
    let restarted = restart.finish(recovered, is_void);
    let restored = match is_void {
        true => behind_snapshot(base),
        false => restored(options, base, recovered, &restarted)?,
    };
    let restored = Restored {
        hard_state: found.hard_state.state().hard_state,
        standing: options.standing,
        ..restored
    };
    let raft = Raft::new(options.raft.clone(), restored, shard.clock().now())?;
    let mut tail = LogTail::new(shard, options, recovered.image.clone(), restarted.applied);
    if is_void {
        tail.begin_anew(recovered.commit.next(), position);
    }
    let core = Core {
        raft,
        limits: Limits::of(options),
        proposals: Proposals::new(),
        hard_state_wanted: None,
        is_writing: false,
        apply_to: restarted.applied,
        applied_ms: restarted.applied_ms,
        clock: EntryClock::behind(recovered.time_ms.max(base.time_ms)),
        oldest_segment: oldest,
        room: 0,
        change_outcome: None,
        reads: ReadsSettled::default(),
        tail,
    };
    Ok(Begun { core, machine: restarted.machine, log_bytes: restarted.log_bytes })
}

/// Whether the log is of no use beside the snapshot: an installed one is ahead of it, or contradicts
/// it. A node that died between having an installed snapshot and beginning its log anew ends that
/// here.
fn log_is_void(
    position: Position,
    plan: &SegmentPlan,
    recovered: &Recovered,
    oldest: u64,
) -> Result<bool, GroupError> {
    let image = &recovered.image;
    let begins = image.first().unwrap_or(image.last().index.next());
    if begins > position.index.next() {
        return Err(GroupError::Damaged {
            path: format!("{}/{}", plan.dir, segment_name(oldest)),
            offset: 0,
            index: Some(position.index.next()),
            what: match position.index {
                Index::ZERO => format!("the log begins at {begins}, and no snapshot is intact"),
                end => format!("the log begins at {begins}, but the snapshot ends at {end}"),
            },
        });
    }
    let goes_on =
        begins == position.index.next() || image.term_at(position.index) == Some(position.term);
    if !goes_on && recovered.commit >= position.index {
        let what = format!("the log contradicts the snapshot that ends at {}", position.index);
        let (path, index) = (plan.dir.clone(), Some(position.index));
        return Err(GroupError::Damaged { path, offset: 0, index, what });
    }
    Ok(!goes_on)
}

/// What consensus starts from when there is a snapshot alone.
fn behind_snapshot(base: &Base) -> Restored {
    let SnapshotBoundary { position, config } = base.boundary.clone();
    Restored {
        boundary: position,
        config,
        last: position.index,
        commit: position.index,
        applied: position.index,
        ..Restored::founded_with(Config::default())
    }
}

/// What consensus starts from: the entries of the log, also those that the snapshot has, so that
/// members that are a little behind need no snapshot.
fn restored<M>(
    options: &GroupOptions,
    base: &Base,
    recovered: &Recovered,
    restarted: &Restarted<M>,
) -> Result<Restored, GroupError> {
    let image = &recovered.image;
    let SnapshotBoundary { position, config } = &base.boundary;
    let mut configs = decode_configs(image.configs())?;
    let mut boundary = *position;
    let mut before = config.clone();
    if let Some(first) = image.first().filter(|first| *first <= position.index) {
        let is_whole = first == Index::ZERO.next();
        let earlier = Position { index: first, term: image.term_at(first).unwrap_or_default() };
        let earlier = if is_whole { Position::default() } else { earlier };
        // The membership in front of the log is not known if the snapshot's came later. It does not
        // matter as long as that one is in the log, because it is committed.
        let is_known = configs.iter().any(|entry| entry.index == config.index);
        if config.index > earlier.index && is_known {
            before = ConfigEntry { index: Index::ZERO, config: options.founding.clone() };
            boundary = earlier;
        } else if config.index <= earlier.index {
            boundary = earlier;
        }
    }
    configs.retain(|entry| entry.index > boundary.index);
    Ok(Restored {
        boundary,
        config: before,
        runs: image.runs_behind(boundary.index),
        last: image.last().index.max(boundary.index),
        configs,
        commit: restarted.commit,
        applied: restarted.applied,
        ..Restored::founded_with(Config::default())
    })
}

/// The memberships in a part of the log.
pub(crate) fn decode_configs(
    entries: &[(Index, Vec<u8>)],
) -> Result<Vec<ConfigEntry>, RestoreError> {
    let decode = |(index, payload): &(Index, Vec<u8>)| {
        let config = Config::decode(payload).map_err(|_| RestoreError::Config { index: *index })?;
        Ok(ConfigEntry { index: *index, config })
    };
    entries.iter().map(decode).collect()
}
