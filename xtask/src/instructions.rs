//! What a request costs in processor instructions, so that a slower path does not go unnoticed:
//! `cargo xtask instructions`, with `--write` to make the figures of now the expected ones.
//!
//! Instructions are counted by cachegrind. They do not depend on what else the machine does, but on
//! the compiler: figures of another one are printed and not judged. A path is carried out for two
//! counts of requests; the difference leaves the start out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What is expected, and the program that is counted.
const EXPECTED: &str = "server/examples/instructions/instructions.txt";
/// By how many hundredths a path may differ, either way: what the processors of two machines make
/// of it differs by less.
const TOLERANCE: u64 = 5;
/// How many requests of a path are counted.
const REQUESTS: u64 = 10_000;
/// The paths, in the order of a request's way.
const PATHS: [&str; 7] =
    ["decode", "propose", "record", "apply", "reply", "one-node", "three-nodes"];

/// Counts all paths; compares, or writes.
pub(crate) fn run(write: bool) -> ExitCode {
    match count_all().and_then(|found| if write { store(&found) } else { compare(&found) }) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("instructions: {message}");
            ExitCode::from(2)
        }
    }
}

type Figures = BTreeMap<String, u64>;

fn count_all() -> Result<Figures, String> {
    let program = build()?;
    PATHS
        .into_iter()
        .map(|path| {
            let few = count(&program, path, REQUESTS)?;
            let many = count(&program, path, 2 * REQUESTS)?;
            Ok((path.to_owned(), many.saturating_sub(few) / REQUESTS))
        })
        .collect()
}

/// Builds the program and says where it is.
fn build() -> Result<PathBuf, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = "build --quiet --release --package server --example instructions \
                     --message-format json";
    let mut command = Command::new(cargo);
    let output = command.args(arguments.split_whitespace()).output();
    let output = output.map_err(|error| format!("cargo does not start: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let artifacts = said.lines().filter_map(|line| serde_json::from_str(line).ok());
    let executable = |artifact: serde_json::Value| {
        let is_program = artifact["target"]["name"] == "instructions";
        is_program.then(|| artifact["executable"].as_str().map(PathBuf::from))?
    };
    artifacts.filter_map(executable).next_back().ok_or_else(|| "cargo names no program".to_owned())
}

/// Instructions of a run.
fn count(program: &Path, path: &str, requests: u64) -> Result<u64, String> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    let output = command.arg(program).args([path, &requests.to_string()]).output();
    let output = output.map_err(|error| {
        format!("valgrind does not start ({error}); install the package `valgrind`")
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    let total = said.lines().find_map(|line| line.split_once("refs:"));
    let total = total.and_then(|(_, total)| total.trim().replace(',', "").parse().ok());
    match total {
        Some(total) if output.status.success() => Ok(total),
        _ => Err(format!("path `{path}` ends badly:\n{said}")),
    }
}

/// The compiler, as it names itself.
fn compiler() -> Result<String, String> {
    let output = Command::new("rustc").arg("--version").output();
    let output = output.map_err(|error| format!("rustc does not start: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn store(found: &Figures) -> Result<bool, String> {
    let lines: String = PATHS.iter().map(|path| format!("{path} {}\n", found[*path])).collect();
    let text = format!("{}\n{lines}", compiler()?);
    fs::write(EXPECTED, text).map_err(|error| format!("{EXPECTED}: {error}"))?;
    Ok(true)
}

/// Prints each path beside what is expected; true if all agree or cannot be compared.
fn compare(found: &Figures) -> Result<bool, String> {
    let text = fs::read_to_string(EXPECTED).map_err(|error| format!("{EXPECTED}: {error}"))?;
    let (theirs, figures) = text.split_once('\n').unwrap_or_default();
    let expected: BTreeMap<&str, u64> = figures
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(path, figure)| Some((path, figure.parse().ok()?)))
        .collect();
    let mut all_agree = true;
    for path in PATHS {
        let (found, expected) = (found[path], expected.get(path).copied().unwrap_or_default());
        let agrees = found.abs_diff(expected) * 100 <= expected * TOLERANCE;
        all_agree &= agrees;
        let verdict = match (agrees, found > expected) {
            (true, _) => "",
            (false, true) => "  costs more: find out why",
            (false, false) => "  costs less: keep that with `cargo xtask instructions --write`",
        };
        println!("{path:12} {found:8} instructions a request, {expected:8} expected{verdict}");
    }
    let ours = compiler()?;
    if ours != theirs {
        println!("not judged: expected of {theirs}, found of {ours}");
    }
    Ok(all_agree || ours != theirs)
}
