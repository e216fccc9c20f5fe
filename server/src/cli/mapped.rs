//! Files of a stopped node, mapped into memory: a log of many gigabytes is looked through without
//! reading what nobody asked for.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

/// The bytes of one file.
pub(super) struct MappedFile(Mmap);

impl MappedFile {
    /// Maps a file. The data directory must be locked for as long as the bytes are in use.
    pub(super) fn open(path: &Path) -> io::Result<MappedFile> {
        let file = File::open(path)?;
        // SAFETY: mapped bytes must not change or vanish while they are borrowed. Only a node
        // writes to these files, and it does so only while it holds the lock of the data directory,
        // which the caller has.
        let bytes = unsafe { Mmap::map(&file)? };
        Ok(MappedFile(bytes))
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
