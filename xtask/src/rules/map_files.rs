//! `lib.rs` and `mod.rs` are maps: documentation, `mod` lines, re-exports.

use crate::finding::Finding;
use crate::tree::Tree;

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust() {
        let is_map = matches!(file.stem(), "lib" | "mod") && !file.is_test();
        // A crate of one idea may be one file; it has no map to keep free.
        let has_modules = source.code.iter().any(|line| line.trim_start().contains("mod "));
        if !is_map || !has_modules {
            continue;
        }
        let logic = source.functions().into_iter().find(|f| f.first < source.tests_begin);
        if let Some(function) = logic.filter(|_| has_child_files(tree, &file.path)) {
            let message = format!(
                "function {} in a map file; move it to the file of its idea, and leave `mod` \
                 lines and re-exports here",
                function.name
            );
            findings.push(Finding::new(&file.path, function.first + 1, message));
        }
    }
    findings
}

fn has_child_files(tree: &Tree, path: &str) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    tree.rust().any(|(file, _)| {
        file.path != path
            && file.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::places;

    #[test]
    fn finds_logic_in_map_files() {
        let tree = Tree::of(&[
            ("a/src/lib.rs", "//! Map.\nmod b;\npub use b::B;\n"),
            ("a/src/b.rs", "pub fn b() {}\n"),
            ("c/src/lib.rs", "mod d;\nfn logic() {}\n"),
            ("c/src/d.rs", ""),
            ("e/src/lib.rs", "fn alone() {}\n#[cfg(test)]\nmod tests {}\n"),
        ]);
        assert_eq!(places(&check(&tree)), [("c/src/lib.rs", 2)]);
    }
}
