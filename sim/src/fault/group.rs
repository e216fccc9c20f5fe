//! What operators do to groups in the middle of everything.

use client::GroupId;
use raft_core::{Members, NodeId};
use runtime::sim::World;

use super::class::FaultClass;
use super::storm::{Scene, Storm, up_to};
use crate::cluster::Cluster;
use crate::workload::{End, Errand};

/// Errands of a run.
const ERRANDS_MAX: usize = 40;

impl Storm {
    /// Sends an operator to a group. What it is to do, if there is something.
    pub(super) fn strike_group(
        &mut self,
        class: FaultClass,
        scene: &mut Scene<'_>,
    ) -> Option<String> {
        let world = scene.world;
        let group = world.choose("storm.group", u64::from(self.plan.groups)) as i32;
        let (leader, config) = {
            let members = scene.cluster.members();
            let leader = members.leader(raft_core::GroupId(group))?;
            (leader, members.config(raft_core::GroupId(group))?.1.config.clone())
        };
        if scene.cluster.operators.len() >= ERRANDS_MAX {
            return None;
        }
        let from = u32::from(leader.0);
        let errand = match class {
            FaultClass::Transfer => {
                let number = world.choose("storm.successor", config.current.voters.len() as u64);
                let to = config.current.voters.get(number as usize)?.0;
                Errand::Transfer { from, to }
            }
            _ => Errand::Change {
                next: self.next_members(scene, NodeId(from), &config.current)?,
                current: config.current,
                pause: up_to(world, "storm.members.pause", 100_000_000),
                end: match world.choose("storm.members.end", 5) {
                    0 | 1 => Some(End::Commit),
                    2 => Some(End::Abort),
                    _ => None,
                },
            },
        };
        let told = format!("group {group}: {errand:?}");
        scene.cluster.send(world, GroupId(group), errand);
        Some(told)
    }

    /// Members that have every committed entry whatever happens to disks.
    fn next_members(
        &self,
        scene: &Scene<'_>,
        leader: NodeId,
        current: &Members,
    ) -> Option<Members> {
        let choose = |site, n| scene.world.choose(site, n);
        let nodes = (1..=u32::from(self.plan.nodes())).map(NodeId);
        let next = match choose("storm.members.kind", 4) {
            // The same voters, and whoever is left looks on.
            3 => {
                let others = nodes.clone().filter(|node| !current.votes(*node));
                Members::of(current.voters.iter().copied(), others)
            }
            // Without its leader, and with somebody else instead.
            0 => {
                let others = nodes.clone().filter(|node| !current.votes(*node)).take(1);
                let stay = current.voters.iter().copied().filter(|node| *node != leader);
                Members::of(stay.chain(others), [])
            }
            // As many others as there are.
            1 => {
                let others = nodes.clone().filter(|node| !current.votes(*node));
                let least = current.voters.iter().copied().take(1);
                Members::of(others.chain(least), [])
            }
            _ => {
                let roles: Vec<_> =
                    nodes.map(|node| (node, choose("storm.members.role", 4))).collect();
                let of_role = |least, most| {
                    let of = roles.iter().filter(move |(_, role)| (least..=most).contains(role));
                    of.map(|(node, _)| *node)
                };
                Members::of(of_role(0, 1), of_role(2, 2))
            }
        };
        let voters: Vec<u16> = next.voters.iter().map(|node| node.0 as u16).collect();
        (!voters.is_empty() && self.plan.outlasts_victims(&voters)).then_some(next)
    }

    /// Ends the changes that somebody began and nobody went on with.
    pub fn settle(&self, world: &World, cluster: &mut Cluster) {
        for group in 0..i32::from(self.plan.groups) {
            let config = {
                let members = cluster.members();
                members.config(raft_core::GroupId(group)).map(|(_, entry)| entry.clone())
            };
            let Some(entry) = config.filter(|entry| entry.config.next.is_some()) else { continue };
            let end = [End::Commit, End::Abort][world.choose("storm.members.settle", 2) as usize];
            let errand = Errand::End { prepared: entry.index.0, end };
            cluster.send(world, GroupId(group), errand);
        }
    }
}
