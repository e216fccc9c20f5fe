//! Documents have one head, stay short, and link to what exists.

use crate::finding::Finding;
use crate::tree::{File, Tree};

const LINES_MAX: [(&str, usize); 3] =
    [("README.md", 120), ("docs/architecture.md", 250), ("docs/decisions/", 40)];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        findings.extend(heads(file));
        findings.extend(length(file));
        findings.extend(links(tree, file));
    }
    findings
}

fn heads(file: &File) -> Option<Finding> {
    let heads = prose(file).filter(|(_, line)| line.starts_with("# ")).count();
    let begins = file.text.starts_with("# ");
    (heads != 1 || !begins).then(|| {
        let message = format!("has {heads} heads `# …`; a document has one, in its first line");
        Finding::new(&file.path, 0, message)
    })
}

fn length(file: &File) -> Option<Finding> {
    let (_, most) = LINES_MAX.iter().find(|(prefix, _)| file.path.starts_with(prefix))?;
    let lines = file.text.lines().count();
    let message = format!("{lines} lines, at most {most}; move detail to a document of its own");
    (lines > *most).then(|| Finding::new(&file.path, 0, message))
}

fn links(tree: &Tree, file: &File) -> Vec<Finding> {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut findings = Vec::new();
    for (line, text) in prose(file) {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            let full = resolve(folder, path);
            let is_there = |one: &File| {
                one.path == full || one.path.strip_prefix(&full).is_some_and(|r| r.starts_with('/'))
            };
            if !tree.files.iter().any(is_there) {
                let message =
                    format!("link to `{target}`, which is not there; correct or remove it");
                findings.push(Finding::new(&file.path, line + 1, message));
            }
        }
    }
    findings
}

/// The lines outside code blocks, with their indexes.
fn prose(file: &File) -> impl Iterator<Item = (usize, &str)> {
    let mut in_block = false;
    file.text.lines().enumerate().filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        !in_block && !is_fence
    })
}

fn resolve(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::places;

    #[test]
    fn finds_wrong_heads_and_lengths() {
        let long = format!("# A\n{}", "line\n".repeat(120));
        let tree = Tree::of(&[
            ("README.md", &long),
            ("docs/a.md", "# A\n```\n# comment\n```\n## B\n"),
            ("docs/b.md", "# A\n# B\n"),
            ("docs/c.md", "text\n# A\n"),
        ]);
        assert_eq!(places(&check(&tree)), [("README.md", 0), ("docs/b.md", 0), ("docs/c.md", 0)]);
    }

    #[test]
    fn finds_links_to_nothing() {
        let text =
            "# A\n[b](b.md) [c](../x/c.rs#L1) [d](https://d) [e](#e) [x](../x/)\n[f](f.md)\n";
        let tree = Tree::of(&[("docs/a.md", text), ("docs/b.md", "# B"), ("x/c.rs", "")]);
        assert_eq!(places(&check(&tree)), [("docs/a.md", 3)]);
    }
}
