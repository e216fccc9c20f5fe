//! From the parsed command line to the verb.

use super::arguments::{Arguments, Verb};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::{configuration, node};

/// Carries out what was asked for. Results go to standard output, messages of a running node to
/// standard error; the caller prints the failure and ends the process with its code.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut output = Output::new(arguments.client.output);
    match arguments.verb {
        Verb::Serve { config } => node::serve(&config),
        Verb::Dev { keep, base_port } => node::dev(keep, base_port),
        Verb::Config(verb) => configuration::run(verb, &mut output),
        Verb::Kv(_) | Verb::Status | Verb::Inspect(_) | Verb::Bench(_) => {
            Err(Failure::new(Exit::Other, "not available in this build"))
        }
    }
}
