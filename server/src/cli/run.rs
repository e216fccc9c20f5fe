//! From the parsed command line to the verb.

use client::NodeId;

use super::arguments::{Arguments, Verb};
use super::exit::Failure;
use super::output::Output;
use super::{configuration, connect, inspect, kv, load, node, status};

/// Carries out what was asked for. Results go to standard output, messages of a running node to
/// standard error; the caller prints the failure and ends the process with its code.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut output = Output::new(arguments.client.output);
    let done = match arguments.verb {
        Verb::Serve { config } => node::serve(&config),
        Verb::Dev { keep, base_port } => node::dev(keep, base_port),
        Verb::Config(verb) => configuration::run(verb, &mut output),
        Verb::Kv(verb) => kv::run(verb, &mut connect::client(&arguments.client)?, &mut output),
        Verb::Status => {
            let options = connect::options(&arguments.client)?;
            let nodes: Vec<NodeId> = options.servers.iter().map(|server| server.node).collect();
            status::run(&nodes, &mut connect::client(&arguments.client)?, &mut output)
        }
        Verb::Inspect(verb) => inspect::run(&verb, arguments.client.group, &mut output),
        Verb::Bench(verb) => load::run(&verb, &arguments.client, &mut output),
    };
    output.flush()?;
    done
}
