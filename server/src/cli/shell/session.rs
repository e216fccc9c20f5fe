//! One line after the other, from a person or from a script.

use std::cell::RefCell;
use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;
use std::rc::Rc;

use clap::{CommandFactory, Parser, Subcommand};
use client::NodeId;
use client::blocking::Client;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};

use super::completion::Paths;
use super::words::split;
use crate::cli::arguments::KvVerb;
use crate::cli::exit::{Exit, Failure};
use crate::cli::kv;
use crate::cli::output::Output;

/// A line of the shell.
#[derive(Parser, Debug)]
#[command(
    name = "",
    no_binary_name = true,
    disable_help_flag = true,
    help_template = "{subcommands}\n\n`help VERB` says more. Quotes keep words together, # begins a \
                     comment, Tab completes paths."
)]
struct Line {
    #[command(subcommand)]
    verb: ShellVerb,
}

#[derive(Subcommand, Debug)]
enum ShellVerb {
    #[command(flatten)]
    Kv(KvVerb),
    /// Leave the shell, as the end of the input does.
    #[command(alias = "quit")]
    Exit,
}

/// Whether there is more to do after a line.
#[derive(PartialEq, Eq)]
enum Then {
    Continue,
    Leave,
}

/// Kept in the history file.
const HISTORY_LINES: usize = 1_000;
const PROMPT: &str = "dongting> ";

/// Carries out lines: with an editor at a terminal, else as a script that ends at the first failure.
pub(in crate::cli) fn run(
    client: Client,
    nodes: &[NodeId],
    output: &mut Output,
) -> Result<(), Failure> {
    let client = Rc::new(RefCell::new(client));
    let mut shell = Shell { client, nodes, output };
    match io::stdin().is_terminal() {
        true => shell.converse(),
        false => shell.read_script(io::stdin().lock()),
    }
}

struct Shell<'a> {
    client: Rc<RefCell<Client>>,
    nodes: &'a [NodeId],
    output: &'a mut Output,
}

impl Shell<'_> {
    fn read_script(&mut self, script: impl BufRead) -> Result<(), Failure> {
        for (number, line) in script.lines().enumerate() {
            let done = self.carry_out(&line?);
            let flushed = self.output.flush();
            let named = |failure: Failure| {
                let message = format!("line {}: {}", number + 1, failure.message);
                Failure::new(failure.exit, message)
            };
            if done.map_err(named)? == Then::Leave {
                break;
            }
            flushed?;
        }
        Ok(())
    }

    fn converse(&mut self) -> Result<(), Failure> {
        let broken = |error: ReadlineError| Failure::new(Exit::Other, error.to_string());
        let config = Config::builder().history_ignore_space(true);
        let config = config.max_history_size(HISTORY_LINES).map_err(broken)?.build();
        let mut editor = Editor::<Paths, FileHistory>::with_config(config).map_err(broken)?;
        let line = Line::command();
        let verbs = line.get_subcommands().map(|verb| verb.get_name().to_owned());
        let verbs = verbs.chain(["help".to_owned()]).collect();
        editor.set_helper(Some(Paths { client: self.client.clone(), verbs }));
        let history = history_file();
        if let Some(path) = &history {
            // The first time there is none.
            let _ = editor.load_history(path);
        }
        loop {
            let line = match editor.readline(PROMPT) {
                Ok(line) => line,
                // Control-C gives up a line, Control-D the shell.
                Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(broken(error)),
            };
            editor.add_history_entry(line.as_str()).map_err(broken)?;
            let done = self.carry_out(&line);
            self.output.flush()?;
            match done {
                Ok(Then::Continue) => {}
                Ok(Then::Leave) => break,
                Err(failure) => say(&failure.message),
            }
        }
        if let Some(path) = &history
            && let Err(error) = editor.save_history(path)
        {
            say(&format!("the history cannot be written to {}: {error}", path.display()));
        }
        Ok(())
    }

    fn carry_out(&mut self, line: &str) -> Result<Then, Failure> {
        let usage = |message: String| Failure::new(Exit::Usage, message);
        let mut words = split(line).map_err(usage)?;
        if words.first().is_some_and(|word| word == "kv") {
            words.remove(0);
        }
        if words.is_empty() {
            return Ok(Then::Continue);
        }
        let verb = match Line::try_parse_from(words) {
            Ok(line) => line.verb,
            Err(error) if !error.use_stderr() => {
                self.output.line(error.to_string().trim_end())?;
                return Ok(Then::Continue);
            }
            Err(error) => {
                let text = error.to_string();
                return Err(usage(text.trim_start_matches("error: ").trim_end().to_owned()));
            }
        };
        match verb {
            ShellVerb::Exit => Ok(Then::Leave),
            ShellVerb::Kv(verb) if reads_input(&verb) => {
                Err(usage("in the shell, values and transactions stand in the line".to_owned()))
            }
            ShellVerb::Kv(verb) => {
                kv::run(verb, self.nodes, &mut self.client.borrow_mut(), self.output)?;
                Ok(Then::Continue)
            }
        }
    }
}

/// Whether a verb would take the lines that follow for its own.
fn reads_input(verb: &KvVerb) -> bool {
    match verb {
        KvVerb::Put { value, .. } => value == "-",
        KvVerb::Txn { lines } => lines.is_empty(),
        _ => false,
    }
}

/// Where programs keep what they remember of their users.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let directory = state.filter(|path| path.is_absolute()).or_else(home)?.join("dongting");
    std::fs::create_dir_all(&directory).ok()?;
    Some(directory.join("history"))
}

#[expect(clippy::print_stderr, reason = "what is wrong, for the person at the terminal")]
fn say(text: &str) {
    eprintln!("error: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Line::command().debug_assert();
    }

    #[test]
    fn lines_are_verbs_of_kv() {
        let parse = |line: &str| Line::try_parse_from(split(line).unwrap_or_default());
        assert!(matches!(parse("get a.b"), Ok(Line { verb: ShellVerb::Kv(KvVerb::Get { .. }) })));
        assert!(matches!(parse("quit"), Ok(Line { verb: ShellVerb::Exit })));
        let unknown = parse("fetch a").map_err(|error| error.to_string());
        assert!(unknown.is_err_and(|text| text.contains("fetch")));
        let help = parse("help").map_err(|error| error.to_string());
        assert!(help.is_err_and(|text| text.contains("mkdir") && text.contains("exit")));
    }
}
