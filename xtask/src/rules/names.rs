//! File names that say nothing.

use crate::finding::Finding;
use crate::tree::Tree;

const BANNED: [&str; 12] = [
    "util", "utils", "common", "helper", "helpers", "misc", "inner", "impl", "impls", "manager",
    "base", "shared",
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, _) in tree.rust() {
        let folder_name = file.path.rsplit('/').nth(1);
        let name = if file.stem() == "mod" { folder_name.unwrap_or("mod") } else { file.stem() };
        if BANNED.contains(&name) {
            let message = format!(
                "`{name}` is a place, not an idea; name the file after what it holds, or move its \
                 parts to their users"
            );
            findings.push(Finding::new(&file.path, 0, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::places;

    #[test]
    fn finds_names_without_meaning() {
        let tree = Tree::of(&[
            ("a/src/utils.rs", ""),
            ("a/src/common/mod.rs", ""),
            ("a/src/quorum.rs", ""),
            ("a/src/log/mod.rs", ""),
            ("base/src/lib.rs", ""),
        ]);
        assert_eq!(places(&check(&tree)), [("a/src/utils.rs", 0), ("a/src/common/mod.rs", 0)]);
    }
}
