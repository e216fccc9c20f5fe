//! From a file, a text or a few numbers to a complete [`Config`].

use core::net::SocketAddr;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::check;
use super::document::Document;
use super::error::{ConfigError, Origin, Problem};
use super::sections::{
    Config, Group, Listen, Log, Node, Peer, Raft, Rpc, Sessions, Snapshot, Trace, Watch,
};

/// Every key with its default and a comment, as `dongting config defaults` prints it.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// Ports of neighbouring development nodes are this far apart.
const DEV_PORT_STRIDE: u32 = 10;

impl Config {
    /// Reads `path`, lays `environment` over it and checks the result.
    ///
    /// Variables whose names do not begin with `DONGTING_` are ignored; one that names no known
    /// setting is an error, because it would otherwise be believed to have an effect.
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        let file = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| {
            let cause = format!("cannot be read: {error}");
            let mend = "`dongting config defaults` prints a complete file to start from";
            ConfigError { problems: vec![Problem::new(Origin::File(file.clone()), cause, mend)] }
        })?;
        Config::from_text(&file, &text, environment)
    }

    /// Checks a text that is not in a file. Problems name it `config`.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::from_text("config", text, [])
    }

    /// The configuration of a development node that is a cluster of its own.
    ///
    /// The first node keeps `base_port` itself free for administration, has its replicate port one
    /// above and its service port two above; each further node is ten ports higher.
    pub fn dev(node: u32, base_port: u16, data_dir: PathBuf) -> Config {
        let offset = node.saturating_sub(1).saturating_mul(DEV_PORT_STRIDE);
        let port = |add: u32| {
            let port = u32::from(base_port).saturating_add(offset).saturating_add(add);
            SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap_or(u16::MAX)))
        };
        let sections = Sections {
            node: Node { id: node, cluster: "dev".to_owned(), data_dir, ..Node::default() },
            listen: Listen { service: port(2), replicate: port(1) },
            ..Sections::default()
        };
        sections.complete()
    }

    /// The configuration of a node of a development cluster, whose nodes are 1, 2, … `nodes`.
    pub fn dev_cluster(node: u32, nodes: u32, base_port: u16, data_dir: PathBuf) -> Config {
        let all = |node| Config::dev(node, base_port, data_dir.clone());
        let mut config = all(node);
        config.nodes = (1..=nodes).flat_map(|node| all(node).nodes).collect();
        for group in &mut config.groups {
            group.members = (1..=nodes).collect();
        }
        config
    }

    fn from_text(
        file: &str,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        let overrides: Vec<_> = environment.into_iter().collect();
        let document = Document::parse(file, text, &overrides)?;
        let config = document.read::<Sections>()?.complete();
        match ConfigError::of(check::problems(&config, &document)) {
            Some(error) => Err(error),
            None => Ok(config),
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Sections::default().complete()
    }
}

/// A configuration as written: what stands for "as usual" is still absent.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sections {
    node: Node,
    listen: Listen,
    nodes: Vec<Peer>,
    groups: Vec<GroupSection>,
    raft: Raft,
    log: Log,
    snapshot: Snapshot,
    rpc: Rpc,
    watch: Watch,
    sessions: Sessions,
    trace: Trace,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupSection {
    id: i32,
    members: Option<Vec<u32>>,
    #[serde(default)]
    observers: Vec<u32>,
    shard: Option<u16>,
}

impl Sections {
    fn complete(self) -> Config {
        let mut nodes = self.nodes;
        if nodes.is_empty() {
            nodes.push(Peer {
                id: self.node.id,
                replicate: self.listen.replicate.into(),
                service: self.listen.service.into(),
            });
        }
        let mut groups = self.groups;
        if groups.is_empty() {
            groups.push(GroupSection::default());
        }
        let shards = self.node.shards.count();
        let groups = groups.into_iter().map(|group| group.complete(&nodes, shards)).collect();
        Config {
            node: self.node,
            listen: self.listen,
            nodes,
            groups,
            raft: self.raft,
            log: self.log,
            snapshot: self.snapshot,
            rpc: self.rpc,
            watch: self.watch,
            sessions: self.sessions,
            trace: self.trace,
        }
    }
}

impl GroupSection {
    fn complete(self, nodes: &[Peer], shards: usize) -> Group {
        let ids = nodes.iter().map(|node| node.id);
        let voters = || ids.filter(|id| !self.observers.contains(id)).collect();
        let shards = i32::try_from(shards).unwrap_or(i32::MAX).max(1);
        let usual_shard = u16::try_from(self.id.rem_euclid(shards)).unwrap_or(0);
        Group {
            id: self.id,
            members: self.members.unwrap_or_else(voters),
            observers: self.observers,
            shard: self.shard.unwrap_or(usual_shard),
        }
    }
}
