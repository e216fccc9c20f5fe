//! How a node ends when something on one of its shards fails.

use std::sync::Arc;
use std::time::Duration;

use runtime::Shard;
use runtime::sim::{Ending, NodeKey, World, WorldOptions};
use server::config::Config;
use server::node::{NodeError, NodePlan};
use server::shard;

const NODE: NodeKey = NodeKey(1);

#[test]
fn failure_of_a_shard_ends_the_whole_node_at_once() {
    let world = World::new(WorldOptions::new(1));
    world.add_node(NODE);
    world.disk(NODE).put("identity", &[1; 4096]);
    let start = |world: &World| {
        let text = "[node]\nshards = 3\n[[groups]]\nid = 0\n[[groups]]\nid = 1\n";
        let plan = Arc::new(NodePlan::new(Config::parse(text).unwrap(), |_| {}));
        world.start(NODE, 3, move |shard: Shard| shard::run(shard, plan.clone()))
    };
    // A group's data stands beside the damaged file.
    let run = start(&world);
    assert_eq!(world.run_until(|_| run.has_ended(), Duration::from_secs(60)), Ok(false));
    world.stop(NODE);
    assert_eq!(world.run_until(|_| run.has_ended(), Duration::from_secs(60)), Ok(true));
    world.disk(NODE).flip_bit("identity", 100);
    let (run, began) = (start(&world), world.now());
    assert_eq!(world.run_until(|_| run.has_ended(), Duration::from_secs(60)), Ok(true));
    assert!(matches!(run.take_ending(), Some(Ending::Failed(NodeError::IdentityDamaged { .. }))));
    assert!(world.now().since(began) < Duration::from_secs(1));
}
