//! Faults of disks.

use std::time::Duration;

use runtime::sim::{DiskEffect, DiskFault, DiskOperation, EIO, ENOSPC};

use super::class::FaultClass;
use super::storm::{Scene, Storm};
use super::undo::Undo;

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
}
