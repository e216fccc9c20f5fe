//! One case again, told for people.

use runtime::sim::{CrashKind, DiskSnapshot, Fate, NodeKey, Undecided};

use super::case::{Case, Death};
use super::explore::guarded;
use super::recovery::recover;
use super::scene::Scene;
use super::script::Script;
use super::{fates, scripts, slots};
use crate::violation::Violation;

/// Tries a case again. `tell` hears what happens.
///
/// # Errors
/// When there is no such case.
pub fn replay(case: &Case, tell: &mut dyn FnMut(String)) -> Result<Result<(), Violation>, String> {
    let script = scripts::named(&case.script).ok_or_else(|| {
        let names: Vec<_> = scripts::ALL.iter().map(|script| script.name).collect();
        format!("no script has the name `{}`; there are {}", case.script, names.join(", "))
    })?;
    tell(format!("{}: {}", script.name, script.about));
    if let Some(failure) = case.failure {
        tell(format!("{:?} fails after step {} of the disk", failure.kind, failure.step));
    }
    let played = match guarded(|| script.play(case.failure)) {
        Ok(played) => played,
        Err(violation) => return Ok(Err(violation)),
    };
    let mut scenes = played.scenes;
    for (place, death) in case.deaths.iter().enumerate() {
        let is_last = place + 1 == case.deaths.len();
        match die(script, played.victim, &scenes, *death, is_last, tell)? {
            Ok(next) => scenes = next,
            Err(violation) => return Ok(Err(violation)),
        }
    }
    Ok(Ok(()))
}

fn die(
    script: &Script,
    victim: NodeKey,
    scenes: &[Scene],
    death: Death,
    is_last: bool,
    tell: &mut dyn FnMut(String),
) -> Result<Result<Vec<Scene>, Violation>, String> {
    let Some(scene) = scenes.get(death.scene) else {
        return Err(format!("there is no scene {}, only {}", death.scene, scenes.len()));
    };
    let undecided = scene.point.undecided(death.kind);
    let all = fates::all(&undecided);
    let Some(fates) = all.get(death.fates) else {
        return Err(format!("there are no fates {}, only {}", death.fates, all.len()));
    };
    let kind = match death.kind {
        CrashKind::Kill => "is killed",
        CrashKind::PowerLoss => "loses power",
    };
    let micros = scene.at.as_nanos() / 1000;
    tell(format!("{victim} {kind} at {micros} µs, step {} of its disk", scene.step));
    for (thing, fate) in undecided.iter().zip(fates) {
        tell(format!("  {}: {}", told(thing), told_fate(*fate)));
    }
    let disk: DiskSnapshot = scene.point.disk_after(death.kind, fates);
    Ok(guarded(|| {
        slots::check(victim, &disk, &scene.facts)?;
        recover(script, victim, scene, &disk, !is_last)
    }))
}

fn told(thing: &Undecided) -> String {
    match thing {
        Undecided::Unsynced { path, sectors } => format!("{sectors} sectors of {path}, unsynced"),
        Undecided::InFlight { path, sectors } => format!("{sectors} sectors of {path}, in flight"),
        Undecided::Name { name } => format!("the name {name}"),
    }
}

fn told_fate(fate: Fate) -> String {
    match fate {
        Fate::Kept => "kept".to_owned(),
        Fate::Lost => "lost".to_owned(),
        Fate::Head(sectors) => format!("torn behind sector {sectors}"),
        Fate::Tail(sectors) => format!("torn before sector {sectors}"),
    }
}
