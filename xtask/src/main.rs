//! What CI checks beyond the compiler: `cargo xtask tidy`, `cargo xtask instructions`.
//!
//! Each file below `rules/` is one rule: it reads the [`tree::Tree`] of the repository's files and
//! returns findings. A finding names the place and what to write instead.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

mod finding;
mod instructions;
mod rules;
mod rust;
mod tidy;
mod tree;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [verb] if verb == "tidy" => report(),
        [verb] if verb == "instructions" => instructions::run(false),
        [verb, write] if verb == "instructions" && write == "--write" => instructions::run(true),
        _ => {
            eprintln!("usage: cargo xtask tidy | instructions [--write]");
            ExitCode::from(2)
        }
    }
}

fn report() -> ExitCode {
    match tidy::run() {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            for finding in &findings {
                println!("{finding}");
            }
            eprintln!("tidy: {} findings", findings.len());
            ExitCode::FAILURE
        }
        Err(message) => {
            eprintln!("tidy: {message}");
            ExitCode::from(2)
        }
    }
}
