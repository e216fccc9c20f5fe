//! The nodes of a cluster as an administrator reaches them: all that one of them knows.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use client::blocking::Client;
use client::operations::administration::{Administration, AtNode, ListNodes};
use client::{Error, NodeId, Reason, RespCode};

use super::arguments::{ClientArguments, ServerArgument};
use super::connect;
use super::exit::{Exit, Failure};
use crate::config::Endpoint;

#[derive(Args, Debug)]
pub(super) struct AdministeredArguments {
    /// Addresses for administration, by node id. One of a node that runs is enough: it knows those
    /// of the others, unless they are to be reached in another way from here.
    #[arg(
        long,
        global = true,
        value_name = "ID=HOST:PORT,…",
        value_delimiter = ',',
        default_value = "1=127.0.0.1:9331"
    )]
    admin: Vec<ServerArgument>,
}

/// The nodes of a cluster.
pub(super) struct Administered {
    client: Client,
    nodes: BTreeMap<u32, Endpoint>,
}

impl Administered {
    /// Asks the nodes of the command line which ones there are. A request to one has `time`.
    pub(super) fn find(
        arguments: &AdministeredArguments,
        client: &ClientArguments,
        time: Duration,
    ) -> Result<Administered, Failure> {
        let mut first = connect::administrator(client, &arguments.admin, client.timeout)?;
        let mut nodes = BTreeMap::new();
        let mut failures = Vec::new();
        for server in &arguments.admin {
            let node = NodeId(server.id as i32);
            match first.call(&AtNode { node, request: ListNodes }) {
                Ok(known) => {
                    nodes.extend(known.nodes.into_iter().map(|known| {
                        let port = u16::try_from(known.port).unwrap_or_default();
                        (known.node_id as u32, Endpoint { host: known.host, port })
                    }));
                    break;
                }
                Err(error) => failures.push(failure_of(server.id, &server.address, error)),
            }
        }
        if nodes.is_empty() {
            return Err(together(failures).unwrap_or_else(|| {
                Failure::new(Exit::Unavailable, "no node says which nodes there are")
            }));
        }
        // What the operator says counts more than what the nodes know of each other.
        nodes.extend(arguments.admin.iter().map(|server| (server.id, server.address.clone())));
        let client = client_of(client, &nodes, time)?;
        Ok(Administered { client, nodes })
    }

    /// All nodes, by their ids.
    pub(super) fn nodes(&self) -> &BTreeMap<u32, Endpoint> {
        &self.nodes
    }

    /// Takes a node that the others do not know yet.
    pub(super) fn meet(
        &mut self,
        node: u32,
        address: &Endpoint,
        client: &ClientArguments,
        time: Duration,
    ) -> Result<(), Failure> {
        self.nodes.insert(node, address.clone());
        self.client = client_of(client, &self.nodes, time)?;
        Ok(())
    }

    /// Asks one of the nodes.
    pub(super) fn ask<R: Administration>(
        &mut self,
        node: u32,
        request: R,
    ) -> Result<R::Reply, Failure> {
        let Some(address) = self.nodes.get(&node) else {
            let text = format!(
                "node {node} is not known; see `dongting node list`, and add it with `dongting \
                 node add`"
            );
            return Err(Failure::new(Exit::NotFound, text));
        };
        let asked = AtNode { node: NodeId(node as i32), request };
        self.client.call(&asked).map_err(|error| failure_of(node, address, error))
    }

    /// Does something at each of these nodes and goes on after a failure, so that the next attempt
    /// has less to do. Fails with all that has failed.
    pub(super) fn at_each<T>(
        &mut self,
        nodes: impl IntoIterator<Item = u32>,
        mut act: impl FnMut(&mut Administered, u32) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        let (mut done, mut failures) = (Vec::new(), Vec::new());
        for node in nodes {
            match act(self, node) {
                Ok(result) => done.push(result),
                Err(failure) => failures.push(failure),
            }
        }
        together(failures).map_or(Ok(done), Err)
    }
}

fn client_of(
    client: &ClientArguments,
    nodes: &BTreeMap<u32, Endpoint>,
    time: Duration,
) -> Result<Client, Failure> {
    let servers =
        nodes.iter().map(|(id, address)| ServerArgument { id: *id, address: address.clone() });
    connect::administrator(client, &servers.collect::<Vec<_>>(), time)
}

/// What a node's refusal, or its silence, means. A refusal names its cause itself.
fn failure_of(node: u32, address: &Endpoint, error: Error) -> Failure {
    let refused = match &error {
        Error::Unavailable(Reason::Server(refused))
        | Error::OutcomeUnknown(Reason::Server(refused)) => Some(refused),
        Error::Unavailable(Reason::NoConnection) => {
            let text = format!(
                "node {node} cannot be reached at {address}; start it, or say with --admin where \
                 it is"
            );
            return Failure::new(Exit::Unavailable, text);
        }
        _ => None,
    };
    match refused {
        Some(refused) if refused.resp_code() == Some(RespCode::SysError) => {
            Failure::new(Exit::NotAllowed, format!("node {node}: {}", refused.message))
        }
        _ => {
            let failure = Failure::from(error);
            Failure::new(failure.exit, format!("node {node}: {}", failure.message))
        }
    }
}

/// All failures as one; the first decides about the exit code.
fn together(failures: Vec<Failure>) -> Option<Failure> {
    failures.into_iter().reduce(|first, next| {
        Failure::new(first.exit, format!("{}\n{}", first.message, next.message))
    })
}

#[cfg(test)]
mod tests {
    use client::ServerError;

    use super::*;

    #[test]
    fn a_refusal_is_the_nodes_own_words_and_a_silence_is_safe_to_repeat() {
        let address = Endpoint { host: "n2".to_owned(), port: 9331 };
        let of = |error| failure_of(2, &address, error);
        let code = RespCode::SysError.number();
        let refused = ServerError { code, message: "group already exist: 7".into() };
        let failure = of(Error::OutcomeUnknown(Reason::Server(refused)));
        assert_eq!(failure.exit, Exit::NotAllowed);
        assert_eq!(failure.message, "node 2: group already exist: 7");
        let failure = of(Error::Unavailable(Reason::NoConnection));
        assert_eq!(failure.exit, Exit::Unavailable);
        assert!(failure.message.contains("n2:9331"), "{}", failure.message);
        assert_eq!(of(Error::OutcomeUnknown(Reason::Timeout)).exit, Exit::OutcomeUnknown);
    }

    #[test]
    fn the_first_failure_gives_the_code_and_all_give_their_words() {
        let failures = vec![Failure::new(Exit::Unavailable, "a"), Failure::new(Exit::Other, "b")];
        let all = together(failures).unwrap();
        assert_eq!((all.exit, all.message.as_str()), (Exit::Unavailable, "a\nb"));
        assert!(together(Vec::new()).is_none());
    }
}
