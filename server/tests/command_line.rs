//! The binary as a script sees it: output and exit codes of the verbs that need no server.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::process::{Command, Output};

fn dongting(arguments: &[&str]) -> Output {
    let binary = env!("CARGO_BIN_EXE_dongting");
    Command::new(binary).args(arguments).env_clear().output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn help_lists_verbs_and_exit_codes() {
    let help = dongting(&["--help"]);
    assert_eq!(code(&help), 0);
    for word in ["serve", "dev", "kv", "status", "config", "inspect", "bench", "outcome unknown"] {
        assert!(stdout(&help).contains(word), "{word}");
    }
}

#[test]
fn wrong_usage_is_code_2() {
    for arguments in [&["unknown"][..], &[], &["kv", "put", "a"], &["status", "--timeout", "5"]] {
        assert_eq!(code(&dongting(arguments)), 2, "{arguments:?}");
    }
}

#[test]
fn printed_defaults_are_a_valid_configuration() {
    let defaults = dongting(&["config", "defaults"]);
    assert_eq!(code(&defaults), 0);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("node.toml");
    std::fs::write(&file, &defaults.stdout).unwrap();
    let file = file.to_str().unwrap();
    let check = dongting(&["config", "check", file]);
    assert_eq!((code(&check), stdout(&check)), (0, format!("{file}: valid\n").as_str()));
    let show = dongting(&["config", "show", file, "-o", "json"]);
    let shown: serde_json::Value = serde_json::from_slice(&show.stdout).unwrap();
    assert_eq!(shown["raft"]["election_timeout"], "1s");
    assert_eq!(shown["groups"][0]["members"], serde_json::json!([1]));
}

#[test]
fn an_invalid_configuration_is_code_8() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("node.toml");
    std::fs::write(&file, "[raft]\nheartbeat_intervall = \"1s\"\n").unwrap();
    let file = file.to_str().unwrap();
    let message = format!(
        "{file}:2: unknown key `heartbeat_intervall` in [raft]; \
         did you mean `heartbeat_interval`?\n"
    );
    for arguments in [&["config", "check", file][..], &["serve", "--config", file]] {
        let output = dongting(arguments);
        assert_eq!((code(&output), stderr(&output)), (8, message.as_str()));
    }
    assert_eq!(code(&dongting(&["config", "check", "/nonexistent"])), 8);
}
