//! From the parsed command line to the verb.

use client::NodeId;

use super::arguments::{Arguments, Verb};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::{configuration, connect, kv, node, status};

/// Carries out what was asked for. Results go to standard output, messages of a running node to
/// standard error; the caller prints the failure and ends the process with its code.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut output = Output::new(arguments.client.output);
    match arguments.verb {
        Verb::Serve { config } => node::serve(&config),
        Verb::Dev { keep, base_port } => node::dev(keep, base_port),
        Verb::Config(verb) => configuration::run(verb, &mut output),
        Verb::Kv(verb) => kv::run(verb, &mut connect::client(&arguments.client)?, &mut output),
        Verb::Status => {
            let options = connect::options(&arguments.client)?;
            let nodes: Vec<NodeId> = options.servers.iter().map(|server| server.node).collect();
            status::run(&nodes, &mut connect::client(&arguments.client)?, &mut output)
        }
        Verb::Inspect(_) | Verb::Bench(_) => {
            Err(Failure::new(Exit::Other, "not available in this build"))
        }
    }
}
