//! Subjects of commits: `area: imperative`, at most 72 characters.

use crate::finding::Finding;

const SUBJECT_MAX: usize = 72;
/// Forms that are often written in place of the imperative. Grammar is left to people beyond these.
const INFLECTED: [&str; 15] = [
    "added", "adds", "adding", "fixed", "fixes", "fixing", "removed", "removes", "removing",
    "changed", "changes", "changing", "updated", "updates", "updating",
];

pub(crate) fn check(subjects: &[(String, String)]) -> Vec<Finding> {
    let wrong = subjects.iter().filter_map(|(id, subject)| Some((id, problem(subject)?)));
    let place = |id: &str| format!("commit {id}");
    wrong.map(|(id, message)| Finding::new(&place(id), 0, message)).collect()
}

fn problem(subject: &str) -> Option<&'static str> {
    if subject.chars().count() > SUBJECT_MAX {
        return Some("subject is longer than 72 characters; move detail into the body");
    }
    let is_area = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_./, ".contains(c);
    let split =
        subject.split_once(": ").filter(|(area, _)| !area.is_empty() && area.chars().all(is_area));
    let Some((_, rest)) = split else {
        return Some("subject is not `area: imperative`, as in `raft-core: refuse stale votes`");
    };
    let verb = rest.split([' ', ',']).next().unwrap_or_default();
    if INFLECTED.contains(&verb) {
        return Some("subject does not begin with an imperative; write `add`, not `added`");
    }
    rest.ends_with('.').then_some("subject ends with a full stop; remove it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_good_subjects_from_others() {
        for good in ["raft-core: refuse stale votes", "docs: say why", "net/wire, kv: feed bytes"] {
            assert_eq!(problem(good), None, "{good}");
        }
        let long = format!("kv: {}", "a".repeat(SUBJECT_MAX));
        for bad in ["Fix it", "kv: added a test", "kv: adding a test", "kv: stop.", "Kv: a", &long]
        {
            assert!(problem(bad).is_some(), "{bad}");
        }
        let subjects = [("1234abc".to_owned(), "no area".to_owned())];
        assert_eq!(check(&subjects)[0].path, "commit 1234abc");
    }
}
