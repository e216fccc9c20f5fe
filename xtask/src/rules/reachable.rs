//! Every Rust file belongs to a target: no file is dead.

use std::collections::BTreeSet;

use crate::finding::Finding;
use crate::rust::words;
use crate::tree::{File, Tree};
use crate::workspace::Crate;

pub(crate) fn check(tree: &Tree, crates: &[Crate]) -> Vec<Finding> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<&str> =
        crates.iter().flat_map(|one| one.roots.iter().map(String::as_str)).collect();
    let roots: BTreeSet<&str> = waiting.iter().copied().collect();
    while let Some(path) = waiting.pop() {
        let Some(file) = tree.file(path) else { continue };
        if reached.insert(file.path.as_str()) {
            waiting.extend(children(tree, file, roots.contains(path)));
        }
    }
    let message = "no `mod` line leads here; add it to its parent, or remove the file";
    let dead = tree.rust().filter(|(file, _)| !reached.contains(file.path.as_str()));
    dead.map(|(file, _)| Finding::new(&file.path, 0, message)).collect()
}

/// The files that the `mod name;` lines of a file stand for.
fn children<'t>(tree: &'t Tree, file: &File, is_root: bool) -> Vec<&'t str> {
    let Some(source) = &file.source else { return Vec::new() };
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let beside = if is_root || file.stem() == "mod" {
        folder.to_owned()
    } else {
        format!("{folder}/{}", file.stem())
    };
    let mut found = Vec::new();
    let mut given_path = None;
    for (line, written) in source.code.iter().zip(file.text.lines()) {
        if line.trim_start().starts_with("#[path") {
            given_path = written.split('"').nth(1);
        }
        let names: Vec<&str> = words(line).map(|(_, word)| word).collect();
        let position = names.iter().position(|word| *word == "mod");
        let name = position.and_then(|at| names.get(at + 1)).filter(|_| line.contains(';'));
        let Some(name) = name else { continue };
        let candidates = match given_path.take() {
            Some(path) => [format!("{folder}/{path}"), String::new()],
            None => [format!("{beside}/{name}.rs"), format!("{beside}/{name}/mod.rs")],
        };
        let files = candidates.iter().filter_map(|path| tree.file(path));
        found.extend(files.map(|file| file.path.as_str()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::places;

    #[test]
    fn finds_files_that_no_module_names() {
        let tree = Tree::of(&[
            ("a/src/lib.rs", "pub mod b;\nmod c;\n// mod dead;\n#[path = \"x/y.rs\"]\nmod z;\n"),
            ("a/src/b.rs", "mod d;"),
            ("a/src/b/d.rs", ""),
            ("a/src/c/mod.rs", "pub(crate) mod e;"),
            ("a/src/c/e.rs", ""),
            ("a/src/x/y.rs", ""),
            ("a/src/dead.rs", "mod b;"),
            ("a/tests/t.rs", "mod parts;"),
            ("a/tests/parts/mod.rs", ""),
        ]);
        let roots = vec!["a/src/lib.rs".to_owned(), "a/tests/t.rs".to_owned()];
        let crates = [Crate { roots, ..Crate::default() }];
        assert_eq!(places(&check(&tree, &crates)), [("a/src/dead.rs", 0)]);
    }
}
