//! Golden scripts: commands above a line of dashes, what happens below it.
//!
//! `GOLDEN=1` writes what happens; then read the difference like code.

#![expect(clippy::expect_used, reason = "a test ends at the first surprise")]

mod script;

use std::path::PathBuf;

use script::Session;

#[test]
fn scripts_do_what_they_did() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let entries = std::fs::read_dir(folder).expect("readable");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "only {} scripts", paths.len());
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("readable");
        let (commands, _) = text.split_once("----\n").expect("a line of dashes");
        let mut session = Session::new();
        for line in commands.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            session.run(line);
        }
        let updated = format!("{commands}----\n{}", session.trace);
        if std::env::var_os("GOLDEN").is_some() {
            std::fs::write(&path, updated).expect("writable");
        } else {
            assert_eq!(text, updated, "{}: run with GOLDEN=1", path.display());
        }
    }
}
