//! What could come next in a line: verbs, and paths that are there.

use std::cell::RefCell;
use std::rc::Rc;

use client::blocking::Client;
use client::operations::ListPart;
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

/// Asks the server for paths.
pub(super) struct Paths {
    pub(super) client: Rc<RefCell<Client>>,
    pub(super) verbs: Vec<String>,
}

/// How much of a directory is looked at: more candidates would help nobody.
const PAGE_BYTES: usize = 256 << 10;

impl Completer for Paths {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let (start, begun, is_first) = begun(line, position);
        let candidates = match is_first {
            true => {
                let fitting = self.verbs.iter().filter(|verb| verb.starts_with(begun));
                fitting.map(|verb| format!("{verb} ")).collect()
            }
            false => self.paths(begun),
        };
        Ok((start, candidates))
    }
}

/// The word at the cursor as far as it goes: where it starts, and whether it is the first one.
fn begun(line: &str, position: usize) -> (usize, &str, bool) {
    let before = line.get(..position).unwrap_or(line);
    let start = before.rfind([' ', '\t']).map_or(0, |blank| blank + 1);
    let (earlier, word) = before.split_at_checked(start).unwrap_or_default();
    (start, word, earlier.trim().is_empty())
}

impl Paths {
    /// Paths that begin like this; directories end with the dot that goes on. A server that does not
    /// answer offers none.
    fn paths(&self, begun: &str) -> Vec<String> {
        let (directory, name) = begun.rsplit_once('.').unwrap_or(("", begun));
        let part = ListPart { key: directory.as_bytes(), cursor: b"", page_bytes: PAGE_BYTES };
        let Ok(listed) = self.client.borrow_mut().call(&part) else { return Vec::new() };
        let prefix = begun.strip_suffix(name).unwrap_or_default();
        let path = |child: &client::operations::Child| {
            let child_name = str::from_utf8(&child.name).ok()?;
            let end = if child.node.is_directory() { "." } else { "" };
            child_name.starts_with(name).then(|| format!("{prefix}{child_name}{end}"))
        };
        let mut paths: Vec<String> = listed.children.iter().filter_map(path).collect();
        paths.sort();
        paths
    }
}

impl Hinter for Paths {
    type Hint = String;
}

impl Highlighter for Paths {}
impl Validator for Paths {}
impl Helper for Paths {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_at_the_cursor_is_completed() {
        assert_eq!(begun("ge", 2), (0, "ge", true));
        assert_eq!(begun("  ge", 4), (2, "ge", true));
        assert_eq!(begun("get a.b", 7), (4, "a.b", false));
        assert_eq!(begun("get a.b", 5), (4, "a", false));
        assert_eq!(begun("get ", 4), (4, "", false));
        assert_eq!(begun("", 0), (0, "", true));
    }
}
