//! What cargo and git know about the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A package of the workspace.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Crate {
    /// Package name.
    pub(crate) name: String,
    /// Folder from the repository's root.
    pub(crate) folder: String,
    /// Packages of the workspace that it depends on, sorted; without those of its tests.
    pub(crate) imports: Vec<String>,
    /// Other packages that it depends on, sorted; without those of its tests.
    pub(crate) outside: Vec<String>,
    /// Root files of its targets, from the repository's root.
    pub(crate) roots: Vec<String>,
}

/// The folder of the workspace.
pub(crate) fn root() -> Result<PathBuf, String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().map(Path::to_owned).ok_or_else(|| "xtask has no parent folder".to_owned())
}

/// The packages of the workspace at `root`.
pub(crate) fn crates(root: &Path) -> Result<Vec<Crate>, String> {
    let arguments = ["metadata", "--no-deps", "--format-version", "1"];
    let text = output_of("cargo", &arguments, root)?;
    let metadata: Value =
        serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = list(&metadata["packages"]);
    let names: Vec<&str> = packages.iter().map(|package| text_of(&package["name"])).collect();
    let read = |package: &Value| {
        let depends = list(&package["dependencies"]).iter();
        let depends = depends.filter(|one| text_of(&one["kind"]) != "dev");
        let mut depends: Vec<&str> = depends.map(|one| text_of(&one["name"])).collect();
        depends.sort_unstable();
        depends.dedup();
        let (imports, outside): (Vec<&str>, Vec<&str>) =
            depends.into_iter().partition(|name| names.contains(name));
        let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
        let below_root = |path: &Value| {
            let path = Path::new(text_of(path));
            path.strip_prefix(root).unwrap_or(path).display().to_string()
        };
        let manifest = below_root(&package["manifest_path"]);
        Crate {
            name: text_of(&package["name"]).to_owned(),
            folder: manifest.trim_end_matches("Cargo.toml").trim_end_matches('/').to_owned(),
            imports: owned(imports),
            outside: owned(outside),
            roots: list(&package["targets"]).iter().map(|t| below_root(&t["src_path"])).collect(),
        }
    };
    Ok(packages.iter().map(read).collect())
}

/// First lines of all commits that are no merges, newest first, with their short ids.
pub(crate) fn commit_subjects(root: &Path) -> Result<Vec<(String, String)>, String> {
    let log = output_of("git", &["log", "--no-merges", "--format=%h %s"], root)?;
    let split = |line: &str| {
        let (id, subject) = line.split_once(' ').unwrap_or((line, ""));
        (id.to_owned(), subject.to_owned())
    };
    Ok(log.lines().map(split).collect())
}

/// Runs a program in `folder`; its standard output, or why it failed.
pub(crate) fn output_of(
    program: &str,
    arguments: &[&str],
    folder: &Path,
) -> Result<String, String> {
    let run = Command::new(program).args(arguments).current_dir(folder).output();
    let output = run.map_err(|error| format!("{program} cannot be run: {error}"))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} {}: {}", arguments.join(" "), message.trim()));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{program} printed bytes, not text"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
