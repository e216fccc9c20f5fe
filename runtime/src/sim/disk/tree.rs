//! Directories: what names lead to now, and what they lead to after a power loss.

use std::collections::BTreeMap;
use std::io;

use super::options::DirectoryOrder;
use crate::sim::tape::Tape;
use crate::sim::trace::{mix, mix_bytes};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct FileId(pub(crate) u64);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct DirectoryId(u64);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    File(FileId),
    Directory(DirectoryId),
}

const ROOT: DirectoryId = DirectoryId(0);

/// The directories of a disk.
#[derive(Clone)]
pub(crate) struct Tree {
    directories: BTreeMap<DirectoryId, Directory>,
    next_directory: u64,
    /// Changes that no sync has covered, in order.
    pending: Vec<Change>,
}

#[derive(Clone, Default)]
struct Directory {
    live: BTreeMap<String, Entry>,
    durable: BTreeMap<String, Entry>,
}

/// One operation; its steps survive together or not at all.
#[derive(Clone)]
struct Change {
    steps: Vec<ChangeStep>,
}

#[derive(Clone)]
struct ChangeStep {
    directory: DirectoryId,
    name: String,
    entry: Option<Entry>,
}

impl Tree {
    pub(crate) fn new() -> Tree {
        let directories = BTreeMap::from([(ROOT, Directory::default())]);
        Tree { directories, next_directory: 1, pending: Vec::new() }
    }

    /// What a path leads to.
    pub(crate) fn find(&self, path: &str) -> io::Result<Entry> {
        let mut entry = Entry::Directory(ROOT);
        for name in names(path)? {
            entry = *self.live(as_directory(entry)?).get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(entry)
    }

    pub(crate) fn find_file(&self, path: &str) -> io::Result<FileId> {
        match self.find(path)? {
            Entry::File(file) => Ok(file),
            Entry::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// What a path leads to after a power loss that takes all it may.
    pub(crate) fn find_durable_file(&self, path: &str) -> io::Result<FileId> {
        let mut entry = Entry::Directory(ROOT);
        for name in names(path)? {
            let directory = self.directories.get(&as_directory(entry)?);
            let found = directory.and_then(|directory| directory.durable.get(name));
            entry = *found.ok_or(io::ErrorKind::NotFound)?;
        }
        match entry {
            Entry::File(file) => Ok(file),
            Entry::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(crate) fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let directory = as_directory(self.find(path)?)?;
        Ok(self.live(directory).keys().cloned().collect())
    }

    pub(crate) fn create_file(&mut self, path: &str, file: FileId) -> io::Result<()> {
        let (directory, name) = self.parent(path)?;
        if self.live(directory).contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.change(vec![step(directory, name, Some(Entry::File(file)))]);
        Ok(())
    }

    pub(crate) fn create_directories(&mut self, path: &str) -> io::Result<()> {
        let mut directory = ROOT;
        for name in names(path)? {
            directory = match self.live(directory).get(name) {
                Some(entry) => as_directory(*entry)?,
                None => {
                    let made = DirectoryId(self.next_directory);
                    self.next_directory += 1;
                    self.directories.insert(made, Directory::default());
                    self.change(vec![step(directory, name, Some(Entry::Directory(made)))]);
                    made
                }
            };
        }
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let entry = self.find(from)?;
        let (from_directory, from_name) = self.parent(from)?;
        let (to_directory, to_name) = self.parent(to)?;
        match (entry, self.live(to_directory).get(to_name)) {
            (_, None) | (Entry::File(_), Some(Entry::File(_))) => {}
            (Entry::File(_), Some(Entry::Directory(_))) => {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            (Entry::Directory(_), Some(Entry::File(_))) => {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            (Entry::Directory(_), Some(Entry::Directory(target))) => {
                if !self.live(*target).is_empty() {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
            }
        }
        if (from_directory, from_name) != (to_directory, to_name) {
            self.change(vec![
                step(from_directory, from_name, None),
                step(to_directory, to_name, Some(entry)),
            ]);
        }
        Ok(())
    }

    pub(crate) fn remove_file(&mut self, path: &str) -> io::Result<()> {
        self.find_file(path)?;
        let (directory, name) = self.parent(path)?;
        self.change(vec![step(directory, name, None)]);
        Ok(())
    }

    /// Removes a directory and what is in it, each entry with an operation of its own.
    pub(crate) fn remove_directory(&mut self, path: &str) -> io::Result<()> {
        let directory = as_directory(self.find(path)?)?;
        let (parent, name) = self.parent(path)?;
        self.remove_entries(directory);
        self.change(vec![step(parent, name, None)]);
        Ok(())
    }

    fn remove_entries(&mut self, directory: DirectoryId) {
        for (name, entry) in self.live(directory).clone() {
            if let Entry::Directory(below) = entry {
                self.remove_entries(below);
            }
            self.change(vec![step(directory, &name, None)]);
        }
    }

    /// Makes the changes of a directory durable, and those they build on.
    pub(crate) fn sync(&mut self, path: &str) -> io::Result<()> {
        let directory = as_directory(self.find(path)?)?;
        let mut covered: Vec<(DirectoryId, String)> = Vec::new();
        let mut durable = vec![false; self.pending.len()];
        for (position, change) in self.pending.iter().enumerate().rev() {
            let is_covered = change.steps.iter().any(|step| {
                step.directory == directory
                    || covered.iter().any(|(at, name)| *at == step.directory && *name == step.name)
            });
            if is_covered {
                durable[position] = true;
                covered.extend(change.steps.iter().map(|step| (step.directory, step.name.clone())));
            }
        }
        let pending = std::mem::take(&mut self.pending);
        for (change, is_durable) in pending.into_iter().zip(durable) {
            if is_durable { self.make_durable(change) } else { self.pending.push(change) }
        }
        Ok(())
    }

    /// Keeps or drops each pending change as the tape says.
    pub(crate) fn lose_power(&mut self, tape: &mut Tape, order: DirectoryOrder) {
        match order {
            DirectoryOrder::Journal => {
                let count = self.pending.len();
                let lost = tape.choose("disk.directory.lost", count as u64 + 1) as usize;
                self.settle(|place| place < count - lost);
            }
            DirectoryOrder::Any => self.settle(|_| tape.choose("disk.directory.lost", 2) == 0),
        }
    }

    /// Keeps those of the pending changes, counted in order, that `is_kept` names.
    pub(crate) fn settle(&mut self, mut is_kept: impl FnMut(usize) -> bool) {
        for (place, change) in std::mem::take(&mut self.pending).into_iter().enumerate() {
            if is_kept(place) {
                self.make_durable(change);
            }
        }
        for directory in self.directories.values_mut() {
            directory.live = directory.durable.clone();
        }
    }

    /// The name that each pending change is about, in order.
    pub(crate) fn pending_names(&self) -> impl Iterator<Item = String> {
        self.pending.iter().map(|change| {
            let names: Vec<_> = change.steps.iter().map(|step| step.name.as_str()).collect();
            names.join(" to ")
        })
    }

    /// Folds all names, durable or not, and what `fold_file` says of each file, into a hash.
    pub(crate) fn fold(&self, mut hash: u64, fold_file: impl Fn(u64, FileId) -> u64) -> u64 {
        let mut fold_entry = |name: &str, entry: Option<Entry>| {
            hash = mix_bytes(mix(hash, name.len() as u64), name.as_bytes());
            hash = match entry {
                None => mix(hash, 1),
                Some(Entry::Directory(directory)) => mix(hash, directory.0 << 2 | 2),
                Some(Entry::File(file)) => fold_file(mix(hash, 3), file),
            };
        };
        for (number, directory) in &self.directories {
            fold_entry("", Some(Entry::Directory(*number)));
            directory.live.iter().for_each(|(name, entry)| fold_entry(name, Some(*entry)));
            if !self.pending.is_empty() {
                directory.durable.iter().for_each(|(name, entry)| fold_entry(name, Some(*entry)));
            }
        }
        for step in self.pending.iter().flat_map(|change| &change.steps) {
            fold_entry("", Some(Entry::Directory(step.directory)));
            fold_entry(&step.name, step.entry);
        }
        hash
    }

    /// Makes everything durable: for contents put there from outside.
    pub(crate) fn sync_all(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            self.make_durable(change);
        }
    }

    /// Files that a name leads to, now or after a power loss; others are gone when closed.
    pub(crate) fn reachable_files(&self) -> Vec<FileId> {
        let entries = self.directories.values().flat_map(|directory| {
            directory.live.values().chain(directory.durable.values()).copied()
        });
        let pending = self.pending.iter().flat_map(|change| &change.steps);
        let mut files: Vec<FileId> = entries
            .chain(pending.filter_map(|step| step.entry))
            .filter_map(|entry| match entry {
                Entry::File(file) => Some(file),
                Entry::Directory(_) => None,
            })
            .collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Path of each file, sorted.
    pub(crate) fn paths(&self) -> Vec<(String, FileId)> {
        let mut paths = Vec::new();
        self.collect_paths(ROOT, "", &mut paths);
        paths
    }

    fn collect_paths(&self, at: DirectoryId, prefix: &str, paths: &mut Vec<(String, FileId)>) {
        for (name, entry) in self.live(at) {
            let path = format!("{prefix}{name}");
            match entry {
                Entry::File(file) => paths.push((path, *file)),
                Entry::Directory(below) => {
                    self.collect_paths(*below, &format!("{path}/"), paths);
                }
            }
        }
    }

    fn parent<'p>(&self, path: &'p str) -> io::Result<(DirectoryId, &'p str)> {
        let mut names = names(path)?;
        let last = names.pop().ok_or(io::ErrorKind::InvalidInput)?;
        let mut entry = Entry::Directory(ROOT);
        for name in names {
            entry = *self.live(as_directory(entry)?).get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok((as_directory(entry)?, last))
    }

    fn live(&self, directory: DirectoryId) -> &BTreeMap<String, Entry> {
        static EMPTY: BTreeMap<String, Entry> = BTreeMap::new();
        self.directories.get(&directory).map_or(&EMPTY, |directory| &directory.live)
    }

    fn change(&mut self, steps: Vec<ChangeStep>) {
        for step in &steps {
            if let Some(directory) = self.directories.get_mut(&step.directory) {
                step.apply(&mut directory.live);
            }
        }
        self.pending.push(Change { steps });
    }

    fn make_durable(&mut self, change: Change) {
        for step in change.steps {
            if let Some(directory) = self.directories.get_mut(&step.directory) {
                step.apply(&mut directory.durable);
            }
        }
    }
}

impl ChangeStep {
    fn apply(&self, entries: &mut BTreeMap<String, Entry>) {
        match self.entry {
            Some(entry) => entries.insert(self.name.clone(), entry),
            None => entries.remove(&self.name),
        };
    }
}

fn step(directory: DirectoryId, name: &str, entry: Option<Entry>) -> ChangeStep {
    ChangeStep { directory, name: name.to_owned(), entry }
}

fn as_directory(entry: Entry) -> io::Result<DirectoryId> {
    match entry {
        Entry::Directory(directory) => Ok(directory),
        Entry::File(_) => Err(io::ErrorKind::NotADirectory.into()),
    }
}

fn names(path: &str) -> io::Result<Vec<&str>> {
    let names: Vec<_> = path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    if names.contains(&"..") { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(names) }
}
