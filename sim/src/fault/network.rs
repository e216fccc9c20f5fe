//! Faults of the network.

use std::time::Duration;

use runtime::sim::{Latency, LinkOptions, NodeKey};

use super::class::FaultClass;
use super::storm::{Scene, Storm};
use super::undo::Undo;

impl Storm {
    /// Strikes links and connections. What it did, if it could.
    pub(super) fn strike_network(
        &mut self,
        class: FaultClass,
        scene: &mut Scene<'_>,
    ) -> Option<String> {
        let world = scene.world;
        let network = world.network();
        let (from, to) = self.link(scene);
        match class {
            FaultClass::Reset => {
                if network.connections(from, to) == 0 {
                    return None;
                }
                network.reset(from, to);
                Some(format!("connections between {from} and {to} are reset"))
            }
            FaultClass::CutOneWay => {
                let length = self.cut(scene, class, &[(from, to)]);
                Some(format!("nothing gets from {from} to {to} for {length:?}"))
            }
            FaultClass::CutPair => {
                let length = self.cut(scene, class, &[(from, to), (to, from)]);
                Some(format!("{from} and {to} are cut off from each other for {length:?}"))
            }
            FaultClass::Split | FaultClass::Bridge => self.split(scene, class),
            _ => {
                let options = self.worse_link(scene, class);
                network.set_link(from, to, options);
                let length = self.length(world, class);
                self.undo_after(world, length, Undo::Link(from, to));
                Some(format!("{from} to {to} for {length:?}"))
            }
        }
    }

    fn worse_link(&self, scene: &Scene<'_>, class: FaultClass) -> LinkOptions {
        let choose = |site, n| scene.world.choose(site, n);
        let ordinary = self.plan.network.link;
        match class {
            FaultClass::LinkDelay => {
                let millis = Duration::from_millis(1 << choose("storm.delay", 9));
                LinkOptions { delay: Latency::between(millis / 2, millis), ..ordinary }
            }
            FaultClass::LinkLoss => {
                LinkOptions { loss_one_in: 2 + choose("storm.loss", 30), ..ordinary }
            }
            FaultClass::LinkSlow => {
                LinkOptions { bandwidth: 1_024 << choose("storm.bandwidth", 8), ..ordinary }
            }
            _ => LinkOptions {
                refuse_one_in: 1 + choose("storm.refuse", 3),
                reset_one_in: [0, 50][choose("storm.refuse.reset", 2) as usize],
                ..ordinary
            },
        }
    }

    fn cut(
        &mut self,
        scene: &Scene<'_>,
        class: FaultClass,
        ways: &[(NodeKey, NodeKey)],
    ) -> Duration {
        let length = self.length(scene.world, class);
        for (from, to) in ways {
            scene.world.network().cut(*from, *to);
            self.undo_after(scene.world, length, Undo::Heal(*from, *to));
        }
        length
    }

    /// Two parts of the servers. With a bridge, one server belongs to both.
    fn split(&mut self, scene: &mut Scene<'_>, class: FaultClass) -> Option<String> {
        let keys: Vec<_> = scene.cluster.servers.iter().map(|server| server.key).collect();
        let sides = scene.world.choose("storm.sides", 1 << keys.len());
        let bridge = scene.world.choose("storm.bridge", keys.len() as u64) as usize;
        let is_left = |number: usize| sides >> number & 1 == 0;
        let mut ways = Vec::new();
        for (a, from) in keys.iter().enumerate() {
            for (b, to) in keys.iter().enumerate() {
                let has_bridge = class == FaultClass::Bridge && (a == bridge || b == bridge);
                if is_left(a) != is_left(b) && !has_bridge {
                    ways.push((*from, *to));
                }
            }
        }
        if ways.is_empty() {
            return None;
        }
        let length = self.cut(scene, class, &ways);
        let side = |wanted: bool| {
            let numbers = (0..keys.len()).filter(|number| is_left(*number) == wanted);
            numbers.map(|number| keys[number].0.to_string()).collect::<Vec<_>>().join(" ")
        };
        Some(format!("servers {} and {} for {length:?}", side(true), side(false)))
    }
}
