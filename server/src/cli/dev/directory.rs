//! Where the files of a development cluster are.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use crate::cli::exit::{Exit, Failure};

/// The directory of a cluster: configurations, data directories, process ids, and the socket.
#[derive(Clone, Debug)]
pub(super) struct ClusterDirectory {
    path: PathBuf,
    is_temporary: bool,
}

impl ClusterDirectory {
    /// The directory that the user named, or the temporary one of the cluster with this base port.
    pub(super) fn of(keep: Option<PathBuf>, base_port: u16) -> ClusterDirectory {
        match keep {
            Some(path) => ClusterDirectory { path, is_temporary: false },
            None => {
                let path = env::temp_dir().join(format!("dongting-dev-{base_port}"));
                ClusterDirectory { path, is_temporary: true }
            }
        }
    }

    /// Makes it ready for a cluster to start in, unless one runs there.
    pub(super) fn prepare(&self) -> Result<(), Failure> {
        if UnixStream::connect(self.socket()).is_ok() {
            let message = format!("a cluster is running in {} already", self.path.display());
            return Err(Failure::new(Exit::Other, message));
        }
        let cleared = if self.is_temporary { remove(&self.path) } else { Ok(()) };
        let made = cleared.and_then(|()| fs::create_dir_all(&self.path));
        let made = made.and_then(|()| match fs::remove_file(self.socket()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        });
        made.map_err(|error| {
            let message = format!("cannot use {}: {error}; use --keep DIR", self.path.display());
            Failure::new(Exit::Other, message)
        })
    }

    /// Removes what is of no use without a running cluster.
    pub(super) fn clear(&self) {
        // Leftovers are harmless: the next start removes them, and there is nobody to tell.
        let _ = if self.is_temporary { remove(&self.path) } else { fs::remove_file(self.socket()) };
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the cluster takes orders.
    pub(super) fn socket(&self) -> PathBuf {
        self.path.join("control")
    }

    /// The configuration of a node.
    pub(super) fn configuration(&self, node: u32) -> PathBuf {
        self.path.join(format!("node{node}.toml"))
    }

    /// The data of a node.
    pub(super) fn data(&self, node: u32) -> PathBuf {
        self.path.join(format!("node{node}"))
    }

    /// The process id of a node that runs.
    pub(super) fn process_id(&self, node: u32) -> PathBuf {
        self.path.join(format!("node{node}.pid"))
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
