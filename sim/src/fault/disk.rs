//! Faults of disks.

use std::time::Duration;

use runtime::sim::{DiskEffect, DiskFault, DiskOperation, EIO, ENOSPC};

use super::class::FaultClass;
use super::storm::{Scene, Storm};
use super::undo::Undo;

/// Block size of the files, in bits.
const BLOCK_BITS: u64 = 4096 * 8;

impl Storm {
    /// Has operations of a disk go wrong for a while. What it did, if it could.
    pub(super) fn strike_disk(
        &mut self,
        class: FaultClass,
        scene: &mut Scene<'_>,
    ) -> Option<String> {
        let world = scene.world;
        let is_lying = matches!(
            class,
            FaultClass::MisdirectWrite | FaultClass::LoseWrite | FaultClass::FlipWrite
        );
        if is_lying {
            return self.lie(class, scene);
        }
        let number = match class {
            FaultClass::FlipRead | FaultClass::MisdirectRead | FaultClass::StaleRead => {
                self.victim(scene)
            }
            _ => self.server(scene),
        };
        let server = scene.cluster.servers.get_mut(number)?;
        let disk = world.disk(server.key);
        let one_in = 1 + world.choose("storm.disk.rate", 20);
        let error =
            |operation, number| DiskFault::new(operation, DiskEffect::Error(number)).one_in(one_in);
        let wrong_read = |effect| {
            // What a group of one reads of its log has no second copy to be compared with.
            let path = ["identity", "hard-state"][world.choose("storm.disk.path", 2) as usize];
            // An older hard state is as good as a forgotten vote, and nobody could tell.
            let path = if effect == DiskEffect::Stale { "identity" } else { path };
            DiskFault::new(DiskOperation::Read, effect).path(path).one_in(one_in)
        };
        match class {
            FaultClass::ReadError => disk.add_fault(error(DiskOperation::Read, EIO)),
            FaultClass::WriteError => disk.add_fault(error(DiskOperation::Write, EIO)),
            FaultClass::SyncError => disk.add_fault(error(DiskOperation::Sync, EIO)),
            FaultClass::NameError => disk.add_fault(error(DiskOperation::Directory, EIO)),
            FaultClass::DiskFull => {
                disk.add_fault(error(DiskOperation::Write, ENOSPC).path("/log/"));
            }
            FaultClass::DiskSlow => {
                let delay = Duration::from_millis(1 << world.choose("storm.disk.delay", 9));
                for operation in [DiskOperation::Read, DiskOperation::Write, DiskOperation::Sync] {
                    let fault = DiskFault::new(operation, DiskEffect::Delay(delay));
                    disk.add_fault(fault.one_in(one_in));
                }
            }
            FaultClass::FlipRead => disk.add_fault(wrong_read(DiskEffect::FlipBit)),
            FaultClass::MisdirectRead => disk.add_fault(wrong_read(DiskEffect::Misdirect)),
            FaultClass::StaleRead => disk.add_fault(wrong_read(DiskEffect::Stale)),
            _ => return None,
        }
        match class {
            FaultClass::FlipRead | FaultClass::MisdirectRead | FaultClass::StaleRead => {
                server.excuses.reads = true;
            }
            FaultClass::DiskSlow => {}
            _ => server.excuses.io = true,
        }
        server.excuses.is_disk_faulty = true;
        let key = server.key;
        let length = self.length(world, class);
        self.undo_after(world, length, Undo::Disk(number));
        Some(format!("{key}, one operation in {one_in} for {length:?}"))
    }

    /// One write of a log does something else than what it says.
    fn lie(&mut self, class: FaultClass, scene: &mut Scene<'_>) -> Option<String> {
        let number = self.victim(scene);
        if !scene.cluster.is_ready(number) || !scene.cluster.may_die(number) {
            return None;
        }
        let group = scene.world.choose("storm.disk.group", u64::from(self.plan.groups));
        let effect = match class {
            FaultClass::MisdirectWrite => DiskEffect::Misdirect,
            FaultClass::LoseWrite => DiskEffect::Lose,
            _ => DiskEffect::FlipBit,
        };
        let fault =
            DiskFault::new(DiskOperation::Write, effect).path(&format!("group-{group}/log"));
        let key = scene.cluster.servers.get(number)?.key;
        scene.world.disk(key).add_fault(fault.times(1));
        scene.cluster.must_live_on(number);
        Some(format!("{key}, the next write to the log of group {group}"))
    }

    /// Damages what is stored.
    pub(super) fn strike_stored(
        &mut self,
        class: FaultClass,
        scene: &mut Scene<'_>,
    ) -> Option<String> {
        let number = self.victim(scene);
        let world = scene.world;
        let group = world.choose("storm.disk.group", u64::from(self.plan.groups));
        let key = scene.cluster.servers.get(number)?.key;
        let disk = world.disk(key);
        let (path, bits) = match class {
            FaultClass::FlipIdentity => ("identity".to_owned(), BLOCK_BITS),
            FaultClass::FlipHardState => {
                let path = format!("group-{group}/hard-state");
                (path, 2 * BLOCK_BITS)
            }
            _ => self.settled_part(scene, key, &format!("group-{group}/log"))?,
        };
        let bit = world.choose("storm.disk.bit", bits);
        if !disk.flip_bit(&path, bit) {
            return None;
        }
        scene.cluster.servers.get_mut(number)?.excuses.damage = true;
        Some(format!("{key}: bit {bit} of {path}"))
    }

    /// A log file and how many bits of it are surely followed by later frames. Of the last frame
    /// nobody can say whether it was damaged or never written.
    fn settled_part(
        &self,
        scene: &Scene<'_>,
        key: runtime::sim::NodeKey,
        dir: &str,
    ) -> Option<(String, u64)> {
        let disk = scene.world.disk(key);
        let paths: Vec<_> = disk.paths().into_iter().filter(|path| path.starts_with(dir)).collect();
        let used = |path: &String| {
            let bytes = disk.read(path).unwrap_or_default();
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            // Behind the header, or the file has never been written to.
            if end > 4096 { end } else { 0 }
        };
        let ends: Vec<usize> = paths.iter().map(used).collect();
        let margin = (3 * self.plan.server.batch_kib as usize + 8) << 10;
        let chosen = scene.world.choose("storm.disk.file", paths.len().max(1) as u64) as usize;
        let behind: usize = ends.iter().skip(chosen + 1).sum();
        let settled = ends.get(chosen)?.saturating_sub(margin.saturating_sub(behind));
        (settled > 0).then(|| (paths.get(chosen).cloned().unwrap_or_default(), settled as u64 * 8))
    }
}
