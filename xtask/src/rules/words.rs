//! Words that must not be committed: unfinished marks, dead code, paths of one machine.

use crate::finding::Finding;
use crate::tree::{File, Tree};

/// Written in two parts, so that this file does not contain them.
const MARKS: [[&str; 2]; 4] = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["HA", "CK:"]];
const MACHINE_PATHS: [[&str; 2]; 4] =
    [["/wo", "rk/"], ["/ho", "me/"], ["/ro", "ot/"], ["/Us", "ers/"]];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path != "Cargo.lock") {
        findings.extend(banned_words(file));
        findings.extend(dead_code(file));
    }
    findings
}

fn banned_words(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let has = |parts: &[&str; 2]| line.contains(&parts.concat());
        if let Some(mark) = MARKS.iter().find(|mark| has(mark)) {
            let message =
                format!("{}: do it now, or write an issue and leave no mark here", mark.concat());
            findings.push(Finding::new(&file.path, index + 1, message));
        }
        if let Some(path) = MACHINE_PATHS.iter().find(|path| has(path)) {
            let message = format!(
                "`{}` exists on one machine; use a relative path or a temporary directory",
                path.concat()
            );
            findings.push(Finding::new(&file.path, index + 1, message));
        }
    }
    findings
}

fn dead_code(file: &File) -> Vec<Finding> {
    let Some(source) = &file.source else { return Vec::new() };
    let is_dead = |comment: &str| {
        let text = comment.trim();
        let text = text.strip_prefix("//").filter(|rest| !rest.starts_with(['/', '!']));
        text.is_some_and(|text| looks_like_code(text.trim()))
    };
    let lines = source.comments.iter().enumerate().filter(|(_, comment)| is_dead(comment));
    let message = "code in a comment; remove it, the history keeps it";
    lines.map(|(index, _)| Finding::new(&file.path, index + 1, message)).collect()
}

fn looks_like_code(text: &str) -> bool {
    let starts = ["let ", "use ", "return ", "self.", "pub ", "fn ", "if ", "match ", "for ", "#["];
    let begins = starts.iter().any(|start| text.starts_with(start));
    let ends = text.ends_with(';') || text.ends_with('{') || text.ends_with("})");
    (begins && ends) || text.ends_with(");") || text == "}" || text == "};"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::places;

    #[test]
    fn finds_unfinished_marks_and_machine_paths() {
        let mark = format!("a\n// {}: later\n", MARKS[0].concat());
        let path = format!("see {}x\n", MACHINE_PATHS[0].concat());
        let tree = Tree::of(&[("a.rs", &mark), ("b.md", &path), ("Cargo.lock", &path)]);
        assert_eq!(places(&check(&tree)), [("a.rs", 2), ("b.md", 1)]);
    }

    #[test]
    fn finds_code_in_comments() {
        for code in ["let a = 1;", "self.step(now);", "if a {", "}", "call(a, b);", "use a::b;"] {
            let tree = Tree::of(&[("a.rs", &format!("//{code}\n// {code}\n"))]);
            assert_eq!(places(&check(&tree)), [("a.rs", 1), ("a.rs", 2)], "{code}");
        }
        for prose in ["// For instance (a, b).", "/// let a = 1;", "//! }", "a(); // why; or so;"] {
            let tree = Tree::of(&[("a.rs", prose)]);
            assert_eq!(places(&check(&tree)), [], "{prose}");
        }
    }
}
