//! Servers start on the disks that a death left, and must be as if nothing had happened.

use runtime::sim::{DiskSnapshot, NodeKey};

use super::scene::{Scene, record};
use super::script::Script;
use crate::exhaust::ledger::Ledger;
use crate::exhaust::stage::Stage;
use crate::violation::Violation;

/// Starts all servers of a script: the victim on `disk`, the others on what they had in `scene`. When
/// `is_recorded`, returns the moments at which the victim may die again.
///
/// # Errors
/// The rule that is broken: a server does not start, something is lost or damaged, nobody serves.
pub fn recover(
    script: &Script,
    victim: NodeKey,
    scene: &Scene,
    disk: &DiskSnapshot,
    is_recorded: bool,
) -> Result<Vec<Scene>, Violation> {
    let ledger = Ledger::of(scene.facts.writes.clone());
    let mut stage = Stage::with_past(script.settings, scene.facts.members.clone(), ledger);
    stage.world.disk(victim).restore(disk);
    for (node, disk) in &scene.others.disks {
        stage.world.disk(*node).restore(disk);
    }
    let film = is_recorded.then(|| record(&stage, victim));
    stage.start_all();
    stage.until("the servers serve again", Stage::is_settled)?;
    stage.check_trees()?;
    // What comes now is built upon what was found.
    stage.write(&[100]);
    stage.until("a write is done", |stage| stage.has_written() && stage.is_settled())?;
    stage.check_trees()?;
    drop(stage);
    Ok(film.map(|film| film.take()).unwrap_or_default())
}
