//! The kinds of faults and how hard each strikes in a run.

use runtime::sim::World;

/// One row a class: variant, name, and whether single-member groups survive it with all their data.
macro_rules! classes {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal;)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum FaultClass {
            $($(#[doc = $doc])* $variant,)*
        }

        impl FaultClass {
            /// All classes.
            pub const ALL: &'static [FaultClass] = &[$(FaultClass::$variant),*];

            /// Its name, which is also its site on the tape.
            pub const fn name(self) -> &'static str {
                match self {
                    $(FaultClass::$variant => $name,)*
                }
            }
        }
    };
}

classes! {
    /// A server process is killed and started again.
    Kill = "fault.kill";
    /// A server's machine loses power; unsynced writes are torn, lost, reordered.
    PowerLoss = "fault.power-loss";
    /// A server dies several times in a row, so that recovery is hit as well.
    CrashLoop = "fault.crash-loop";
    /// A server is asked to stop, and started again.
    Stop = "fault.stop";
    /// A server stands still.
    Pause = "fault.pause";
    /// A server's clock runs up to 10 % too fast or too slow.
    Drift = "fault.drift";
    /// A server's wall clock jumps.
    WallJump = "fault.wall-jump";
    /// A bit of a log file flips.
    FlipLog = "fault.flip-log";
    /// A bit of the log's last write flips after it was noted to be durable.
    FlipTail = "fault.flip-tail";
    /// A bit of a snapshot flips.
    FlipSnapshot = "fault.flip-snapshot";
    /// A bit of a hard state flips.
    FlipHardState = "fault.flip-hard-state";
    /// A bit of the identity file flips.
    FlipIdentity = "fault.flip-identity";
    /// A read returns a flipped bit.
    FlipRead = "fault.flip-read";
    /// A read returns another block.
    MisdirectRead = "fault.misdirect-read";
    /// A read returns what was there before.
    StaleRead = "fault.stale-read";
    /// A write goes to another block.
    MisdirectWrite = "fault.misdirect-write";
    /// A write is forgotten.
    LoseWrite = "fault.lose-write";
    /// A bit flips while it is written.
    FlipWrite = "fault.flip-write";
    /// Reads fail.
    ReadError = "fault.read-error";
    /// Writes fail.
    WriteError = "fault.write-error";
    /// Syncs fail and lose data.
    SyncError = "fault.sync-error";
    /// Creating, renaming, listing fail.
    NameError = "fault.name-error";
    /// The disk is full for a while.
    DiskFull = "fault.disk-full";
    /// The disk is slow for a while.
    DiskSlow = "fault.disk-slow";
    /// A machine comes back with an empty disk.
    Wipe = "fault.wipe";
    /// Leadership is handed over.
    Transfer = "fault.transfer";
    /// The members of a group change, in two steps or only the first.
    Members = "fault.members";
    /// A link takes long.
    LinkDelay = "fault.link-delay";
    /// A link loses segments.
    LinkLoss = "fault.link-loss";
    /// A link has little bandwidth.
    LinkSlow = "fault.link-slow";
    /// A link refuses connections.
    LinkRefuse = "fault.link-refuse";
    /// Connections are reset in the middle of whatever they carry.
    Reset = "fault.reset";
    /// Nothing arrives in one direction.
    CutOneWay = "fault.cut-one-way";
    /// Two nodes cannot reach each other.
    CutPair = "fault.cut-pair";
    /// Servers are split in two parts.
    Split = "fault.split";
    /// Two parts that only one server can reach.
    Bridge = "fault.bridge";
    /// A client program dies in the middle of its calls.
    ClientKill = "fault.client-kill";
    /// A client program stands still and leaves its answers unread.
    ClientPause = "fault.client-pause";
    /// A burst of requests.
    Overload = "fault.overload";
}

/// Classes that need more than one server to mean anything.
const BETWEEN_SERVERS: &[FaultClass] = &[
    FaultClass::Split,
    FaultClass::Bridge,
    FaultClass::Wipe,
    FaultClass::Transfer,
    FaultClass::Members,
];

/// Classes after which one copy of the data alone may not be enough.
const DESTRUCTIVE: &[FaultClass] = &[
    FaultClass::FlipLog,
    FaultClass::FlipTail,
    FaultClass::FlipSnapshot,
    FaultClass::FlipHardState,
    FaultClass::FlipIdentity,
    FaultClass::MisdirectWrite,
    FaultClass::LoseWrite,
    FaultClass::FlipWrite,
    FaultClass::Wipe,
];

impl FaultClass {
    /// Whether it damages what is on a disk for good.
    pub fn is_destructive(self) -> bool {
        DESTRUCTIVE.contains(&self)
    }
}

/// Classes that together lead where each alone seldom does.
const THEMES: &[&[FaultClass]] = &[
    // Leases, and leaders that do not know they are none.
    &[FaultClass::CutPair, FaultClass::CutOneWay, FaultClass::LinkDelay, FaultClass::Transfer],
    &[FaultClass::Split, FaultClass::Bridge, FaultClass::Pause, FaultClass::DiskSlow],
    // Elections in the middle of changes.
    &[FaultClass::Members, FaultClass::Kill, FaultClass::CutPair],
    &[FaultClass::Members, FaultClass::Split, FaultClass::LinkDelay, FaultClass::Transfer],
    // Logs that differ.
    &[FaultClass::Split, FaultClass::CutOneWay, FaultClass::Kill, FaultClass::LinkLoss],
    // Nodes on new disks.
    &[FaultClass::Wipe, FaultClass::Kill, FaultClass::LinkDelay],
    &[FaultClass::Wipe, FaultClass::CutPair, FaultClass::CutOneWay, FaultClass::Members],
    // Snapshots on their way, and of no use.
    &[FaultClass::Split, FaultClass::CrashLoop, FaultClass::FlipSnapshot, FaultClass::Wipe],
    &[FaultClass::PowerLoss, FaultClass::Pause, FaultClass::FlipSnapshot, FaultClass::LinkLoss],
    // What recovery finds.
    &[FaultClass::PowerLoss, FaultClass::CrashLoop, FaultClass::FlipLog, FaultClass::FlipTail],
];

/// In some runs only a few classes strike, each as hard as it can.
fn draw_focus(world: &World) -> Option<Vec<FaultClass>> {
    if world.choose("plan.focus", 2) == 0 {
        return None;
    }
    let theme = world.choose("plan.theme", THEMES.len() as u64 * 3 / 2) as usize;
    if let Some(theme) = THEMES.get(theme) {
        return Some(theme.to_vec());
    }
    let count = 1 + world.choose("plan.focus.count", 3);
    let all = FaultClass::ALL;
    let class = || all.get(world.choose("plan.focus.class", all.len() as u64) as usize).copied();
    Some((0..count).filter_map(|_| class()).collect())
}

/// How hard each class strikes: 0 is never.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Strengths(Vec<u64>);

impl Strengths {
    /// Draws a strength for each class. Most are off; a storm of everything shows little.
    pub fn draw(world: &World, members: u16, nodes: u16) -> Strengths {
        // A group of one that grows has its only copy where damage may strike.
        let grows = members == 1 && nodes > 1;
        let focus = draw_focus(world);
        let draw = |class: &FaultClass| {
            let strength = match &focus {
                Some(classes) if classes.contains(class) => 3,
                Some(_) => 0,
                None => world.choose(class.name(), 12).saturating_sub(8),
            };
            let is_possible = nodes > 1 || !BETWEEN_SERVERS.contains(class);
            if is_possible && !(grows && class.is_destructive()) { strength } else { 0 }
        };
        Strengths(FaultClass::ALL.iter().map(draw).collect())
    }

    /// How hard a class strikes, from 0 to 3.
    pub fn of(&self, class: FaultClass) -> u64 {
        self.0.get(class as usize).copied().unwrap_or(0)
    }

    /// Whether any class damages disks for good.
    pub fn are_destructive(&self) -> bool {
        self.active().any(FaultClass::is_destructive)
    }

    /// The classes that strike.
    pub fn active(&self) -> impl Iterator<Item = FaultClass> {
        FaultClass::ALL.iter().copied().filter(|class| self.of(*class) > 0)
    }

    /// The class that a number stands for: with the chance of its strength.
    pub fn pick(&self, number: u64) -> Option<FaultClass> {
        let total: u64 = self.0.iter().sum();
        let mut rest = number % total.max(1);
        self.active().find(|class| {
            let strength = self.of(*class);
            let is_it = rest < strength;
            rest = rest.saturating_sub(strength);
            is_it
        })
    }
}
