//! The command line: verbs and options, nothing else.

use core::str::FromStr;
use core::time::Duration;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kv_api::ReadMode;
use wire::ProcessId;

use super::change::ChangeArguments;
use super::exit::EXIT_CODES;
use super::groups::GroupArguments;
use super::leaders::LeaderArguments;
use super::load::BenchVerb;
use super::lock::{ElectArguments, LockArguments};
use super::members::MemberArguments;
use super::nodes::NodeArguments;
use super::snapshot::SnapshotArguments;
use super::transaction::{FORM as TRANSACTION_FORM, parse_token};
use super::watch::WatchArguments;
use crate::config::{Endpoint, parse_duration};

/// A durable, strongly consistent key-value server in one binary.
#[derive(Parser, Debug)]
#[command(name = "dongting", version, after_help = EXIT_CODES, propagate_version = true)]
#[command(
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    #[command(flatten)]
    pub(super) client: ClientArguments,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// Options of every verb that talks to a server or prints something.
#[derive(Args, Debug)]
pub(super) struct ClientArguments {
    /// Service addresses of the cluster's nodes, by node id.
    #[arg(
        long,
        global = true,
        value_name = "ID=HOST:PORT,…",
        value_delimiter = ',',
        default_value = "1=127.0.0.1:9332"
    )]
    pub(super) servers: Vec<ServerArgument>,
    /// Raft group to talk to.
    #[arg(long, global = true, value_name = "ID", default_value_t = 0)]
    pub(super) group: i32,
    /// Who asks, 32 hexadecimal digits: the owner of what is temporary. Without it every run of this
    /// program is somebody else. Never to be shared by two that run at the same time.
    #[arg(long, global = true, value_name = "HEX", value_parser = parse_identity)]
    pub(super) identity: Option<ProcessId>,
    /// How to print.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub(super) output: Format,
    /// How long a request may take, for example 500ms or 5s.
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_duration, default_value = "5s")]
    pub(super) timeout: Duration,
}

fn parse_identity(text: &str) -> Result<ProcessId, String> {
    let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32);
    let number = number.ok_or("an identity has 32 hexadecimal digits")?;
    let identity = ProcessId { high: (number >> 64) as u64, low: number as u64 };
    match identity.high == 0 || identity.low == 0 {
        true => Err("neither half of an identity may be zero".to_owned()),
        false => Ok(identity),
    }
}

/// One of `--servers`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ServerArgument {
    pub(super) id: u32,
    pub(super) address: Endpoint,
}

impl FromStr for ServerArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<ServerArgument, String> {
        let form = || format!("`{text}` is not ID=HOST:PORT, as in 1=127.0.0.1:9332");
        let (id, address) = text.split_once('=').ok_or_else(form)?;
        let id = id.parse().map_err(|_| form())?;
        Ok(ServerArgument { id, address: address.parse()? })
    }
}

/// How to print.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
}

#[derive(Subcommand, Debug)]
pub(super) enum Verb {
    /// Run a node in the foreground until SIGINT or SIGTERM.
    Serve {
        /// The node's configuration; `dongting config defaults` prints one to start from.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The end of standard input is the order to stop, a line on standard output says that the
        /// node serves: how a parent process holds it.
        #[arg(long, hide = true)]
        managed: bool,
    },
    /// Run a development cluster on this machine, without a configuration.
    Dev(DevArguments),
    /// Read and change keys.
    #[command(subcommand)]
    Kv(KvVerb),
    /// The verbs of `kv`, one a line, with history and completion of paths; from a pipe, a script that
    /// ends at the first failure.
    Shell,
    /// Print each new state of a key, or run a command for it.
    Watch(WatchArguments),
    /// Run a command while holding a lock.
    Lock(LockArguments),
    /// Run a command whenever this process is elected, until the command ends.
    Elect(ElectArguments),
    /// Show the group as each server sees it.
    Status,
    /// Save snapshots of a group, and list them.
    Snapshot(SnapshotArguments),
    /// Make nodes known to each other, and show them.
    Node(NodeArguments),
    /// Add and remove groups while the nodes run, and show them.
    Group(GroupArguments),
    /// Choose who leads.
    Leader(LeaderArguments),
    /// Change the members of a group, step by step and with a way back.
    Member(MemberArguments),
    /// The single steps of such a change, for experts.
    Change(ChangeArguments),
    /// Check, print and explain configurations.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Look into the files of a stopped node.
    #[command(subcommand)]
    Inspect(InspectVerb),
    /// Load a server and report throughput and latency.
    #[command(subcommand)]
    Bench(BenchVerb),
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = false)]
pub(super) struct DevArguments {
    /// An order to a cluster that runs: not given, one is started.
    #[command(subcommand)]
    pub(super) order: Option<DevOrder>,
    /// How many nodes; each but a single one is a process of its own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=9))]
    pub(super) nodes: u32,
    /// Keep the data in this directory; without it, it is temporary and removed at the end.
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) keep: Option<PathBuf>,
    /// First of three ports in a row: the next one is for nodes, the one after it for clients. Each
    /// further node is ten ports higher.
    #[arg(long, global = true, value_name = "PORT", default_value_t = 9330,
          value_parser = clap::value_parser!(u16).range(1..=65450))]
    pub(super) base_port: u16,
}

/// What to do with a node of a running development cluster.
#[derive(Subcommand, Clone, Copy, Debug)]
pub(super) enum DevOrder {
    /// Kill a node at once, as a crash would.
    Kill {
        /// Its id.
        node: u32,
    },
    /// Start a node that does not run, on the data it had.
    Start {
        /// Its id.
        node: u32,
    },
}

/// Who answers a read, and what it must see.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct ReadSource {
    /// Read from this node, whether it leads or not; the first of --servers if only --read is given.
    #[arg(long, value_name = "ID")]
    pub(super) node: Option<u32>,
    /// What the read must see: every acknowledged write (`linearizable`), every one that was
    /// acknowledged longer ago than a time (`stale=500ms`), or whatever the node has (`stale`).
    #[arg(long, value_name = "MODE", value_parser = parse_read_mode)]
    pub(super) read: Option<ReadMode>,
}

fn parse_read_mode(text: &str) -> Result<ReadMode, String> {
    match text.split_once('=') {
        None if text == "linearizable" => Ok(ReadMode::Linearizable),
        None if text == "stale" => Ok(ReadMode::Stale(None)),
        Some(("stale", age)) => match parse_duration(age)? {
            age if age < Duration::from_millis(1) => Err("an age is at least 1ms".to_owned()),
            age => Ok(ReadMode::Stale(Some(age))),
        },
        _ => Err("write linearizable, stale, or stale=AGE, as in stale=500ms".to_owned()),
    }
}

#[derive(Subcommand, Debug)]
pub(super) enum KvVerb {
    /// Print the value of a key: its bytes as they are, and a line end.
    Get {
        /// The key, components separated by dots.
        key: OsString,
        /// Print no line end after the value.
        #[arg(short = 'n', long)]
        no_newline: bool,
        #[command(flatten)]
        source: ReadSource,
    },
    /// Set a key to a value.
    Put {
        /// The key, components separated by dots.
        key: OsString,
        /// The value; `-` reads it from standard input.
        value: OsString,
        /// Remove it when this time is over, unless `kv ttl` starts it anew.
        #[arg(long, value_name = "TIME", value_parser = parse_duration)]
        ttl: Option<Duration>,
        /// Only if this is the token of whoever holds the lock (exit code 4 if not), as a command
        /// under `lock` has it in DONGTING_FENCING_TOKEN.
        #[arg(long, value_name = "LOCK=TOKEN", value_parser = parse_token, conflicts_with = "ttl")]
        if_token: Option<(OsString, u64)>,
    },
    /// Do several things as a whole, under conditions (exit code 4 if they do not hold).
    #[command(after_help = TRANSACTION_FORM)]
    Txn {
        /// Conditions and actions, one an argument; without any they come from standard input.
        lines: Vec<OsString>,
    },
    /// Start the time of something temporary anew; only its owner may (--identity).
    Ttl {
        /// The key, components separated by dots.
        key: OsString,
        /// How long it lives from now on.
        #[arg(value_name = "TIME", value_parser = parse_duration)]
        ttl: Duration,
    },
    /// Remove a key, or an empty directory.
    Del {
        /// The key, components separated by dots.
        key: OsString,
    },
    /// List a directory.
    Ls {
        /// The directory; the root without it.
        #[arg(default_value = "")]
        key: OsString,
    },
    /// Print everything below a directory.
    Tree {
        /// The directory; the root without it.
        #[arg(default_value = "")]
        key: OsString,
    },
    /// Make a directory; one that is there already is fine.
    Mkdir {
        /// The directory, components separated by dots.
        key: OsString,
        /// Make missing parents, too.
        #[arg(short, long)]
        parents: bool,
        /// Remove it, with all below it, when this time is over, unless `kv ttl` starts it anew.
        #[arg(long, value_name = "TIME", value_parser = parse_duration)]
        ttl: Option<Duration>,
    },
    /// Change a key only if it has the expected value (exit code 4 if not).
    #[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
    Cas {
        /// The key, components separated by dots.
        key: OsString,
        /// The value it must have; without it, the key must not exist.
        #[arg(long, value_name = "VALUE", group = "change")]
        expect: Option<OsString>,
        /// The value it gets; without it, the key is removed.
        #[arg(long, value_name = "VALUE", group = "change")]
        new: Option<OsString>,
    },
    /// Print the values of several keys.
    Mget {
        /// The keys.
        #[arg(required = true)]
        keys: Vec<OsString>,
    },
    /// Set several keys in one step of the log.
    Mput {
        /// Keys and values in turn.
        #[arg(required = true, num_args = 2.., value_names = ["KEY", "VALUE"])]
        pairs: Vec<OsString>,
    },
}

#[derive(Subcommand, Debug)]
pub(super) enum ConfigVerb {
    /// Say whether a configuration is valid, and if not, what to mend.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Print every key with its default and a comment.
    Defaults,
    /// Print a configuration as the node would use it: defaults and environment included.
    Show {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Subcommand, Debug)]
pub(super) enum InspectVerb {
    /// List the entries of the group's log; with -o json one object a line.
    Log {
        /// The data directory of a stopped node.
        data_dir: PathBuf,
        #[command(flatten)]
        range: RecordRange,
    },
    /// Check the group's snapshots from their beginnings to their ends, and show what they cover.
    Snapshot {
        /// The data directory of a stopped node.
        data_dir: PathBuf,
    },
    /// Show term, vote and what is known to be durable and committed.
    HardState {
        /// The data directory of a stopped node.
        data_dir: PathBuf,
    },
}

/// Which entries of a log are listed; all are checked.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct RecordRange {
    /// Index of the first entry to list.
    #[arg(long, value_name = "INDEX", default_value_t = 1)]
    pub(super) from: u64,
    /// Most entries to list.
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<u64>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn servers_are_ids_and_addresses() {
        let line = ["dongting", "status", "--servers", "1=a:1,2=[::1]:2"];
        let arguments = Arguments::try_parse_from(line).unwrap();
        let servers = arguments.client.servers;
        assert_eq!(servers.len(), 2);
        assert_eq!((servers[1].id, servers[1].address.host.as_str()), (2, "::1"));
        for wrong in ["a:1", "x=a:1", "1=a", "1=a:0", "-1=a:1", ""] {
            assert!(wrong.parse::<ServerArgument>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "dongting",
            "dongting serve",
            "dongting kv put a",
            "dongting kv cas a",
            "dongting kv mput a",
            "dongting dev --base-port 0",
            "dongting status --timeout 5",
            "dongting kv put a b --ttl soon",
            "dongting kv ttl a",
            "dongting kv put a b --if-token lock",
            "dongting kv put a b --if-token lock=1 --ttl 1s",
            "dongting --identity 12 status",
            "dongting --identity 00000000000000000000000000000001 status",
            "dongting watch",
            "dongting watch a --count 0",
            "dongting lock a",
            "dongting lock a true",
            "dongting lock a --ttl 10ms -- true",
            "dongting elect a --wait 5s -- true",
            "dongting kv get a --read fresh",
            "dongting kv get a --read stale=0s",
            "dongting kv get a --read linearizable=1s",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
