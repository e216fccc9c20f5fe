//! What ends faults that last.

use runtime::sim::{CrashKind, DiskOptions, LinkOptions, NodeKey, World};

use crate::cluster::Cluster;

/// The end of a fault.
#[derive(Clone, Copy, Debug)]
pub(super) enum Undo {
    /// A server is started again.
    Start(usize),
    /// A server dies once more, in the middle of its recovery, and so many times after that.
    DieAgain(usize, u64),
    /// A server loses its disk and starts at once.
    Wipe(usize),
    /// A client program is started again.
    StartProgram(usize),
    /// A node goes on.
    Resume(NodeKey),
    /// A clock runs as it should.
    Drift(NodeKey),
    /// A direction is open again.
    Heal(NodeKey, NodeKey),
    /// A direction is as it was.
    Link(NodeKey, NodeKey),
    /// A disk works and is as it was.
    Disk(usize),
}

/// How disks and links are without faults.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ordinary {
    pub(super) disk: DiskOptions,
    pub(super) link: LinkOptions,
}

impl Undo {
    pub(super) fn carry_out(self, world: &World, cluster: &mut Cluster, ordinary: &Ordinary) {
        match self {
            Undo::Start(number) | Undo::DieAgain(number, _) => cluster.start(world, number),
            Undo::Wipe(number) => {
                cluster.crash(world, number, CrashKind::PowerLoss);
                cluster.wipe(world, number);
                cluster.start(world, number);
            }
            Undo::StartProgram(number) => cluster.start_program(world, number),
            Undo::Resume(key) => world.resume(key),
            Undo::Drift(key) => world.set_drift(key, 0),
            Undo::Heal(from, to) => world.network().heal(from, to),
            Undo::Link(from, to) => world.network().set_link(from, to, ordinary.link),
            Undo::Disk(number) => {
                if let Some(server) = cluster.servers.get_mut(number) {
                    let disk = world.disk(server.key);
                    disk.clear_faults();
                    disk.set_options(ordinary.disk);
                    server.excuses.is_disk_faulty = false;
                }
            }
        }
    }
}
