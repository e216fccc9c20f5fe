//! All rules over the whole repository.

use crate::finding::Finding;
use crate::rules::{
    commits, determinism, layers, map_files, markdown, names, reachable, sizes, unsafe_reasons,
    words,
};
use crate::tree::Tree;
use crate::workspace;

/// Everything that any rule finds, sorted by place; an error when the repository cannot be read.
pub(crate) fn run() -> Result<Vec<Finding>, String> {
    let root = workspace::root()?;
    let tree = Tree::read(&root)?;
    let crates = workspace::crates(&root)?;
    let subjects = workspace::commit_subjects(&root)?;
    let mut findings = Vec::new();
    findings.extend(sizes::check(&tree));
    findings.extend(names::check(&tree));
    findings.extend(map_files::check(&tree));
    findings.extend(words::check(&tree));
    findings.extend(unsafe_reasons::check(&tree));
    findings.extend(determinism::check(&tree));
    findings.extend(layers::check(&tree, &crates));
    findings.extend(reachable::check(&tree, &crates));
    findings.extend(markdown::check(&tree));
    findings.extend(commits::check(&subjects));
    findings.sort();
    Ok(findings)
}
