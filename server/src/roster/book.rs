//! All nodes and groups as they are now.

use std::collections::{BTreeMap, BTreeSet};

use runtime::ShardId;

use super::amendments::{Amendments, GroupAmendment};
use crate::config::{Config, Endpoint, Group};

/// Nodes that a roster has room for.
const NODES_MAX: usize = 256;
/// Groups, added or removed, that a roster has room for.
const GROUPS_MAX: usize = 4096;

/// One state of the roster. What was changed at run time counts more than the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roster {
    own: u32,
    shards: usize,
    version: u64,
    configured_nodes: BTreeMap<u32, Endpoint>,
    configured_groups: BTreeMap<i32, Group>,
    amendments: Amendments,
    nodes: BTreeMap<u32, Endpoint>,
    groups: BTreeMap<i32, Group>,
}

impl Roster {
    /// The roster of a configuration to which nothing was changed.
    pub fn of(config: &Config) -> Roster {
        Roster::amended(config, 0, Amendments::default())
    }

    /// The roster of a configuration with what was changed since.
    pub(super) fn amended(config: &Config, version: u64, amendments: Amendments) -> Roster {
        let nodes = config.nodes.iter().map(|peer| (peer.id, peer.replicate.clone()));
        let groups = config.groups.iter().map(|group| (group.id, group.clone()));
        let mut roster = Roster {
            own: config.node.id,
            shards: config.node.shards.count(),
            version,
            configured_nodes: nodes.collect(),
            configured_groups: groups.collect(),
            amendments,
            nodes: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        roster.apply();
        roster
    }

    fn apply(&mut self) {
        self.nodes = self.configured_nodes.clone();
        for (id, endpoint) in &self.amendments.nodes {
            match endpoint {
                Some(endpoint) => drop(self.nodes.insert(*id, endpoint.clone())),
                None if *id != self.own => drop(self.nodes.remove(id)),
                None => {}
            }
        }
        self.groups = self.configured_groups.clone();
        for (id, amended) in &self.amendments.groups {
            self.groups.remove(id);
            if amended.is_here {
                // The node may have been given fewer shards since.
                let shard = usize::from(amended.shard) % self.shards.max(1);
                let (members, observers) = (amended.members.clone(), amended.observers.clone());
                let group = Group { id: *id, members, observers, shard: shard as u16 };
                self.groups.insert(*id, group);
            }
        }
    }

    /// Grows with every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn amendments(&self) -> &Amendments {
        &self.amendments
    }

    /// All nodes, this one included, by their ids.
    pub fn nodes(&self) -> &BTreeMap<u32, Endpoint> {
        &self.nodes
    }

    /// The groups that this node has, by their ids.
    pub fn groups(&self) -> &BTreeMap<i32, Group> {
        &self.groups
    }

    /// Whether a group lives on a shard of this node.
    pub fn belongs(&self, group: i32, shard: ShardId) -> bool {
        self.groups.get(&group).is_some_and(|group| group.shard == shard.0)
    }

    /// What in the configuration does not count, because it was changed at run time.
    pub fn overridden(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (id, configured) in &self.configured_nodes {
            match self.nodes.get(id) {
                None => found.push(format!("node {id} was removed")),
                Some(now) if now != configured => {
                    found.push(format!("node {id} was added as {now}, not {configured}"));
                }
                Some(_) => {}
            }
        }
        for (id, configured) in &self.configured_groups {
            match self.groups.get(id) {
                None => found.push(format!("group {id} was removed")),
                Some(now) if now != configured => {
                    found.push(format!("group {id} was added with other members or shard"));
                }
                Some(_) => {}
            }
        }
        found
    }

    /// Adds a node. `None` when it is known already, under whatever address.
    ///
    /// # Errors
    /// Why it cannot be added.
    pub fn with_node(&self, id: i32, host: &str, port: i32) -> Result<Option<Roster>, String> {
        let number = u32::try_from(id).ok().filter(|id| *id > 0);
        let id = number.ok_or_else(|| format!("node id {id} is not above zero"))?;
        if self.nodes.contains_key(&id) {
            return Ok(None);
        }
        let form =
            || format!("`{host}` with port {port} is no address; give a host and 1 to 65535");
        let port = u16::try_from(port).ok().filter(|port| *port > 0).ok_or_else(form)?;
        if host.is_empty() || host.len() > HOST_BYTES_MAX || host.contains(char::is_whitespace) {
            return Err(form());
        }
        let endpoint = Endpoint { host: host.to_owned(), port };
        if let Some((other, _)) = self.nodes.iter().find(|(_, known)| **known == endpoint) {
            return Err(format!("node {other} has the address {endpoint}; remove that node first"));
        }
        if self.nodes.len() >= NODES_MAX {
            return Err(format!("{NODES_MAX} nodes are known; remove one first"));
        }
        let mut amendments = self.amendments.clone();
        amendments.nodes.insert(id, Some(endpoint));
        Ok(Some(self.next(amendments)))
    }

    /// Removes a node that no group has. `None` when it is not known.
    ///
    /// # Errors
    /// Why it cannot be removed.
    pub fn without_node(&self, id: i32) -> Result<Option<Roster>, String> {
        let Some(id) = u32::try_from(id).ok().filter(|id| self.nodes.contains_key(id)) else {
            return Ok(None);
        };
        if id == self.own {
            return Err("can not remove self".to_owned());
        }
        let mut amendments = self.amendments.clone();
        match self.configured_nodes.contains_key(&id) {
            true => drop(amendments.nodes.insert(id, None)),
            false => drop(amendments.nodes.remove(&id)),
        }
        Ok(Some(self.next(amendments)))
    }

    /// Adds a group, on the shard with the fewest. One that was removed comes back with who founded
    /// it: the nodes named now are not those with which its log begins.
    ///
    /// # Errors
    /// Why it cannot be added.
    pub fn with_group(&self, id: i32, members: &str, observers: &str) -> Result<Roster, String> {
        let (members, observers) = (ids_of(members)?, ids_of(observers)?);
        if id < 0 {
            return Err(format!("group id {id} is below zero"));
        }
        if self.groups.contains_key(&id) {
            return Err(format!("group already exist: {id}"));
        }
        if members.is_empty() {
            return Err(format!("group {id} has no members; name one at least"));
        }
        if members.len().max(observers.len()) > raft_core::MEMBERS_MAX {
            return Err(format!("more than {} nodes in one list", raft_core::MEMBERS_MAX));
        }
        if let Some(node) = members.intersection(&observers).next() {
            return Err(format!("node is both member and observer: {node}"));
        }
        let mut named = members.iter().chain(&observers);
        if let Some(node) = named.find(|node| !self.nodes.contains_key(node)) {
            return Err(format!("node not exist: {node}; add it with `dongting node add`"));
        }
        let changed = self.amendments.groups.len();
        if changed >= GROUPS_MAX && !self.amendments.groups.contains_key(&id) {
            return Err(format!(
                "{GROUPS_MAX} groups were added or removed; no more are remembered"
            ));
        }
        let mut amendments = self.amendments.clone();
        let shard = self.emptiest_shard();
        let (members, observers) = (Vec::from_iter(members), Vec::from_iter(observers));
        let new = GroupAmendment { is_here: true, shard, members, observers };
        let amended = amendments.groups.entry(id).or_insert(new);
        (amended.is_here, amended.shard) = (true, shard);
        Ok(self.next(amendments))
    }

    /// Removes a group. `None` when this node has none of that id.
    pub fn without_group(&self, id: i32) -> Option<Roster> {
        let Group { shard, members, observers, .. } = self.groups.get(&id)?.clone();
        let mut amendments = self.amendments.clone();
        let removed = GroupAmendment { is_here: false, shard, members, observers };
        amendments.groups.insert(id, removed);
        Some(self.next(amendments))
    }

    /// Whether the node lets others lead.
    pub fn is_drained(&self) -> bool {
        self.amendments.is_drained
    }

    /// Drains the node, or ends that. `None` when it is so already.
    pub fn drained(&self, is_drained: bool) -> Option<Roster> {
        let amendments = Amendments { is_drained, ..self.amendments.clone() };
        (amendments != self.amendments).then(|| self.next(amendments))
    }

    /// The roster after this one that says what an earlier one did.
    pub(super) fn back_to(&self, before: &Roster) -> Roster {
        self.next(before.amendments.clone())
    }

    fn next(&self, amendments: Amendments) -> Roster {
        let mut next = Roster { version: self.version + 1, amendments, ..self.clone() };
        next.apply();
        next
    }

    fn emptiest_shard(&self) -> u16 {
        let groups = |shard: &u16| self.groups.values().filter(|g| g.shard == *shard).count();
        (0..self.shards as u16).min_by_key(groups).unwrap_or(0)
    }
}

/// Names are not longer.
const HOST_BYTES_MAX: usize = 255;

/// Node ids with commas between.
fn ids_of(text: &str) -> Result<BTreeSet<u32>, String> {
    let ids = text.split(',').map(str::trim).filter(|id| !id.is_empty());
    let parsed = ids.map(|id| id.parse().map_err(|_| format!("`{id}` is not a node id")));
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = "[node]\nid = 1\nshards = 2\n\
            [[nodes]]\nid = 1\nreplicate = \"n1:9331\"\nservice = \"n1:9332\"\n\
            [[nodes]]\nid = 2\nreplicate = \"n2:9331\"\nservice = \"n2:9332\"\n\
            [[groups]]\nid = 0\n";
        Config::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn again(roster: &Roster) -> Roster {
        Roster::amended(&config(), roster.version, roster.amendments.clone())
    }

    #[test]
    fn a_node_is_added_once_and_its_first_address_counts() {
        let roster = Roster::of(&config());
        let added = roster.with_node(3, "n3", 9331).unwrap().unwrap();
        assert_eq!(added.nodes()[&3].to_string(), "n3:9331");
        assert_eq!(added.with_node(3, "elsewhere", 1), Ok(None));
        assert_eq!(again(&added), added, "it outlasts a restart");
        assert!(added.with_node(4, "n3", 9331).is_err(), "the address is another node's");
        for (id, host, port) in
            [(0, "n", 1), (-1, "n", 1), (4, "", 1), (4, "a b", 1), (4, "n", 0), (4, "n", 65536)]
        {
            assert!(roster.with_node(id, host, port).is_err(), "{id} {host} {port}");
        }
    }

    #[test]
    fn a_removed_node_of_the_configuration_stays_removed() {
        let roster = Roster::of(&config());
        assert!(roster.without_node(1).is_err(), "a node does not remove itself");
        assert_eq!(roster.without_node(9), Ok(None));
        let removed = roster.without_node(2).unwrap().unwrap();
        assert!(!again(&removed).nodes().contains_key(&2));
        assert_eq!(removed.overridden(), ["node 2 was removed"]);
        let back = removed.with_node(2, "n2", 9331).unwrap().unwrap();
        assert_eq!((back.nodes(), back.overridden()), (roster.nodes(), Vec::new()));
    }

    #[test]
    fn a_group_goes_to_the_emptiest_shard() {
        let mut roster = Roster::of(&config());
        for id in 1..=3 {
            roster = roster.with_group(id, "1,2", "").unwrap();
        }
        let shards: Vec<u16> = roster.groups().values().map(|group| group.shard).collect();
        assert_eq!(shards, [0, 1, 0, 1]);
    }

    #[test]
    fn a_group_that_comes_back_has_the_founders_that_it_had() {
        let roster = Roster::of(&config()).with_group(5, "1, 2", "").unwrap();
        let removed = roster.without_group(5).unwrap();
        assert!(!again(&removed).groups().contains_key(&5));
        assert_eq!(removed.without_group(5), None);
        let back = removed.with_group(5, "2", "").unwrap();
        assert_eq!(back.groups()[&5].members, [1, 2]);
        let without = Roster::of(&config()).without_group(0).unwrap();
        assert!(again(&without).groups().is_empty());
        assert_eq!(without.overridden(), ["group 0 was removed"]);
        let back = without.with_group(0, "1", "").unwrap();
        assert_eq!(back.groups()[&0].members, [1, 2]);
    }

    #[test]
    fn groups_with_bad_members_are_refused() {
        let roster = Roster::of(&config());
        for (id, members, observers) in [
            (0, "1", ""),
            (-1, "1", ""),
            (5, "", ""),
            (5, "1,9", ""),
            (5, "1", "9"),
            (5, "1", "1"),
            (5, "x", ""),
        ] {
            assert!(
                roster.with_group(id, members, observers).is_err(),
                "{id} {members} {observers}"
            );
        }
    }
}
