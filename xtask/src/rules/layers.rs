//! The crate table of `docs/architecture.md` and what cargo sees are the same.
//!
//! The table is the one whose head is `| crate | folder | half | workspace imports | outside crates |`.

use crate::finding::Finding;
use crate::tree::Tree;
use crate::workspace::Crate;

const DOCUMENT: &str = "docs/architecture.md";
const HEAD: [&str; 5] = ["crate", "folder", "half", "workspace imports", "outside crates"];

struct Row {
    line: usize,
    name: String,
    folder: String,
    is_pure: bool,
    imports: Vec<String>,
    outside: Vec<String>,
}

pub(crate) fn check(tree: &Tree, crates: &[Crate]) -> Vec<Finding> {
    let Some(document) = tree.file(DOCUMENT) else {
        return vec![Finding::new(DOCUMENT, 0, "is not there; it holds the table of crates")];
    };
    let rows = table(&document.text);
    let mut findings = Vec::new();
    for row in &rows {
        match crates.iter().find(|one| one.name == row.name) {
            Some(found) => findings.extend(compare(row, found)),
            None => {
                let message = format!("the workspace has no crate {}; remove the row", row.name);
                findings.push(Finding::new(DOCUMENT, row.line, message));
            }
        }
        findings.extend(purity(tree, row));
    }
    for missing in crates.iter().filter(|one| !rows.iter().any(|row| row.name == one.name)) {
        let message = format!("crate {} has no row in the table of crates; add one", missing.name);
        findings.push(Finding::new(DOCUMENT, 0, message));
    }
    findings
}

fn table(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        if cells == HEAD {
            inside = true;
        } else if !line.trim_start().starts_with('|') {
            inside = false;
        } else if let [name, folder, half, imports, outside] = cells.as_slice()
            && inside
            && !name.starts_with("--")
        {
            rows.push(Row {
                line: index + 1,
                name: bare(name),
                folder: bare(folder),
                is_pure: *half == "pure",
                imports: names(imports),
                outside: names(outside),
            });
        }
    }
    rows
}

fn bare(cell: &str) -> String {
    cell.trim_matches('`').trim_end_matches('/').to_owned()
}

fn names(cell: &str) -> Vec<String> {
    let listed = cell.split(',').map(|name| bare(name.trim()));
    let mut listed: Vec<String> =
        listed.filter(|name| !matches!(name.as_str(), "" | "–")).collect();
    listed.sort();
    listed
}

fn compare(row: &Row, found: &Crate) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut differ = |message: String| findings.push(Finding::new(DOCUMENT, row.line, message));
    if row.folder != found.folder {
        differ(format!("crate {} is in `{}`", row.name, found.folder));
    }
    for (kind, table, cargo) in
        [("workspace", &row.imports, &found.imports), ("outside", &row.outside, &found.outside)]
    {
        for extra in cargo.iter().filter(|name| !table.contains(name)) {
            differ(format!(
                "{} depends on the {kind} crate {extra}, which its row does not allow; remove the \
                 dependency, or allow it in a commit of its own that says why",
                row.name
            ));
        }
        for unused in table.iter().filter(|name| !cargo.contains(name)) {
            differ(format!(
                "{} does not depend on the {kind} crate {unused}; remove it from the row",
                row.name
            ));
        }
    }
    findings
}

fn purity(tree: &Tree, row: &Row) -> Option<Finding> {
    let path = format!("{}/src/lib.rs", row.folder);
    let source = tree.file(&path).and_then(|file| file.source.as_ref())?;
    let is_no_std = source.code.iter().any(|line| line.trim() == "#![no_std]");
    let message = match (row.is_pure, is_no_std) {
        (true, false) => {
            "a pure crate begins with `#![no_std]`: time, seeds and limits are arguments"
        }
        (false, true) => "a crate with `#![no_std]` is `pure` in the table of crates",
        _ => return None,
    };
    Some(Finding::new(&path, 1, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
| crate | folder | half | workspace imports | outside crates |
|---|---|---|---|---|
| `wire` | `net/wire/` | pure | – | `bytes` |
| `rpc` | `net/rpc/` | host | `wire`, `runtime` | – |

| `other` | `table` | pure | – | – |
";

    fn one(name: &str, folder: &str, imports: &[&str], outside: &[&str]) -> Crate {
        let owned = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        Crate {
            name: name.to_owned(),
            folder: folder.to_owned(),
            imports: owned(imports),
            outside: owned(outside),
            roots: Vec::new(),
        }
    }

    fn messages(wire: &str, crates: &[Crate]) -> String {
        let tree = Tree::of(&[(DOCUMENT, TABLE), ("net/wire/src/lib.rs", wire)]);
        let lines: Vec<String> = check(&tree, crates).iter().map(|f| f.to_string()).collect();
        lines.join("\n")
    }

    #[test]
    fn agrees_when_nothing_differs() {
        let wire = one("wire", "net/wire", &[], &["bytes"]);
        let rpc = one("rpc", "net/rpc", &["runtime", "wire"], &[]);
        assert_eq!(messages("#![no_std]\n", &[wire, rpc]), "");
    }

    #[test]
    fn finds_every_difference() {
        let wire = one("wire", "wire", &[], &["tokio"]);
        let found = messages("//! std\n", &[wire, one("new", "new", &[], &[])]);
        for expected in [
            "crate wire is in `wire`",
            "wire depends on the outside crate tokio, which its row does not allow",
            "wire does not depend on the outside crate bytes",
            "net/wire/src/lib.rs:1: a pure crate begins with `#![no_std]`",
            "the workspace has no crate rpc",
            "crate new has no row",
        ] {
            assert!(found.contains(expected), "{expected} not in\n{found}");
        }
        assert_eq!(check(&Tree::of(&[]), &[]).len(), 1);
    }
}
