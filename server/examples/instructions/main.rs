//! One path of a request, carried out so many times: `instructions PATH COUNT`.
//!
//! `cargo xtask instructions` runs it under cachegrind and compares what a request costs with
//! `instructions.txt` beside this file.

#![expect(clippy::expect_used, clippy::print_stderr, reason = "a measurement ends at a surprise")]

mod nodes;
mod parts;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let count = arguments.get(1).and_then(|text| text.parse().ok());
    match (arguments.first().map(String::as_str), count) {
        (Some("decode"), Some(count)) => parts::decode(count),
        (Some("propose"), Some(count)) => parts::propose(count),
        (Some("record"), Some(count)) => parts::record(count),
        (Some("apply"), Some(count)) => parts::apply(count),
        (Some("reply"), Some(count)) => parts::reply(count),
        (Some("one-node"), Some(count)) => nodes::puts(1, count),
        (Some("three-nodes"), Some(count)) => nodes::puts(3, count),
        _ => {
            eprintln!("usage: instructions PATH COUNT; PATH is one in instructions.txt");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
