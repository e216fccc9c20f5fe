//! Every death of a script, and every death in the recovery from it.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use runtime::sim::{CrashKind, NodeKey};

use super::case::{Case, Death};
use super::recovery::recover;
use super::scene::{Scene, fold};
use super::script::{Failure, FailureKind, Script};
use super::{fates, slots};
use crate::run::panic_text;
use crate::violation::{Rule, Violation};

/// How much is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Deaths that follow each other.
    pub deaths: usize,
    /// One in so many scenes of the script is tried, for a quick look; 1 for all.
    pub scene_stride: usize,
    /// As well for the scenes of a recovery.
    pub nested_stride: usize,
    /// One in so many of the fates in each scene; 1 for all.
    pub fate_stride: usize,
    /// One in so many failures is tried; 1 for all.
    pub failure_stride: u64,
}

impl Extent {
    /// Everything, with two deaths.
    pub const FULL: Extent =
        Extent { deaths: 2, scene_stride: 1, nested_stride: 1, fate_stride: 1, failure_stride: 1 };
}

/// How much was tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Scripts that were played, with all their failures.
    pub plays: u64,
    /// Moments at which the victim died.
    pub scenes: u64,
    /// Deaths: a moment, a kind and the fates of all that was undecided.
    pub cases: u64,
    /// Disks among them that differ, or about which more was known: each was recovered from.
    pub recoveries: u64,
}

impl Counts {
    /// Adds what was tried elsewhere.
    pub fn add(&mut self, other: Counts) {
        self.plays += other.plays;
        self.scenes += other.scenes;
        self.cases += other.cases;
        self.recoveries += other.recoveries;
    }
}

/// A case that breaks a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The case.
    pub case: Case,
    /// What it breaks.
    pub violation: Violation,
}

/// Tries a script, in all its deaths and failures, until a case breaks a rule. `tell` hears of the
/// sums after each recovery.
pub fn explore(
    script: &Script,
    extent: Extent,
    tell: &mut dyn FnMut(&Counts),
) -> (Counts, Option<Found>) {
    let mut explorer =
        Explorer { script, extent, counts: Counts::default(), seen: BTreeSet::new(), tell };
    let found = explorer.explore().err();
    (explorer.counts, found)
}

struct Explorer<'a> {
    script: &'a Script,
    extent: Extent,
    counts: Counts,
    /// Disks that were recovered from, with what was known and how many deaths were to come.
    seen: BTreeSet<(u64, u64, usize)>,
    tell: &'a mut dyn FnMut(&Counts),
}

impl Explorer<'_> {
    fn explore(&mut self) -> Result<(), Found> {
        let steps = self.explore_play(None)?;
        if !self.script.has_failures {
            return Ok(());
        }
        for step in steps.step_by(self.extent.failure_stride as usize) {
            for kind in [FailureKind::Medium, FailureKind::Full] {
                self.explore_play(Some(Failure { step, kind }))?;
            }
        }
        Ok(())
    }

    /// Plays the script and tries all deaths in it. Returns the steps of the victim's disk.
    fn explore_play(&mut self, failure: Option<Failure>) -> Result<std::ops::Range<u64>, Found> {
        let case = Case { script: self.script.name.to_owned(), failure, deaths: Vec::new() };
        self.counts.plays += 1;
        let played = guarded(|| self.script.play(failure));
        let played = match played {
            Ok(played) => played,
            Err(violation) => return Err(Found { case, violation }),
        };
        self.explore_deaths(played.victim, &played.scenes, &case)?;
        Ok(played.steps)
    }

    /// Tries all deaths in some scenes: the last scene first, as most is known there and a disk that
    /// is found again in an earlier one needs no second look.
    fn explore_deaths(
        &mut self,
        victim: NodeKey,
        scenes: &[Scene],
        before: &Case,
    ) -> Result<(), Found> {
        let stride = match before.deaths.is_empty() {
            true => self.extent.scene_stride,
            false => self.extent.nested_stride,
        };
        let mut seen_here = BTreeSet::new();
        let mut later = None;
        for (place, scene) in scenes.iter().enumerate().rev().step_by(stride) {
            self.counts.scenes += 1;
            // The same disk, of which no less was known later.
            let version = (scene.point.version(), scene.others.steps());
            if let Some((known, cases)) = later
                && known == version
            {
                self.counts.cases += cases;
                continue;
            }
            let cases = self.counts.cases;
            for kind in [CrashKind::PowerLoss, CrashKind::Kill] {
                self.explore_kind(victim, (place, scene), kind, before, &mut seen_here)?;
            }
            later = Some((version, self.counts.cases - cases));
        }
        Ok(())
    }

    fn explore_kind(
        &mut self,
        victim: NodeKey,
        (place, scene): (usize, &Scene),
        kind: CrashKind,
        before: &Case,
        seen_here: &mut BTreeSet<(u64, u64)>,
    ) -> Result<(), Found> {
        let left = self.extent.deaths - before.deaths.len() - 1;
        let all = fates::all(&scene.point.undecided(kind));
        for (number, fates) in all.iter().enumerate().step_by(self.extent.fate_stride) {
            self.counts.cases += 1;
            let disk = scene.point.disk_after(kind, fates);
            let fingerprint = disk.fingerprint();
            if !seen_here.insert((fingerprint, scene.others.steps()))
                || !self.is_new(fingerprint, scene, left)
            {
                continue;
            }
            let mut case = before.clone();
            case.deaths.push(Death { scene: place, kind, fates: number });
            self.counts.recoveries += 1;
            let recovered = guarded(|| {
                slots::check(victim, &disk, &scene.facts)?;
                recover(self.script, victim, scene, &disk, left > 0)
            });
            (self.tell)(&self.counts);
            let scenes = match recovered {
                Ok(scenes) => scenes,
                Err(violation) => return Err(Found { case, violation }),
            };
            if left > 0 {
                self.explore_deaths(victim, &scenes, &case)?;
            }
        }
        Ok(())
    }
}

impl Explorer<'_> {
    /// Whether a disk was not recovered from yet with as much known and as many deaths to come.
    fn is_new(&mut self, fingerprint: u64, scene: &Scene, left: usize) -> bool {
        let digest = fold(scene.digest, scene.others.fingerprint());
        let is_known = |left| self.seen.contains(&(fingerprint, digest, left));
        if (left..self.extent.deaths).any(is_known) {
            return false;
        }
        self.seen.insert((fingerprint, digest, left))
    }
}

/// Has a panic of a checker be the violation that it is.
pub(super) fn guarded<T>(act: impl FnOnce() -> Result<T, Violation>) -> Result<T, Violation> {
    catch_unwind(AssertUnwindSafe(act))
        .unwrap_or_else(|cause| Err(Violation::new(Rule::Panic, panic_text(&*cause))))
}
