//! `serve` and `dev`.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use super::configuration;
use super::exit::{Exit, Failure};
use crate::config::Config;
use crate::node;

/// Runs a node until it is asked to stop.
pub(super) fn serve(file: &Path) -> Result<(), Failure> {
    Ok(node::serve(configuration::load(file)?)?)
}

/// Runs a development node until it is asked to stop.
pub(super) fn dev(keep: Option<PathBuf>, base_port: u16) -> Result<(), Failure> {
    let Some(directory) = keep else {
        let temporary = TemporaryDirectory::create()?;
        return Ok(node::serve(Config::dev(1, base_port, temporary.path.clone()))?);
    };
    Ok(node::serve(Config::dev(1, base_port, directory))?)
}

/// A directory of this process alone, removed with everything in it when dropped.
struct TemporaryDirectory {
    path: PathBuf,
}

impl TemporaryDirectory {
    fn create() -> Result<TemporaryDirectory, Failure> {
        let path = env::temp_dir().join(format!("dongting-dev-{}", process::id()));
        match fs::create_dir(&path) {
            Ok(()) => Ok(TemporaryDirectory { path }),
            Err(error) => {
                let message = format!("cannot make {}: {error}; use --keep DIR", path.display());
                Err(Failure::new(Exit::Other, message))
            }
        }
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        // A leftover in the temporary directory is harmless, and there is nobody to tell.
        let _ = fs::remove_dir_all(&self.path);
    }
}
