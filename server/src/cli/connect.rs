//! A client for the servers of the command line, and what its errors mean for the exit code.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use client::blocking::Client;
use client::{Error, GroupId, NodeId, Options, Reason, Server, new_process_id};
use wire::BizCode;

use super::arguments::{ClientArguments, ServerArgument};
use super::exit::{Exit, Failure};

/// A client that is not connected yet.
pub(super) fn client(arguments: &ClientArguments) -> Result<Client, Failure> {
    Client::new(options(arguments)?).map_err(|error| Failure::new(Exit::Usage, error.to_string()))
}

/// A client for the ports for administration of these nodes, with this much time for a request.
pub(super) fn administrator(
    arguments: &ClientArguments,
    servers: &[ServerArgument],
    time: Duration,
) -> Result<Client, Failure> {
    let options = Options { call_timeout: time, ..options_for(arguments, servers)? };
    Client::new(options).map_err(|error| Failure::new(Exit::Usage, error.to_string()))
}

/// The options of a client for these arguments.
pub(super) fn options(arguments: &ClientArguments) -> Result<Options, Failure> {
    options_for(arguments, &arguments.servers)
}

fn options_for(
    arguments: &ClientArguments,
    servers: &[ServerArgument],
) -> Result<Options, Failure> {
    let servers: Vec<Server> = servers.iter().map(resolve).collect::<Result<_, _>>()?;
    let mut options = Options::new(servers, arguments.identity.unwrap_or_else(new_process_id));
    options.group = GroupId(arguments.group);
    options.call_timeout = arguments.timeout;
    options.connect_timeout = options.connect_timeout.min(arguments.timeout);
    Ok(options)
}

fn resolve(server: &ServerArgument) -> Result<Server, Failure> {
    let id = i32::try_from(server.id)
        .map_err(|_| Failure::new(Exit::Usage, format!("node id {} is too large", server.id)))?;
    let address = &server.address;
    let unknown = |why: String| {
        Failure::new(Exit::Unavailable, format!("{address} cannot be resolved: {why}"))
    };
    let found = (address.host.as_str(), address.port).to_socket_addrs();
    let found: Vec<SocketAddr> = found.map_err(|error| unknown(error.to_string()))?.collect();
    // A name such as `localhost` may have both kinds; servers listen on IPv4 unless told otherwise.
    let preferred = found.iter().find(|address| address.is_ipv4()).or(found.first());
    let address = *preferred.ok_or_else(|| unknown("it has no address".to_owned()))?;
    Ok(Server { node: NodeId(id), address })
}

/// What an error means for the caller.
impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let exit = match &error {
            Error::Refused(code) => return refused(*code),
            Error::Rejected(_) | Error::InvalidArgument(_) => Exit::NotAllowed,
            Error::Unavailable(Reason::NoConnection) => {
                let message = "no server can be reached; start one with `dongting dev`, or say \
                               where they are with --servers";
                return Failure::new(Exit::Unavailable, message);
            }
            Error::Unavailable(_) => Exit::Unavailable,
            // An answer that cannot be read says nothing about what the server did.
            Error::OutcomeUnknown(_) | Error::Protocol(_) => Exit::OutcomeUnknown,
        };
        Failure::new(exit, error.to_string())
    }
}

fn refused(code: BizCode) -> Failure {
    let exit = match code {
        BizCode::NotFound => Exit::NotFound,
        BizCode::CasMismatch | BizCode::LockByOther => Exit::Conflict,
        BizCode::InstallSnapshot => Exit::Unavailable,
        _ => Exit::NotAllowed,
    };
    Failure::new(exit, explain(code))
}

/// What the tree's answer means, in words.
pub(super) fn explain(code: BizCode) -> String {
    let words = match code {
        BizCode::NotFound => "there is no such key",
        BizCode::DirExists => "a directory is there already",
        BizCode::ValueExists => "a value is there already",
        BizCode::ParentNotDir => "it, or its parent, is a value and not a directory",
        BizCode::ParentDirNotExists => {
            "its parent does not exist; make it with `kv mkdir --parents`"
        }
        BizCode::HasChildren => "the directory is not empty",
        BizCode::CasMismatch => "the value is not the expected one",
        BizCode::IsTempNode => "it is temporary",
        BizCode::NotOwner => {
            "it is temporary and belongs to another client; say who you are with --identity"
        }
        BizCode::NotTempNode => "it is not temporary",
        BizCode::NotLockNode => "it is there already, and is not a lock",
        BizCode::IsLockNode | BizCode::ParentIsLock => "it is a lock, or below one",
        BizCode::InstallSnapshot => "the node is loading a snapshot; try again",
        other => return format!("refused: {other}"),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use client::InvalidArgument;

    use super::*;

    #[test]
    fn every_error_has_its_exit_code() {
        for (error, exit) in [
            (Error::Refused(BizCode::NotFound), Exit::NotFound),
            (Error::Refused(BizCode::CasMismatch), Exit::Conflict),
            (Error::Refused(BizCode::HasChildren), Exit::NotAllowed),
            (Error::InvalidArgument(InvalidArgument::EmptyValue), Exit::NotAllowed),
            (Error::Unavailable(Reason::NoLeader), Exit::Unavailable),
            (Error::OutcomeUnknown(Reason::Timeout), Exit::OutcomeUnknown),
        ] {
            assert_eq!(Failure::from(error.clone()).exit, exit, "{error}");
        }
    }

    #[test]
    fn every_refusal_has_words() {
        for code in BizCode::ALL {
            assert!(!explain(*code).is_empty());
        }
    }
}
