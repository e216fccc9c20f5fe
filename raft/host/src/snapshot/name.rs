//! Names of snapshot files.

use raft_core::{Index, Position, Term};

const SUFFIX: &str = ".snapshot";
const INDEX_DIGITS: usize = 20;
const TERM_DIGITS: usize = 10;
/// A file that is being saved.
pub const NEW: &str = ".new";
/// A file that is being received.
pub const PART: &str = ".part";
/// A file that was found damaged.
pub const DAMAGED: &str = ".damaged";

/// The file name of a snapshot that covers everything up to an entry. Names sort as indexes do.
pub fn snapshot_name(position: Position) -> String {
    let Position { index, term } = position;
    format!("{:0INDEX_DIGITS$}-{:0TERM_DIGITS$}{SUFFIX}", index.0, term.0)
}

/// The entry in a snapshot's file name, `None` for any other file.
pub fn snapshot_position(name: &str) -> Option<Position> {
    let (index, term) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let is_number = |digits: &str, length| {
        digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !is_number(index, INDEX_DIGITS) || !is_number(term, TERM_DIGITS) {
        return None;
    }
    Some(Position { index: Index(index.parse().ok()?), term: Term(term.parse().ok()?) })
}

/// Whether a file was left by a process that died while it saved or received.
pub fn is_unfinished(name: &str) -> bool {
    [NEW, PART].iter().any(|end| name.strip_suffix(end).and_then(snapshot_position).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_snapshots_have_a_position_and_names_sort_by_it() {
        let at = |index, term| Position { index: Index(index), term: Term(term) };
        for position in [at(0, 0), at(42, 7), at(u64::MAX, u32::MAX)] {
            assert_eq!(snapshot_position(&snapshot_name(position)), Some(position));
        }
        assert!(snapshot_name(at(9, 9)) < snapshot_name(at(10, 1)));
        for name in ["1-1.snapshot", "00000000000000000001.log", "x", ".snapshot", "+.snapshot"] {
            assert_eq!(snapshot_position(name), None, "{name}");
        }
        let name = snapshot_name(at(5, 1));
        assert!(!is_unfinished(&name) && is_unfinished(&format!("{name}.new")));
        assert!(is_unfinished(&format!("{name}.part")) && !is_unfinished("x.new"));
    }
}
