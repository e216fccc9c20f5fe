//! Whether this machine can run a node, said before anything is started.
//!
//! The executor itself answers most of these with a panic or a line in a log.

use std::ffi::CString;
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::buffer::{BLOCK, PlainMemory};

/// What is wrong with the machine or the data directory, and how to mend it.
#[derive(Debug)]
pub struct ProbeError {
    /// What kind of thing is wrong.
    pub problem: Problem,
    /// What was tried and what came of it.
    pub cause: String,
    /// What to do about it.
    pub remedy: String,
}

/// What can be wrong. A node cannot run with any of these but [`Problem::FileSystem`], with which
/// it runs and may lose what it acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// The kernel gives this process no io_uring.
    Ring,
    /// Too little memory may be locked.
    LockedMemory,
    /// The data directory cannot be made or written to.
    Directory,
    /// The file system does not keep what is synced.
    FileSystem,
    /// The file system has no direct I/O.
    DirectIo,
}

impl fmt::Display for ProbeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}. {}.", self.cause, self.remedy)
    }
}

impl std::error::Error for ProbeError {}

/// Tries io_uring, the limit of locked memory, direct I/O and the kind of file system, in the
/// order of [`Problem`] but the file system last. Makes the data directory when it is missing.
///
/// # Errors
/// The first thing that is wrong.
pub fn probe(data_dir: &Path) -> Result<(), ProbeError> {
    try_ring().map_err(|errno| {
        let switch = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
        judge_ring(errno, switch.as_deref().map(str::trim))
    })?;
    judge_locked_memory(locked_memory_limit())?;
    fs::create_dir_all(data_dir).map_err(|error| directory(data_dir, &error))?;
    try_direct_write(data_dir)?;
    let kind = file_system_of(data_dir).map_err(|error| directory(data_dir, &error))?;
    judge_file_system(data_dir, kind)
}

/// Sets up a small ring and drops it; the error number when that is refused.
fn try_ring() -> Result<(), i32> {
    // The kernel's `io_uring_params`: 120 bytes, all zero for defaults.
    let mut parameters = [0u64; 15];
    // SAFETY: the kernel reads and fills the 120 bytes that the pointer leads to.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, parameters.as_mut_ptr()) };
    match i32::try_from(ring) {
        // SAFETY: the kernel just made the descriptor and nothing else owns it.
        Ok(ring) if ring >= 0 => drop(unsafe { OwnedFd::from_raw_fd(ring) }),
        _ => return Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
    }
    Ok(())
}

fn judge_ring(errno: i32, switch: Option<&str>) -> ProbeError {
    let cause = format!("io_uring cannot be used: {}", io::Error::from_raw_os_error(errno));
    let remedy = match (errno, switch) {
        (libc::ENOSYS, _) => "Run a kernel of version 5.11 or newer that has io_uring",
        (libc::EPERM, Some("1" | "2")) => {
            "The switch kernel.io_uring_disabled is on: set it to 0 with sysctl"
        }
        (libc::EPERM | libc::EACCES, _) => {
            "A container's seccomp profile blocks it: allow the system calls io_uring_setup, \
             io_uring_enter and io_uring_register"
        }
        (libc::ENOMEM, _) => "Raise the limit of locked memory (ulimit -l, LimitMEMLOCK=)",
        (libc::EMFILE | libc::ENFILE, _) => "Raise the limit of open files (ulimit -n)",
        _ => "See io_uring_setup(2) for this error",
    };
    ProbeError { problem: Problem::Ring, cause, remedy: remedy.to_owned() }
}

/// What a shard's executor asks for at least.
const LOCKED_MEMORY_MIN: u64 = 512 << 10;

fn locked_memory_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call fills the struct it is given.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    limit.rlim_cur
}

fn judge_locked_memory(limit: u64) -> Result<(), ProbeError> {
    if limit >= LOCKED_MEMORY_MIN {
        return Ok(());
    }
    Err(ProbeError {
        problem: Problem::LockedMemory,
        cause: format!("This process may lock {limit} bytes of memory"),
        remedy: format!(
            "Raise the limit to {LOCKED_MEMORY_MIN} bytes or more (ulimit -l, LimitMEMLOCK=)"
        ),
    })
}

/// Writes one block past the page cache and makes it durable.
fn try_direct_write(data_dir: &Path) -> Result<(), ProbeError> {
    let path = data_dir.join(".probe");
    let result = direct_write(&path);
    // Left over when it cannot be removed, and overwritten the next time.
    let _ = fs::remove_file(&path);
    result.map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL | libc::EOPNOTSUPP) => ProbeError {
            problem: Problem::DirectIo,
            cause: format!("{} has no direct I/O: {error}", data_dir.display()),
            remedy: "Put the data directory on ext4 or XFS, on a disk of this machine".to_owned(),
        },
        _ => directory(data_dir, &error),
    })
}

fn direct_write(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)?;
    let block = PlainMemory::filled(BLOCK, 1);
    let (bytes, descriptor) = (block.bytes(), file.as_raw_fd());
    // SAFETY: the descriptor is open, and the pointer leads to as many bytes as are written.
    let written = unsafe { libc::pwrite(descriptor, bytes.as_ptr().cast(), bytes.len(), 0) };
    match usize::try_from(written) {
        Ok(BLOCK) => file.sync_data(),
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

fn directory(data_dir: &Path, error: &io::Error) -> ProbeError {
    ProbeError {
        problem: Problem::Directory,
        cause: format!("The data directory {} cannot be used: {error}", data_dir.display()),
        remedy: "Make it writable for the user that runs the server, and see that the disk has \
                 room"
            .to_owned(),
    }
}

/// The number by which the kernel knows the file system.
fn file_system_of(path: &Path) -> io::Result<u64> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut status = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the path ends with a zero, and the call fills the struct it is given.
    if unsafe { libc::statfs(path.as_ptr(), status.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: filled by the call; zeros are a value too.
    let status = unsafe { status.assume_init() };
    Ok(u64::from_ne_bytes(status.f_type.to_ne_bytes()) & 0xffff_ffff)
}

fn judge_file_system(data_dir: &Path, kind: u64) -> Result<(), ProbeError> {
    let (name, why) = match kind {
        0x0102_1994 => ("tmpfs", "keeps everything in memory"),
        0x8584_58f6 => ("ramfs", "keeps everything in memory"),
        0x794c_7630 => ("overlayfs", "goes away with its container and may not sync"),
        0x6969 => ("NFS", "is somewhere else and does not sync as a disk does"),
        0xff53_4d42 | 0xfe53_4d42 => ("SMB", "is somewhere else and does not sync as a disk does"),
        _ => return Ok(()),
    };
    Err(ProbeError {
        problem: Problem::FileSystem,
        cause: format!("The data directory {} lies on {name}, which {why}", data_dir.display()),
        remedy: "Put it on ext4 or XFS, on a disk of this machine; in a container, on a volume"
            .to_owned(),
    })
}

/// Holds a data directory for this process until it is dropped.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

/// Takes the data directory for this process, making it when it is missing. The system lets go
/// of it when the process ends, however that happens.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when another process has it.
pub fn lock_data_dir(data_dir: &Path) -> io::Result<DirLock> {
    fs::create_dir_all(data_dir)?;
    let path = data_dir.join("lock");
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(error),
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            let text = format!("{} is in use by process {}", data_dir.display(), holder.trim());
            return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
        }
    }
    // For people only: the lock is what counts.
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(DirLock { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_the_ring_has_its_remedy() {
        let cases = [
            (libc::ENOSYS, Some("0"), "Run a kernel"),
            (libc::EPERM, Some("2"), "The switch kernel.io_uring_disabled is on"),
            (libc::EPERM, Some("0"), "A container's seccomp profile"),
            (libc::EPERM, None, "A container's seccomp profile"),
            (libc::ENOMEM, None, "Raise the limit of locked memory"),
            (libc::EMFILE, None, "Raise the limit of open files"),
            (libc::EINVAL, None, "See io_uring_setup(2)"),
        ];
        for (errno, switch, remedy) in cases {
            let error = judge_ring(errno, switch);
            assert!(error.remedy.starts_with(remedy), "{errno}: {error}");
            assert_eq!(error.problem, Problem::Ring);
        }
    }

    #[test]
    fn locked_memory_needs_its_minimum() {
        assert!(judge_locked_memory(LOCKED_MEMORY_MIN).is_ok());
        assert!(judge_locked_memory(u64::MAX).is_ok());
        let error = judge_locked_memory(65_536).expect_err("too little");
        assert_eq!(error.problem, Problem::LockedMemory);
        assert!(error.to_string().contains("65536"), "{error}");
    }

    #[test]
    fn file_systems_that_lose_data_are_named() {
        let judge = |kind| judge_file_system(Path::new("/d"), kind);
        for (kind, name) in [(0x0102_1994, "tmpfs"), (0x794c_7630, "overlayfs"), (0x6969, "NFS")] {
            let error = judge(kind).expect_err("not durable");
            assert_eq!(error.problem, Problem::FileSystem);
            assert!(error.cause.contains(name), "{error}");
        }
        // ext4, XFS, FUSE.
        assert!([0xef53, 0x5846_5342, 0x6573_5546].into_iter().all(|kind| judge(kind).is_ok()));
    }

    #[test]
    fn this_machine_runs_a_node_and_its_memory_disk_does_not() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a directory");
        let data_dir = dir.path().join("made/on/the/way");
        if let Err(error) = probe(&data_dir) {
            assert_eq!(error.problem, Problem::FileSystem, "{error}");
        }
        assert_eq!(fs::read_dir(&data_dir).expect("made").count(), 0, "nothing is left over");
        if file_system_of(Path::new("/dev/shm")).ok() == Some(0x0102_1994) {
            let dir = tempfile::tempdir_in("/dev/shm").expect("a directory");
            let error = probe(dir.path()).expect_err("memory only");
            assert!(matches!(error.problem, Problem::FileSystem | Problem::DirectIo), "{error}");
        }
        let error = probe(Path::new("/proc/nothing")).expect_err("cannot be made");
        assert_eq!(error.problem, Problem::Directory);
    }

    #[test]
    fn a_data_directory_has_one_holder() {
        let dir = tempfile::tempdir().expect("a directory");
        let held = lock_data_dir(dir.path()).expect("free");
        let error = lock_data_dir(dir.path()).expect_err("held");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(error.to_string().ends_with(&std::process::id().to_string()), "{error}");
        drop(held);
        lock_data_dir(dir.path()).expect("free again");
    }
}
