//! The configuration: defaults, environment, and what each mistake is answered with.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::time::Duration;

use server::config::{ByteSize, Config, DEFAULTS, Endpoint, Reads, Shards};

fn refused(text: &str) -> String {
    Config::parse(text).expect_err("must be refused").to_string()
}

fn with(name: &str, value: &str) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.toml");
    std::fs::write(&path, "[raft]\nelection_timeout = \"3s\"\n").unwrap();
    Config::load(&path, [(name.to_owned(), value.to_owned())])
        .map_err(|error| error.to_string().replace(&format!("{}/", directory.path().display()), ""))
}

#[test]
fn the_reference_is_the_default() {
    assert_eq!(Config::parse(DEFAULTS), Ok(Config::default()));
    assert_eq!(Config::parse(""), Ok(Config::default()));
}

/// A key that is missing in the reference would be refused as unknown, so it must have them all.
#[test]
fn the_reference_has_every_key() {
    let shown = toml::to_string(&Config::default()).unwrap();
    let keys = |text: &str| {
        let table: toml::Table = text.parse().unwrap();
        let first = |value: &toml::Value| match value {
            toml::Value::Array(list) => list[0].clone(),
            other => other.clone(),
        };
        let sections = table.iter().map(|(name, value)| {
            let section = first(value);
            let keys: Vec<String> = section.as_table().unwrap().keys().cloned().collect();
            (name.clone(), keys)
        });
        sections.collect::<Vec<_>>()
    };
    assert_eq!(keys(&shown), keys(DEFAULTS));
    assert_eq!(Config::parse(&shown), Ok(Config::default()));
}

#[test]
fn every_key_of_the_reference_has_a_comment() {
    let lines: Vec<&str> = DEFAULTS.lines().collect();
    for (before, line) in lines.iter().zip(lines.iter().skip(1)) {
        let is_key = line.contains(" = ") && !line.starts_with('#');
        assert!(!is_key || before.starts_with('#'), "no comment above `{line}`");
    }
}

#[test]
fn what_is_left_out_follows_from_the_rest() {
    let config = Config::parse(
        "[node]\nid = 2\nshards = [4, 6, 8]\n\
         [[nodes]]\nid = 1\nreplicate = \"a:9331\"\nservice = \"a:9332\"\n\
         [[nodes]]\nid = 2\nreplicate = \"[::1]:9331\"\nservice = \"[::1]:9332\"\n\
         [[nodes]]\nid = 3\nreplicate = \"c:9331\"\nservice = \"c:9332\"\n\
         [[groups]]\nid = 0\n[[groups]]\nid = 5\nobservers = [3]\n\
         [[groups]]\nid = 7\nmembers = [2]\nshard = 0\n",
    )
    .unwrap();
    assert_eq!(config.node.shards, Shards::Cpus(vec![4, 6, 8]));
    let groups: Vec<_> = config.groups.iter().map(|g| (g.id, g.members.clone(), g.shard)).collect();
    assert_eq!(groups, [(0, vec![1, 2, 3], 0), (5, vec![1, 2], 2), (7, vec![2], 0)]);
    assert_eq!(config.nodes[1].replicate, Endpoint { host: "::1".to_owned(), port: 9331 });
    assert_eq!(config.nodes[1].replicate.to_string(), "[::1]:9331");
}

#[test]
fn a_development_node_is_a_cluster_of_its_own() {
    let config = Config::dev(1, 9330, "somewhere".into());
    assert_eq!(config.listen, Config::default().listen);
    let third = Config::dev(3, 9330, "somewhere".into());
    assert_eq!(third.listen.service.port(), 9352);
    assert_eq!((third.nodes.len(), third.groups[0].members.clone()), (1, vec![3]));
    for config in [config, third] {
        assert_eq!(Config::parse(&toml::to_string(&config).unwrap()), Ok(config));
    }
}

#[test]
fn the_environment_wins_over_the_file() {
    let timeout = |config: Config| config.raft.election_timeout;
    assert_eq!(with("HOME", "/root").map(timeout), Ok(Duration::from_secs(3)));
    let raft = |key: &str, value: &str| with(&format!("DONGTING_RAFT_{key}"), value);
    assert_eq!(raft("ELECTION_TIMEOUT", "2s").map(timeout), Ok(Duration::from_secs(2)));
    assert_eq!(raft("ELECTION_TIMEOUT", "\"2s\"").map(timeout), Ok(Duration::from_secs(2)));
    assert!(!raft("SYNC_FORCE", "false").unwrap().raft.sync_force);
    assert_eq!(raft("READS", "read-index").unwrap().raft.reads, Reads::ReadIndex);
    let size = with("DONGTING_LOG_SEGMENT_BYTES", "128MiB").unwrap().log.segment_bytes;
    assert_eq!(size, ByteSize::mib(128));
    let shards = with("DONGTING_NODE_SHARDS", "[2, 3]").unwrap().node.shards;
    assert_eq!(shards, Shards::Cpus(vec![2, 3]));
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    for (name, value, expected) in [
        (
            "DONGTING_RAFT_ELECTION_TIMOUT",
            "2s",
            "environment variable DONGTING_RAFT_ELECTION_TIMOUT: names no setting; \
             did you mean `DONGTING_RAFT_ELECTION_TIMEOUT`?",
        ),
        (
            "DONGTING_RAFT_ELECTION_TIMEOUT",
            "2",
            "environment variable DONGTING_RAFT_ELECTION_TIMEOUT: invalid type: integer `2`, \
             expected a span of time in a string, as in \"150ms\"",
        ),
        (
            "DONGTING_RAFT_HEARTBEAT_INTERVAL",
            "2s",
            "environment variable DONGTING_RAFT_HEARTBEAT_INTERVAL: [raft] heartbeat_interval is \
             2s, more than a third of election_timeout (3s), so one lost packet could start an \
             election; lower it, or raise election_timeout",
        ),
        (
            "DONGTING_NODE_SHARDS",
            "[2, \"x\"]",
            "environment variable DONGTING_NODE_SHARDS: invalid type: string \"x\", expected usize",
        ),
    ] {
        assert_eq!(with(name, value), Err(expected.to_owned()));
    }
}

#[test]
fn a_mistake_names_line_cause_and_mend() {
    for (text, expected) in [
        ("[raft", "config:1: not TOML: unclosed table, expected `]`"),
        (
            "[node]\nid = 1\n[raft]\nelection_timout = \"1s\"\n",
            "config:4: unknown key `election_timout` in [raft]; did you mean `election_timeout`?",
        ),
        ("\n[raftt]\n", "config:2: unknown section or key `raftt`; did you mean `raft`?"),
        (
            "sync_force = false\n",
            "config:1: unknown section or key `sync_force`; it belongs below [raft]",
        ),
        (
            "[raft]\nelection_timeout = 150\n",
            "config:2: invalid type: integer `150`, expected a span of time in a string, as in \
             \"150ms\"",
        ),
        (
            "[log]\nsegment_bytes = \"64MB\"\n",
            "config:2: `64MB` is not a size; write a whole number and one of B, KiB, MiB, GiB, \
             TiB, as in \"64MiB\"",
        ),
        (
            "[raft]\nreads = \"lesse\"\n",
            "config:2: unknown variant `lesse`, expected `lease` or `read-index`",
        ),
        (
            "[node]\nshards = -1\n",
            "config:2: invalid value: integer `-1`, expected a number of shards, or a list of \
             CPUs such as [2, 3]",
        ),
        (
            "[[nodes]]\nid = 1\nreplicate = \"9331\"\nservice = \"a:1\"\n",
            "config:3: `9331` is not an address; write host:port, and an IPv6 address in \
             brackets, as in \"[::1]:9332\"",
        ),
        ("[[groups]]\nmembers = [1]\n", "config:1: missing field `id`"),
    ] {
        assert_eq!(refused(text), expected, "{text}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused_together() {
    let text = "[node]\nid = 4\nshards = 2\n\
                [[nodes]]\nid = 1\nreplicate = \"a:1\"\nservice = \"a:1\"\n\
                [[groups]]\nid = 0\nmembers = [1, 9]\nshard = 2\n\
                [[groups]]\nid = 0\nmembers = [1]\nobservers = [1]\n\
                [log]\nsegment_bytes = \"1MiB\"\nbatch_bytes_max = \"3000B\"\n";
    let expected = "\
config:2: [node] id is 4, but [[nodes]] has no such node; add this node to [[nodes]], or correct its id
config:7: address a:1 is there twice; give each node and each purpose its own
config:10: group 0 names node 9, which is not in [[nodes]]; add the node, or correct the id
config:11: group 0 is on shard 2 of 2; shards count from 0; raise [node] shards, or move the group
config:13: group 0 is there twice; remove one, or renumber it
config:15: group 0 names node 1 twice; a node is a member or an observer, once
config:17: [log] segment_bytes is 1MiB; two packets of [rpc] packet_bytes_max must fit: at least 10MiB
config:18: [log] batch_bytes_max is 3000B; it must be a multiple of 4KiB, above 0";
    assert_eq!(refused(text), expected);
}

#[test]
fn one_setting_out_of_range_is_one_problem() {
    for (text, cause) in [
        ("[node]\nid = 0\n", "[node] id is 0"),
        ("[node]\ncluster = \" \"\n", "[node] cluster is empty"),
        ("[node]\ndata_dir = \"\"\n", "[node] data_dir is empty"),
        ("[node]\nshards = 0\n", "[node] shards is 0"),
        ("[node]\nshards = []\n", "[node] shards is empty"),
        ("[node]\nshards = [1, 1]\n", "[node] shards names a CPU twice"),
        ("[raft]\nheartbeat_interval = \"0s\"\n", "[raft] heartbeat_interval is 0"),
        ("[node]\nspin = \"1s\"\n", "[node] spin is 1s; at most 10ms"),
        ("[raft]\npending_tasks_max = 0\n", "[raft] pending_tasks_max is 0"),
        ("[raft]\npending_bytes_max = \"1MiB\"\n", "[raft] pending_bytes_max is 1MiB, less"),
        ("[rpc]\npacket_bytes_max = \"1MiB\"\n", "[rpc] packet_bytes_max is 1MiB"),
        ("[rpc]\nout_buffer_bytes_max = \"4MiB\"\n", "[rpc] out_buffer_bytes_max is 4MiB, less"),
        ("[rpc]\nconnections_max = 0\n", "[rpc] connections_max is 0"),
        ("[rpc]\nhandshake_timeout = \"0s\"\n", "[rpc] handshake_timeout is 0"),
        ("[log]\nbatch_bytes_max = \"1GiB\"\n", "[log] batch_bytes_max is 1GiB, more than"),
        ("[[groups]]\nid = -1\n", "group id -1 is below zero"),
        ("[[groups]]\nid = 0\nmembers = []\n", "group 0 has no members"),
    ] {
        let message = refused(text);
        assert!(message.contains(cause), "{text}: {message}");
    }
    let long = format!("[node]\ncluster = \"{}\"\n", "n".repeat(256));
    assert!(refused(&long).contains("[node] cluster has 256 bytes; a name has at most 255"));
    let same = "[listen]\nservice = \"127.0.0.1:1\"\nreplicate = \"127.0.0.1:1\"\n";
    assert!(refused(same).contains("[listen] replicate is the same as service"));
}

#[test]
fn a_file_that_is_not_there_says_where_to_begin() {
    let message = Config::load(Path::new("/nonexistent/x.toml"), []).unwrap_err().to_string();
    assert!(message.starts_with("/nonexistent/x.toml: cannot be read: "), "{message}");
    assert!(message.contains("dongting config defaults"), "{message}");
}

#[test]
fn the_example_files_are_valid_and_the_cluster_agrees() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let load = |name: &str| Config::load(&folder.join(name), []).unwrap();
    assert_eq!(load("single.toml").groups, Config::default().groups);
    let cluster = ["node1.toml", "node2.toml", "node3.toml"].map(load);
    for (id, config) in (1..).zip(&cluster) {
        assert_eq!(config.node.id, id);
        assert_eq!(config.nodes, cluster[0].nodes);
        assert_eq!(config.groups, cluster[0].groups);
        let own = config.nodes.iter().find(|peer| peer.id == id).unwrap();
        assert_eq!(own.service, config.listen.service.into());
        assert_eq!(own.replicate, config.listen.replicate.into());
    }
}
