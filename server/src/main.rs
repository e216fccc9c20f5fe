//! The one binary: parses the command line and carries it out.

use std::process::ExitCode;

use clap::Parser;
use server::cli::{self, Arguments};

#[expect(clippy::print_stderr, reason = "the one place where the program says why it failed")]
fn main() -> ExitCode {
    // Clap prints help and usage errors itself and ends with the codes 0 and 2.
    match cli::run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("{failure}");
            }
            failure.code()
        }
    }
}
