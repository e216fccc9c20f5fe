//! From the parsed command line to the verb.

use client::NodeId;

use super::arguments::{Arguments, ClientArguments, DevArguments, Verb};
use super::exit::Failure;
use super::output::Output;
use super::{
    change, configuration, connect, dev, groups, inspect, kv, leaders, load, lock, members, node,
    nodes, shell, snapshot, status, watch,
};

/// Carries out what was asked for. Results go to standard output, messages of a running node to
/// standard error; the caller prints the failure and ends the process with its code.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut output = Output::new(arguments.client.output);
    let done = match arguments.verb {
        Verb::Serve { config, managed: false } => node::serve(&config),
        Verb::Serve { config, managed: true } => node::serve_managed(&config),
        Verb::Dev(arguments) => develop(arguments),
        Verb::Config(verb) => configuration::run(verb, &mut output),
        Verb::Kv(verb) => {
            let nodes = servers(&arguments.client);
            kv::run(verb, &nodes, &mut connect::client(&arguments.client)?, &mut output)
        }
        Verb::Shell => {
            let nodes = servers(&arguments.client);
            shell::run(connect::client(&arguments.client)?, &nodes, &mut output)
        }
        Verb::Watch(arguments_of_watch) => {
            watch::run(&arguments_of_watch, &mut connect::client(&arguments.client)?, &mut output)
        }
        Verb::Lock(lock) => lock::run(&lock, &mut connect::client(&arguments.client)?),
        Verb::Elect(elect) => lock::elect(&elect, &mut connect::client(&arguments.client)?),
        Verb::Status => {
            let nodes = servers(&arguments.client);
            status::run(&nodes, &mut connect::client(&arguments.client)?, &mut output)
        }
        Verb::Snapshot(verb) => snapshot::run(&verb, &arguments.client, &mut output),
        Verb::Node(verb) => nodes::run(&verb, &arguments.client, &mut output),
        Verb::Group(verb) => groups::run(&verb, &arguments.client, &mut output),
        Verb::Leader(verb) => leaders::run(&verb, &arguments.client, &mut output),
        Verb::Member(verb) => members::run(&verb, &arguments.client, &mut output),
        Verb::Change(verb) => change::run(&verb, &arguments.client, &mut output),
        Verb::Inspect(verb) => inspect::run(&verb, arguments.client.group, &mut output),
        Verb::Bench(verb) => load::run(&verb, &arguments.client, &mut output),
    };
    output.flush()?;
    done
}

/// The servers that the command line names.
fn servers(arguments: &ClientArguments) -> Vec<NodeId> {
    arguments.servers.iter().map(|server| NodeId(server.id as i32)).collect()
}

fn develop(arguments: DevArguments) -> Result<(), Failure> {
    let DevArguments { order, nodes, keep, base_port } = arguments;
    match order {
        Some(order) => dev::give_order(order, keep, base_port),
        None if nodes > 1 => dev::run_cluster(nodes, keep, base_port),
        None => node::dev(keep, base_port),
    }
}
