//! One disk: its names, its files, its faults.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::time::Duration;

use super::faults::{DiskEffect, DiskOperation, ENOSPC, Faults};
use super::image::{Durability, Image, Version};
use super::options::DiskOptions;
use super::page::{Page, edit};
use super::tree::{FileId, Tree};
use crate::BLOCK;
use crate::sim::node::CrashKind;
use crate::sim::tape::Tape;

const BLOCK_BYTES: u64 = BLOCK as u64;
/// Larger files do not fit what the simulated disks keep in memory.
const FILE_BYTES_MAX: u64 = 64 << 30;
/// Error number of a file that would be too large.
const EFBIG: i32 = 27;

#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) options: DiskOptions,
    pub(crate) tree: Tree,
    pub(crate) faults: Faults,
    images: BTreeMap<FileId, Image>,
    /// How many open files there are of each image.
    handles: BTreeMap<FileId, usize>,
    next_file: u64,
    /// Beginnings, effects and ends of operations so far.
    steps: u64,
    /// Of those, the ones that change what a death could leave.
    changes: u64,
}

/// A write on its way to the medium.
#[derive(Clone)]
pub(crate) struct PendingWrite {
    pub(crate) file: FileId,
    pub(crate) first_block: u64,
    pub(crate) pages: Vec<Page>,
    pub(crate) durability: Durability,
    pub(crate) effect: Option<DiskEffect>,
}

impl Disk {
    pub(crate) fn new(options: DiskOptions) -> Disk {
        Disk {
            options,
            tree: Tree::new(),
            faults: Faults::default(),
            images: BTreeMap::new(),
            handles: BTreeMap::new(),
            next_file: 0,
            steps: 0,
            changes: 0,
        }
    }

    pub(crate) fn image(&self, file: FileId) -> io::Result<&Image> {
        self.images.get(&file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(crate) fn image_mut(&mut self, file: FileId) -> io::Result<&mut Image> {
        self.images.get_mut(&file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(crate) fn images(&self) -> impl Iterator<Item = (FileId, &Image)> {
        self.images.iter().map(|(file, image)| (*file, image))
    }

    pub(crate) fn images_mut(&mut self) -> impl Iterator<Item = &mut Image> {
        self.images.values_mut()
    }

    /// Something has begun, taken effect or ended.
    pub(crate) fn count_step(&mut self, is_change: bool) {
        self.steps += 1;
        self.changes += u64::from(is_change);
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// A number for everything that a process could find here, now or after a power loss.
    pub(crate) fn fingerprint(&self) -> u64 {
        let image = |hash, file| self.images.get(&file).map_or(hash, |image| image.fold(hash));
        self.tree.fold(0x9e37_79b9_7f4a_7c15, image)
    }

    /// Makes an empty file under a name that is free.
    pub(crate) fn create(&mut self, path: &str) -> io::Result<FileId> {
        let file = FileId(self.next_file);
        self.tree.create_file(path, file)?;
        self.next_file += 1;
        self.images.insert(file, Image::default());
        Ok(file)
    }

    pub(crate) fn add_handle(&mut self, file: FileId) {
        *self.handles.entry(file).or_default() += 1;
    }

    pub(crate) fn drop_handle(&mut self, file: FileId) {
        if let Some(count) = self.handles.get_mut(&file) {
            *count -= 1;
            if *count == 0 {
                self.handles.remove(&file);
                self.collect_garbage();
            }
        }
    }

    /// Forgets who had which file open: they are dead.
    pub(crate) fn forget_handles(&mut self) {
        self.handles.clear();
    }

    /// Forgets files that no name leads to, now or after a power loss, and nobody has open.
    pub(crate) fn collect_garbage(&mut self) {
        let reachable = self.tree.reachable_files();
        let handles = &self.handles;
        self.images
            .retain(|file, _| reachable.binary_search(file).is_ok() || handles.contains_key(file));
    }

    /// The fault that strikes an operation on a file.
    pub(crate) fn strike(
        &mut self,
        tape: &mut Tape,
        operation: DiskOperation,
        file: FileId,
        range: Range<u64>,
    ) -> Option<DiskEffect> {
        if self.faults.is_empty() {
            return None;
        }
        let paths = self.tree.paths();
        let path = paths.iter().find(|(_, other)| *other == file);
        let path = path.map_or("", |(path, _)| path.as_str());
        self.faults.strike(tape, operation, path, &range)
    }

    /// Reads at the end of the operation's time. The bytes read, which may be fewer than wanted.
    pub(crate) fn read(
        &self,
        tape: &mut Tape,
        file: FileId,
        offset: u64,
        effect: Option<DiskEffect>,
        target: &mut [u8],
    ) -> io::Result<usize> {
        let image = self.image(file)?;
        let (version, from) = match effect {
            Some(DiskEffect::Error(number)) => return Err(io::Error::from_raw_os_error(number)),
            Some(DiskEffect::Stale) => (Version::Previous, offset),
            Some(DiskEffect::Misdirect) => (Version::Live, other_block(tape, image, offset)),
            _ => (Version::Live, offset),
        };
        let len = image.len(version).saturating_sub(offset).min(target.len() as u64) as usize;
        let target = &mut target[..len];
        target.fill(0);
        image.read(version, from, target);
        if effect == Some(DiskEffect::FlipBit) {
            flip_bit(tape, target);
        }
        Ok(len)
    }

    /// Carries a write out at the end of its time.
    pub(crate) fn write(&mut self, tape: &mut Tape, mut write: PendingWrite) -> io::Result<()> {
        let atomicity = self.options.atomicity;
        let count = write.pages.len() as u64;
        let room = match self.options.capacity {
            u64::MAX => u64::MAX,
            capacity => capacity.saturating_sub(self.used_bytes()),
        };
        let image = self.image_mut(write.file)?;
        let end = write.first_block.saturating_add(count).saturating_mul(BLOCK_BYTES);
        if end > FILE_BYTES_MAX {
            return Err(io::Error::from_raw_os_error(EFBIG));
        }
        if end.saturating_sub(image.len(Version::Live)) > room {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        match write.effect {
            Some(DiskEffect::Error(number)) => {
                image.write_partly(write.first_block, &write.pages, tape, atomicity);
                return Err(io::Error::from_raw_os_error(number));
            }
            Some(DiskEffect::Lose) => {
                // The file system has grown the file even if the medium forgot the bytes.
                let old = image.len(Version::Live) / BLOCK_BYTES;
                let holes = write.first_block.max(old)..write.first_block + count;
                let zeros = vec![None; holes.clone().count()];
                image.write(holes.start, &zeros, write.durability);
                return Ok(());
            }
            Some(DiskEffect::Misdirect) => {
                let offset = write.first_block * BLOCK_BYTES;
                write.first_block = other_block(tape, image, offset) / BLOCK_BYTES;
            }
            Some(DiskEffect::FlipBit) => {
                let chosen = tape.choose("disk.fault.page", count) as usize;
                if let Some(page) = write.pages.get_mut(chosen) {
                    edit(page, |bytes| flip_bit(tape, bytes));
                }
            }
            Some(DiskEffect::Delay(_) | DiskEffect::Stale) | None => {}
        }
        image.write(write.first_block, &write.pages, write.durability);
        Ok(())
    }

    /// Ends a sync of the writes before `mark`.
    pub(crate) fn sync(
        &mut self,
        tape: &mut Tape,
        file: FileId,
        mark: u64,
        effect: Option<DiskEffect>,
    ) -> io::Result<()> {
        let image = self.image_mut(file)?;
        match effect {
            Some(DiskEffect::Error(number)) => {
                image.lose(mark, tape.choose("disk.sync.reverted", 2) == 1);
                Err(io::Error::from_raw_os_error(number))
            }
            Some(DiskEffect::Lose) => Ok(()),
            _ => {
                image.sync(mark);
                Ok(())
            }
        }
    }

    /// A write that was in flight when its process died: whatever part of it is done is done.
    pub(crate) fn cut_write(&mut self, tape: &mut Tape, write: &PendingWrite) {
        let atomicity = self.options.atomicity;
        if let Ok(image) = self.image_mut(write.file)
            && write.first_block + write.pages.len() as u64 <= FILE_BYTES_MAX / BLOCK_BYTES
        {
            image.write_partly(write.first_block, &write.pages, tape, atomicity);
        }
    }

    /// What the end of a process, or of the power, leaves.
    pub(crate) fn crash(&mut self, tape: &mut Tape, kind: CrashKind) {
        if kind == CrashKind::PowerLoss {
            for image in self.images.values_mut() {
                image.lose_power(tape, self.options.atomicity);
            }
            self.tree.lose_power(tape, self.options.directory_order);
        }
        self.forget_handles();
        self.collect_garbage();
    }

    pub(crate) fn unsynced_blocks(&self) -> usize {
        self.images.values().map(Image::unsynced_blocks).sum()
    }

    fn used_bytes(&self) -> u64 {
        self.images.values().map(|image| image.len(Version::Live)).sum()
    }

    /// Time that an operation takes, without faults.
    pub(crate) fn latency(&self, tape: &mut Tape, operation: DiskOperation) -> Duration {
        match operation {
            DiskOperation::Read => self.options.read.draw(tape, "disk.read.latency"),
            DiskOperation::Write => self.options.write.draw(tape, "disk.write.latency"),
            DiskOperation::Sync => self.options.sync.draw(tape, "disk.sync.latency"),
            DiskOperation::Directory => self.options.directory.draw(tape, "disk.directory.latency"),
        }
    }
}

/// Another block of the file than the one at `offset`, or the same when there is none.
fn other_block(tape: &mut Tape, image: &Image, offset: u64) -> u64 {
    let blocks = image.len(Version::Live) / BLOCK_BYTES;
    if blocks < 2 {
        return offset;
    }
    let step = 1 + tape.choose("disk.fault.block", blocks - 1);
    (offset / BLOCK_BYTES + step) % blocks * BLOCK_BYTES
}

fn flip_bit(tape: &mut Tape, bytes: &mut [u8]) {
    let bit = tape.choose("disk.fault.bit", bytes.len() as u64 * 8);
    if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
        *byte ^= 1 << (bit % 8);
    }
}
