//! A moment of a script: the disks as they were, and what was known of the servers by then.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use moment::Moment;
use runtime::sim::{CrashPoint, DiskSnapshot, NodeKey, World};

use crate::check::Members;
use crate::exhaust::ledger::{Ledger, Write};
use crate::exhaust::stage::{GROUP, Stage};

/// What must still be so after a restart. It grows while a script goes on.
#[derive(Clone)]
pub struct Facts {
    /// What the members were seen to do.
    pub members: Members,
    /// What clients were told.
    pub writes: Vec<Write>,
}

/// A number that is the same as long as nothing new is known that a restart must respect.
fn digest(members: &Members, ledger: &Ledger, victim: NodeKey) -> u64 {
    let (begun, acknowledged) = ledger.counts();
    let seen = members.last_seen(victim, GROUP);
    let promise = seen.map(|seen| seen.promise).unwrap_or_default();
    let vote = promise.vote.map_or(0, |vote| vote.0);
    let parts = [
        begun as u64,
        acknowledged as u64,
        u64::from(promise.term.0),
        u64::from(vote),
        members.log(GROUP).len() as u64,
        seen.map_or(0, |seen| seen.durable),
    ];
    parts.into_iter().fold(0, fold)
}

/// Adds a number to a digest.
pub fn fold(digest: u64, part: u64) -> u64 {
    (digest ^ part).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(29)
}

/// A moment at which the victim may die.
#[derive(Clone)]
pub struct Scene {
    /// World time.
    pub at: Moment,
    /// Steps of the victim's disk so far.
    pub step: u64,
    /// The victim's disk.
    pub point: CrashPoint,
    /// The disks of the others, whose machines go on.
    pub others: Rc<Others>,
    /// What was known.
    pub facts: Rc<Facts>,
    /// A number for the facts.
    pub digest: u64,
}

/// Disks of servers that do not die.
#[derive(Clone, Default)]
pub struct Others {
    /// Node and disk.
    pub disks: Vec<(NodeKey, DiskSnapshot)>,
    /// Worked out when it is asked for.
    fingerprint: OnceCell<u64>,
    steps: Vec<u64>,
}

impl Others {
    /// A number that is the same for disks on which the same is found.
    pub fn fingerprint(&self) -> u64 {
        let add = |hash, (_, disk): &(NodeKey, DiskSnapshot)| fold(hash, disk.fingerprint());
        *self.fingerprint.get_or_init(|| self.disks.iter().fold(0, add))
    }

    /// A number for the moment: as long as it stays, none of the disks has changed.
    pub fn steps(&self) -> u64 {
        self.steps.iter().copied().fold(0, fold)
    }

    fn of(world: &World, nodes: &[NodeKey], steps: Vec<u64>) -> Others {
        let disks: Vec<_> =
            nodes.iter().map(|node| (*node, world.disk(*node).snapshot())).collect();
        Others { disks, fingerprint: OnceCell::new(), steps }
    }
}

/// Scenes in the order in which they were recorded.
pub type Film = Rc<RefCell<Vec<Scene>>>;

/// Records a scene at each step of the victim's disk from now on.
pub fn record(stage: &Stage, victim: NodeKey) -> Film {
    let film = Film::default();
    let record = Rc::clone(&film);
    let nodes: Vec<NodeKey> = stage.nodes().map(NodeKey).filter(|node| *node != victim).collect();
    let mut last = None;
    let mut facts: Option<Rc<Facts>> = None;
    let mut others = Rc::new(Others::default());
    stage.watch(move |world, members, ledger| {
        let disk = world.disk(victim);
        // The disk of a moment asks most of a restart when most is known, so that the same disk is
        // recorded again when something new is.
        let now = (disk.steps(), digest(members, ledger, victim));
        let before = last.replace(now);
        if before == Some(now) {
            return;
        }
        let known = match &facts {
            Some(known) if before.is_some_and(|(_, digest)| digest == now.1) => Rc::clone(known),
            _ => Rc::new(Facts { members: members.clone(), writes: ledger.writes() }),
        };
        facts = Some(Rc::clone(&known));
        let steps: Vec<u64> = nodes.iter().map(|node| world.disk(*node).steps()).collect();
        if others.steps != steps {
            others = Rc::new(Others::of(world, &nodes, steps));
        }
        record.borrow_mut().push(Scene {
            at: world.now(),
            step: now.0,
            point: disk.crash_point(),
            others: Rc::clone(&others),
            facts: known,
            digest: now.1,
        });
    });
    film
}
