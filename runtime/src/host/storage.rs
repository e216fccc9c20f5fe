//! Directory operations, on the shard's blocking thread: io_uring has some of them, but they
//! are rare and the kernel runs them on a thread too.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use crate::OpenOptions;
use crate::host::HostFile;

/// The data directory.
#[derive(Clone)]
pub(crate) struct HostStorage {
    root: Rc<Path>,
}

impl HostStorage {
    pub(crate) fn new(root: &Path) -> HostStorage {
        HostStorage { root: Rc::from(root) }
    }

    pub(crate) async fn create_dir_all(&self, path: &str) -> io::Result<()> {
        self.run(path, |path| fs::create_dir_all(path)).await
    }

    pub(crate) async fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.run(dir, |dir| {
            let mut names = Vec::new();
            for entry in fs::read_dir(dir)? {
                let name = entry?.file_name().into_string().map_err(|name| {
                    let text = format!("the name {} is not text", name.display());
                    io::Error::new(io::ErrorKind::InvalidData, text)
                })?;
                names.push(name);
            }
            names.sort_unstable();
            Ok(names)
        })
        .await
    }

    pub(crate) async fn exists(&self, path: &str) -> io::Result<bool> {
        self.run(path, |path| path.try_exists()).await
    }

    pub(crate) async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let to = self.place(to)?;
        self.run(from, move |from| fs::rename(from, to)).await
    }

    pub(crate) async fn remove_file(&self, path: &str) -> io::Result<()> {
        self.run(path, |path| fs::remove_file(path)).await
    }

    pub(crate) async fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        self.run(path, |path| fs::remove_dir_all(path)).await
    }

    pub(crate) async fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.run(dir, |dir| File::open(dir)?.sync_all()).await
    }

    pub(crate) async fn open(&self, path: &str, options: OpenOptions) -> io::Result<HostFile> {
        HostFile::open(&self.place(path)?, options).await
    }

    /// Runs `operation` on the blocking thread. Errors name the path.
    async fn run<T: Send + 'static>(
        &self,
        path: &str,
        operation: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let path = self.place(path)?;
        glommio::executor()
            .spawn_blocking(move || {
                operation(&path).map_err(|error| {
                    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
                })
            })
            .await
    }

    /// Where a path of the data directory lies; it must stay below it.
    fn place(&self, path: &str) -> io::Result<PathBuf> {
        let is_below = Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !is_below {
            let text = format!("the path {path} leads out of the data directory");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(self.root.join(path))
    }
}
