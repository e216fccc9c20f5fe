//! What makes two runs differ, or escapes the simulator: real time, real files, real sockets,
//! threads, randomness, the order of a hash map, a queue without a bound.

use crate::finding::Finding;
use crate::rust::{Source, words};
use crate::tree::{File, Tree};

/// Who may use a thing: everything below these paths. Tests may use all of them.
struct Ban {
    /// A path as in `use`, or the beginning of one.
    path: &'static str,
    /// What to use instead.
    instead: &'static str,
    allowed: &'static [&'static str],
}

/// Programs and tools that run outside a node, and the crate that hides the machine.
const MACHINE: &[&str] = &[
    "runtime/src/",
    "client/drivers/src/blocking",
    "bench/",
    "server/src/cli/",
    "server/src/main.rs",
    "server/src/config/load.rs",
    "server/src/node.rs",
    "sim/src/cli.rs",
    "sim/src/exhaust/command.rs",
    "sim/src/soak.rs",
    "xtask/",
];
const HASHED: &[&str] = &["bench/", "xtask/"];
/// The backend over the real machine.
const HOST: &[&str] = &["runtime/src/host/"];

const BANS: &[Ban] = &[
    Ban { path: "std::fs", instead: "runtime::Storage", allowed: MACHINE },
    Ban { path: "std::thread", instead: "a fiber of a runtime::FiberGroup", allowed: MACHINE },
    Ban { path: "std::time::Instant", instead: "runtime::Clock::now", allowed: MACHINE },
    Ban { path: "std::time::SystemTime", instead: "runtime::Clock::wall", allowed: MACHINE },
    Ban { path: "std::net::TcpStream", instead: "runtime::Stream", allowed: MACHINE },
    Ban { path: "std::net::TcpListener", instead: "runtime::Listener", allowed: MACHINE },
    Ban { path: "std::net::UdpSocket", instead: "runtime::Network", allowed: MACHINE },
    Ban { path: "rand", instead: "runtime::Random", allowed: &[] },
    Ban { path: "fastrand", instead: "runtime::Random", allowed: &[] },
    Ban { path: "getrandom", instead: "runtime::Random", allowed: &[] },
    Ban {
        path: "std::collections::HashMap",
        instead: "BTreeMap, a Vec, or hashbrown::HashTable without iteration",
        allowed: HASHED,
    },
    Ban {
        path: "std::collections::HashSet",
        instead: "BTreeSet, or a sorted Vec",
        allowed: HASHED,
    },
    Ban {
        path: "std::sync::mpsc::channel",
        instead: "a bounded runtime::channel or sync_channel",
        allowed: HOST,
    },
    Ban { path: "glommio", instead: "a type of the runtime crate", allowed: HOST },
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust().filter(|(file, _)| !file.is_test()) {
        for ban in BANS {
            if !ban.allowed.iter().any(|prefix| file.path.starts_with(prefix)) {
                findings.extend(uses(file, source, ban));
            }
        }
        for (index, line) in source.product_code() {
            if words(line).any(|(_, word)| word.starts_with("unbounded")) {
                let message = "a queue without a bound; use runtime::channel with a capacity";
                findings.push(Finding::new(&file.path, index + 1, message));
            }
        }
    }
    findings
}

/// Lines that import the banned path, write it out, or reach it through an imported parent.
fn uses(file: &File, source: &Source, ban: &Ban) -> Vec<Finding> {
    let imports = source.imports();
    let below = |path: &str, parent: &str| {
        path.strip_prefix(parent)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || rest.starts_with("as"))
    };
    let mut lines: Vec<usize> =
        imports.iter().filter(|(_, path)| below(path, ban.path)).map(|(line, _)| *line).collect();
    // `use std::time;` and then `time::Instant`.
    let (parent, short) = match ban.path.rsplit_once("::") {
        Some((parent, name)) => {
            let last = parent.rsplit("::").next().unwrap_or(parent);
            (Some(parent), format!("{last}::{name}"))
        }
        None => (None, format!("{}::", ban.path)),
    };
    let parent_imported = parent.is_none_or(|parent| {
        imports.iter().any(|(_, path)| path == parent || *path == format!("{parent}::self"))
    });
    for (index, line) in source.product_code() {
        let written = if ban.path.contains("::") { ban.path } else { &short };
        if mentions(line, written) || (parent_imported && mentions(line, &short)) {
            lines.push(index);
        }
    }
    lines.sort_unstable();
    lines.dedup();
    let message = format!("`{}` is not for this file; use {}", ban.path, ban.instead);
    lines.into_iter().map(|line| Finding::new(&file.path, line + 1, message.clone())).collect()
}

/// Whether `line` contains `path` at the borders of words.
fn mentions(line: &str, path: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + path.len()..].chars().next();
        let free = before.is_none_or(|c| !is_word(c) && c != ':');
        free && (path.ends_with(':') || after.is_none_or(|c| !is_word(c)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::places;

    #[test]
    fn finds_what_escapes_the_simulator() {
        for code in [
            "use std::fs;",
            "use std::fs::File;",
            "use std::{fmt, fs as files};",
            "fn a() { std::fs::read(p); }",
            "use std::time::{Duration, Instant};",
            "fn a() { std::thread::sleep(d) }",
            "use std::collections::{BTreeMap, HashMap};",
            "fn a() { rand::random() }",
            "fn a() -> std::sync::mpsc::channel() {}",
            "fn a() { unbounded_channel() }",
            "use glommio::Task;",
        ] {
            let tree = Tree::of(&[("server/src/reads.rs", code)]);
            assert_eq!(places(&check(&tree)), [("server/src/reads.rs", 1)], "{code}");
        }
        let tree = Tree::of(&[(
            "raft/host/src/a.rs",
            "use std::time;\nfn a() {\n time::Instant::now()\n}\n",
        )]);
        assert_eq!(places(&check(&tree)), [("raft/host/src/a.rs", 3)]);
    }

    #[test]
    fn leaves_tools_tests_and_plain_words_alone() {
        let files = "use std::fs;\nuse std::time::Instant;\n";
        let harmless = "use std::time::Duration;\nlet fs = 1; // std::fs\nlet s = \"std::fs\";\n\
                        fn operand() {}\nx.thread::<u8>();\n";
        let in_tests = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{files}}}\n");
        let tree = Tree::of(&[
            ("xtask/src/main.rs", files),
            ("server/src/cli/kv.rs", files),
            ("server/tests/cluster.rs", files),
            ("server/src/shard.rs", harmless),
            ("server/src/mail.rs", &in_tests),
            ("runtime/src/host/boot.rs", "use glommio::Task;"),
        ]);
        assert_eq!(check(&tree), []);
    }
}
