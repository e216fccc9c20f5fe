//! Every `unsafe` says why it is sound.

use crate::finding::Finding;
use crate::rust::words;
use crate::tree::Tree;

/// The reason stands at most this many lines above.
const REACH: usize = 12;

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust() {
        for (index, line) in source.code.iter().enumerate() {
            if !words(line).any(|(_, word)| word == "unsafe") {
                continue;
            }
            let near = source.comments.iter().take(index + 1).skip(index.saturating_sub(REACH));
            let mut near = near;
            if !near.any(|text| text.contains("SAFETY:") || text.contains("# Safety")) {
                let message = "unsafe without a reason; write `// SAFETY: …` above the block, or a \
                               `# Safety` section for callers";
                findings.push(Finding::new(&file.path, index + 1, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::places;

    #[test]
    fn finds_unsafe_without_reason() {
        let tree = Tree::of(&[
            ("a.rs", "fn a() {\n    unsafe { b() }\n}\n"),
            ("b.rs", "// SAFETY: b has no conditions.\nunsafe { b() }\n"),
            ("c.rs", "/// # Safety\n/// Once.\npub unsafe fn c() {}\n"),
            ("d.rs", "#![deny(unsafe_code)] // unsafe\n"),
        ]);
        assert_eq!(places(&check(&tree)), [("a.rs", 2)]);
    }
}
