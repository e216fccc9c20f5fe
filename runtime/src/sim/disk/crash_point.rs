//! A disk at a moment at which its process may die, and everything that such a death could leave.

use super::device::{Disk, PendingWrite};
use super::handle::DiskSnapshot;
use super::image::{Durability, Image};
use super::tree::FileId;
use crate::sim::node::CrashKind;

/// A disk under a running process, with what the death of that process would decide.
#[derive(Clone)]
pub struct CrashPoint {
    disk: Disk,
    in_flight: Vec<PendingWrite>,
}

/// Something of which a death decides whether it is on the disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Undecided {
    /// A write that has completed, and that no sync has covered.
    Unsynced {
        /// The file.
        path: String,
        /// Its length in sectors of 512 bytes.
        sectors: u64,
    },
    /// A write that has not completed.
    InFlight {
        /// The file.
        path: String,
        /// Its length in sectors of 512 bytes.
        sectors: u64,
    },
    /// A change of a directory that no sync has covered.
    Name {
        /// The name that is made or removed.
        name: String,
    },
}

/// What becomes of something undecided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is on the disk.
    Kept,
    /// It never was.
    Lost,
    /// Of a write, only so many of its first sectors are on the disk.
    Head(u64),
    /// Of a write, only what is behind so many of its first sectors is.
    Tail(u64),
}

impl CrashPoint {
    pub(crate) fn new(disk: Disk, in_flight: Vec<PendingWrite>) -> CrashPoint {
        CrashPoint { disk, in_flight }
    }

    /// A number that is the same for two moments of a process between which nothing has happened that
    /// changes what a death could leave.
    pub fn version(&self) -> u64 {
        self.disk.changes()
    }

    /// What a death of this kind decides.
    pub fn undecided(&self, kind: CrashKind) -> Vec<Undecided> {
        let paths = self.disk.tree.paths();
        let path = |file: FileId| {
            let path = paths.iter().find(|(_, other)| *other == file);
            path.map_or_else(|| "a removed file".to_owned(), |(path, _)| path.clone())
        };
        if kind == CrashKind::Kill {
            let in_flight = self.in_flight.iter();
            let in_flight = in_flight.map(|write| (path(write.file), sectors(write.pages.len())));
            return in_flight
                .map(|(path, sectors)| Undecided::InFlight { path, sectors })
                .collect();
        }
        let writes = self.writes().into_iter().map(|(file, is_in_flight, blocks)| {
            let (path, sectors) = (path(file), sectors(blocks));
            match is_in_flight {
                true => Undecided::InFlight { path, sectors },
                false => Undecided::Unsynced { path, sectors },
            }
        });
        let names = self.disk.tree.pending_names();
        writes.chain(names.map(|name| Undecided::Name { name })).collect()
    }

    /// The disk that is left when each thing [undecided](Self::undecided) has the fate at its place;
    /// those without one are kept.
    pub fn disk_after(&self, kind: CrashKind, fates: &[Fate]) -> DiskSnapshot {
        let mut disk = self.disk.clone();
        let mut fates = fates.iter().copied();
        let mut next = || fates.next().unwrap_or(Fate::Kept);
        match kind {
            CrashKind::Kill => {
                for write in &self.in_flight {
                    let fate = next();
                    if let Ok(image) = disk.image_mut(write.file) {
                        let survivors = |block| fate.survivors(block);
                        image.write_sectors(write.first_block, &write.pages, survivors);
                    }
                }
            }
            CrashKind::PowerLoss => {
                self.complete(&mut disk);
                for image in disk.images_mut() {
                    let mut current = None;
                    image.settle(|write, block| {
                        let fate = match current {
                            Some((known, fate)) if known == write => fate,
                            _ => next(),
                        };
                        current = Some((write, fate));
                        fate.survivors(block)
                    });
                }
                disk.tree.settle(|_| next() != Fate::Lost);
            }
        }
        disk.forget_handles();
        disk.collect_garbage();
        DiskSnapshot::new(disk)
    }

    /// Has all writes in flight be complete and not durable.
    fn complete(&self, disk: &mut Disk) {
        for write in &self.in_flight {
            if let Ok(image) = disk.image_mut(write.file) {
                image.write(write.first_block, &write.pages, Durability::Volatile);
            }
        }
    }

    /// Undecided writes in the order in which a power loss decides them: file, whether it is still
    /// in flight, and blocks.
    fn writes(&self) -> Vec<(FileId, bool, usize)> {
        let marks: Vec<_> =
            self.disk.images().map(|(file, image)| (file, image.sync_mark())).collect();
        let mut disk = self.disk.clone();
        self.complete(&mut disk);
        let undecided = |(file, image): (FileId, &Image)| {
            let mark = marks.iter().find(|(other, _)| *other == file).map_or(0, |(_, mark)| *mark);
            let writes = image.unsynced_writes().into_iter();
            writes.map(|(write, blocks)| (file, write >= mark, blocks)).collect::<Vec<_>>()
        };
        disk.images().flat_map(undecided).collect()
    }
}

impl Fate {
    /// Which sectors of a write's block are on the disk, one bit each.
    fn survivors(self, block: u64) -> u8 {
        let whole_before = |sector: u64| {
            let within = sector.saturating_sub(block * SECTORS_PER_BLOCK).min(SECTORS_PER_BLOCK);
            ((1_u16 << within) - 1) as u8
        };
        match self {
            Fate::Kept => u8::MAX,
            Fate::Lost => 0,
            Fate::Head(sectors) => whole_before(sectors),
            Fate::Tail(sectors) => !whole_before(sectors),
        }
    }
}

const SECTORS_PER_BLOCK: u64 = 8;

fn sectors(blocks: usize) -> u64 {
    blocks as u64 * SECTORS_PER_BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_tails_are_counted_in_sectors() {
        assert_eq!(Fate::Head(3).survivors(0), 0b0000_0111);
        assert_eq!(Fate::Head(3).survivors(1), 0);
        assert_eq!(Fate::Head(11).survivors(0), u8::MAX);
        assert_eq!(Fate::Head(11).survivors(1), 0b0000_0111);
        assert_eq!(Fate::Tail(3).survivors(0), 0b1111_1000);
        assert_eq!(Fate::Tail(3).survivors(1), u8::MAX);
        assert_eq!(Fate::Tail(11).survivors(0), 0);
    }
}
