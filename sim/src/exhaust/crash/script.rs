//! A small story of servers, in which one of them is about to die.

use runtime::sim::{DiskEffect, DiskFault, DiskOperation, EIO, ENOSPC, NodeKey};

use super::scene::{Film, Scene, record};
use crate::exhaust::stage::{Settings, Stage};
use crate::violation::Violation;

/// What happens before the victim may die, and then.
#[derive(Clone, Copy)]
pub struct Script {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Its servers.
    pub settings: Settings,
    /// Sets the scene, in which nobody dies; returns the victim.
    pub prepare: fn(&mut Stage) -> Result<u16, Violation>,
    /// What the victim does when it dies.
    pub play: fn(&mut Stage, u16) -> Result<(), Violation>,
    /// Whether every operation of the victim's disk is to fail in turn.
    pub has_failures: bool,
}

/// An operation of the victim's disk that fails.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Failure {
    /// The first one to begin after so many steps of the disk.
    pub step: u64,
    /// How it fails.
    pub kind: FailureKind,
}

/// How an operation of a disk fails.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FailureKind {
    /// The medium fails: a write is done in part, a sync loses what it should make durable.
    Medium,
    /// The disk is full.
    Full,
}

/// What came of playing a script.
pub struct Played {
    /// Its victim.
    pub victim: NodeKey,
    /// The moments at which it may die.
    pub scenes: Vec<Scene>,
    /// The steps of the victim's disk before and after.
    pub steps: std::ops::Range<u64>,
}

impl Script {
    /// Plays the script, perhaps with a failure.
    ///
    /// # Errors
    /// The rule that is broken on the way, without any death.
    pub fn play(&self, failure: Option<Failure>) -> Result<Played, Violation> {
        let mut stage = Stage::new(self.settings);
        let number = (self.prepare)(&mut stage)?;
        let victim = NodeKey(number);
        let first = stage.world.disk(victim).steps();
        let film = match failure {
            None => record(&stage, victim),
            Some(failure) => {
                stage.may_fail = true;
                fail(&stage, victim, failure)
            }
        };
        (self.play)(&mut stage, number)?;
        if stage.nodes().all(|number| stage.is_running(number)) {
            stage.until("the servers are level", Stage::is_settled)?;
        }
        stage.check_trees()?;
        let steps = first..stage.world.disk(victim).steps();
        drop(stage);
        Ok(Played { victim, scenes: film.take(), steps })
    }
}

/// Has one operation fail, and records from then on.
fn fail(stage: &Stage, victim: NodeKey, failure: Failure) -> Film {
    let film = record(stage, victim);
    let shown = film.clone();
    let mut armed = None;
    stage.precede(move |world| {
        let disk = world.disk(victim);
        let step = disk.steps();
        match armed {
            _ if step < failure.step => shown.borrow_mut().clear(),
            None => {
                failure.faults().for_each(|fault| disk.add_fault(fault));
                armed = Some(step);
            }
            Some(armed) if step > armed => disk.clear_faults(),
            Some(_) => {}
        }
    });
    film
}

impl Failure {
    fn faults(self) -> impl Iterator<Item = DiskFault> {
        use DiskOperation::{Directory, Read, Sync, Write};
        let (operations, number): (&[_], _) = match self.kind {
            FailureKind::Medium => (&[Read, Write, Sync, Directory], EIO),
            FailureKind::Full => (&[Write, Directory], ENOSPC),
        };
        let fault = move |operation: &DiskOperation| {
            DiskFault::new(*operation, DiskEffect::Error(number)).times(1)
        };
        operations.iter().map(fault)
    }
}
