//! A node's disk in the hands of a test.

use std::rc::Rc;

use super::crash_point::CrashPoint;
use super::device::Disk;
use super::faults::DiskFault;
use super::image::Version;
use super::options::DiskOptions;
use crate::sim::kernel::Kernel;
use crate::sim::node::NodeKey;

/// Looks at a node's disk, damages it, and says what goes wrong on it.
pub struct DiskHandle {
    kernel: Rc<Kernel>,
    node: NodeKey,
}

/// A disk as it was.
#[derive(Clone)]
pub struct DiskSnapshot(Disk);

impl DiskSnapshot {
    pub(crate) fn new(disk: Disk) -> DiskSnapshot {
        DiskSnapshot(disk)
    }

    /// A number that is the same for disks on which a process finds the same, now and after any
    /// power loss.
    pub fn fingerprint(&self) -> u64 {
        self.0.fingerprint()
    }

    /// What a read of the whole file would return.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        contents(&self.0, self.0.tree.find_file(path).ok()?, Version::Live)
    }
}

impl DiskHandle {
    pub(crate) fn new(kernel: Rc<Kernel>, node: NodeKey) -> DiskHandle {
        DiskHandle { kernel, node }
    }

    /// Paths of all files, sorted.
    pub fn paths(&self) -> Vec<String> {
        self.with(|disk| disk.tree.paths().into_iter().map(|(path, _)| path).collect())
    }

    /// What a read of the whole file returns.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.with(|disk| contents(disk, disk.tree.find_file(path).ok()?, Version::Live))
    }

    /// What is left of the file by a power loss that takes all it may.
    pub fn read_durable(&self, path: &str) -> Option<Vec<u8>> {
        self.with(|disk| contents(disk, disk.tree.find_durable_file(path).ok()?, Version::Durable))
    }

    /// Number of written blocks that no sync has covered.
    pub fn unsynced_blocks(&self) -> usize {
        self.with(|disk| disk.unsynced_blocks())
    }

    /// Number of writes that have started and not completed: a crash tears them.
    pub fn writes_in_flight(&self) -> usize {
        self.kernel.disks.borrow().writes_in_flight(self.node)
    }

    /// Number of beginnings, effects and ends of operations so far: as long as it stays, nothing on
    /// the disk has changed.
    pub fn steps(&self) -> u64 {
        self.with(|disk| disk.steps())
    }

    /// The disk as it is now, with what a death of the process would decide.
    pub fn crash_point(&self) -> CrashPoint {
        let in_flight = self.kernel.disks.borrow().pending_writes(self.node);
        CrashPoint::new(self.with(|disk| disk.clone()), in_flight)
    }

    /// Makes a file of these bytes, durable with its name; replaces one that is there.
    ///
    /// # Panics
    /// When the directory above does not exist or the path is a directory.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        self.with(|disk| {
            let file = match disk.tree.find_file(path) {
                Ok(file) => file,
                Err(_) => match disk.create(path) {
                    Ok(file) => file,
                    Err(error) => panic!("cannot make {path}: {error}"),
                },
            };
            if let Ok(image) = disk.image_mut(file) {
                image.truncate(0);
                image.damage(0, bytes);
            }
            disk.tree.sync_all();
        });
    }

    /// Overwrites bytes where they are, durable at once; false when there is no such file.
    pub fn overwrite(&self, path: &str, offset: u64, bytes: &[u8]) -> bool {
        self.with(|disk| {
            let file = disk.tree.find_file(path);
            let image = file.and_then(|file| disk.image_mut(file));
            image.map(|image| image.damage(offset, bytes)).is_ok()
        })
    }

    /// Flips a bit, counted from the file's start; false when there is no such byte.
    pub fn flip_bit(&self, path: &str, bit: u64) -> bool {
        let Some(bytes) = self.read(path) else { return false };
        let Some(byte) = bytes.get((bit / 8) as usize) else { return false };
        self.overwrite(path, bit / 8, &[byte ^ (1 << (bit % 8))])
    }

    /// Cuts a file, durable at once; false when there is no such file.
    pub fn truncate(&self, path: &str, len: u64) -> bool {
        self.with(|disk| {
            let file = disk.tree.find_file(path);
            let image = file.and_then(|file| disk.image_mut(file));
            image.map(|image| image.truncate(len)).is_ok()
        })
    }

    /// Removes a file, durable at once; false when there is no such file.
    pub fn remove(&self, path: &str) -> bool {
        self.with(|disk| {
            let removed = disk.tree.remove_file(path).is_ok();
            disk.tree.sync_all();
            disk.collect_garbage();
            removed
        })
    }

    /// An empty disk in its place. Not while the node's process runs.
    ///
    /// # Panics
    /// When the process runs.
    pub fn wipe(&self) {
        self.assert_idle();
        self.with(|disk| *disk = Disk::new(disk.options));
    }

    /// The disk as it is, with what is durable and what is not.
    pub fn snapshot(&self) -> DiskSnapshot {
        DiskSnapshot(self.with(|disk| disk.clone()))
    }

    /// Rolls the disk back. Options and faults stay as they are. Not while the process runs.
    ///
    /// # Panics
    /// When the process runs.
    pub fn restore(&self, snapshot: &DiskSnapshot) {
        self.assert_idle();
        self.with(|disk| {
            let mut restored = snapshot.0.clone();
            restored.options = disk.options;
            restored.faults = std::mem::take(&mut disk.faults);
            restored.forget_handles();
            *disk = restored;
        });
    }

    /// The disk's options.
    pub fn options(&self) -> DiskOptions {
        self.with(|disk| disk.options)
    }

    /// Changes the options, for operations that start from now on.
    pub fn set_options(&self, options: DiskOptions) {
        self.with(|disk| disk.options = options);
    }

    /// Adds a rule behind those that are there.
    pub fn add_fault(&self, fault: DiskFault) {
        self.with(|disk| disk.faults.add(fault));
    }

    /// Removes all rules.
    pub fn clear_faults(&self) {
        self.with(|disk| disk.faults.clear());
    }

    fn with<R>(&self, work: impl FnOnce(&mut Disk) -> R) -> R {
        work(self.kernel.disks.borrow_mut().disk(self.node))
    }

    fn assert_idle(&self) {
        let nodes = self.kernel.nodes.borrow();
        let is_running = nodes.get(&self.node).is_some_and(|node| node.is_running());
        assert!(!is_running, "{}: a disk is exchanged while no process uses it", self.node);
    }
}

fn contents(disk: &Disk, file: super::tree::FileId, version: Version) -> Option<Vec<u8>> {
    let image = disk.image(file).ok()?;
    let mut bytes = vec![0; image.len(version) as usize];
    image.read(version, 0, &mut bytes);
    Some(bytes)
}
