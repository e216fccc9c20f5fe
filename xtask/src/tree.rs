//! The files of the repository.

use std::path::Path;
use std::{fs, str};

use crate::rust::Source;
use crate::workspace::output_of;

/// All text files that git knows or would take, by path.
pub(crate) struct Tree {
    /// In the order of their paths.
    pub(crate) files: Vec<File>,
}

/// A text file.
pub(crate) struct File {
    /// Path from the repository's root, `/` separated.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
    /// For a Rust file: code and comments apart.
    pub(crate) source: Option<Source>,
}

impl Tree {
    /// Reads every file below `root` that is not ignored; files that are not text are left out.
    pub(crate) fn read(root: &Path) -> Result<Tree, String> {
        let list = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
        let mut files = Vec::new();
        for path in output_of("git", &list, root)?.split('\0').filter(|path| !path.is_empty()) {
            // A file that was removed without telling git is listed, and is not there.
            let Ok(bytes) = fs::read(root.join(path)) else { continue };
            if let Ok(text) = str::from_utf8(&bytes) {
                files.push(File::new(path, text));
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Tree { files })
    }

    /// The Rust files with code and comments apart.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&File, &Source)> {
        self.files.iter().filter_map(|file| Some((file, file.source.as_ref()?)))
    }

    /// The file at this path.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        Tree { files: files.iter().map(|(path, text)| File::new(path, text)).collect() }
    }
}

impl File {
    fn new(path: &str, text: &str) -> File {
        let source = path.ends_with(".rs").then(|| Source::split(text));
        File { path: path.to_owned(), text: text.to_owned(), source }
    }

    /// Whether the file belongs to a test, an example or a measurement: it runs on a developer's
    /// machine alone.
    pub(crate) fn is_test(&self) -> bool {
        let is_folder = |part: &str| matches!(part, "tests" | "examples" | "benches");
        self.path.split('/').any(is_folder) || self.path.ends_with("/tests.rs")
    }

    /// Name without folders and without `.rs`.
    pub(crate) fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name.strip_suffix(".rs").unwrap_or(name)
    }
}
