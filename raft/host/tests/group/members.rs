//! Three members in one process, over links that lose, delay and cut.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use raft_core::{Change, Config, Members, Message, NodeId, RaftOptions, RoleName};
use raft_host::{Group, GroupOptions, Outbox, Refusal, SnapshotMessage};
use runtime::sim::{CrashKind, Ending, NodeKey, World, WorldOptions};
use runtime::{Shard, Signal};

use crate::ledger::{Ledger, LifeError, Machine, payload_of, small_options};

pub(crate) const NODE: NodeKey = NodeKey(1);
pub(crate) const LONG: Duration = Duration::from_secs(300);
/// Rounds of proposals in a life.
const ROUNDS: u64 = 160;
pub(crate) const MEMBERS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// The links between the members.
#[derive(Default)]
pub(crate) struct Post {
    queue: RefCell<VecDeque<Letter>>,
    arrived: Signal,
    /// A member that nothing reaches and that reaches nobody.
    pub(crate) cut: RefCell<Option<NodeId>>,
}

struct Letter {
    from: NodeId,
    to: NodeId,
    content: Content,
}

enum Content {
    Raft(Message, Bytes),
    Snapshot(Vec<u8>),
}

struct Link {
    from: NodeId,
    post: Rc<Post>,
}

impl Outbox for Link {
    fn send(&self, to: NodeId, message: Message, records: Bytes) {
        self.post(to, Content::Raft(message, records));
    }

    fn send_snapshot(&self, to: NodeId, message: &SnapshotMessage<'_>) -> bool {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.post(to, Content::Snapshot(bytes));
        true
    }
}

impl Link {
    fn post(&self, to: NodeId, content: Content) {
        let letter = Letter { from: self.from, to, content };
        self.post.queue.borrow_mut().push_back(letter);
        self.post.arrived.set();
    }
}

pub(crate) struct Cluster {
    pub(crate) groups: Vec<Group<Machine>>,
    pub(crate) post: Rc<Post>,
}

/// Which snapshots the members save, and how much log they keep.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Log {
    /// No snapshots.
    Whole,
    /// So many snapshots, and so little log, that whoever was away for a while needs one.
    Short,
    /// Snapshots, and the whole log.
    Kept,
}

fn options(node: NodeId, log: Log) -> GroupOptions {
    let mut options = small_options();
    if log == Log::Short {
        options.snapshots.log_bytes = 24 << 10;
        options.snapshots.keep = 1;
        options.snapshots.log_delete_delay = Duration::ZERO;
        options.snapshots.at_stop = true;
    }
    if log == Log::Kept {
        options.snapshots.log_bytes = 24 << 10;
        options.snapshots.keep = 1000;
        options.snapshots.at_stop = true;
    }
    options.dir = format!("member{node}/7");
    options.raft = RaftOptions::new(node, u64::from(node.0));
    options.founding = Config::of(MEMBERS, []);
    options
}

impl Cluster {
    pub(crate) async fn open(
        shard: &Shard,
        ledgers: &[Ledger; 3],
        log: Log,
    ) -> Result<Rc<Cluster>, LifeError> {
        let post = Rc::<Post>::default();
        let mut groups = Vec::new();
        for (node, ledger) in MEMBERS.into_iter().zip(ledgers) {
            let group = Group::open(shard, options(node, log), Machine::new(ledger)).await?;
            group.connect(Rc::new(Link { from: node, post: Rc::clone(&post) }));
            groups.push(group);
        }
        let cluster = Rc::new(Cluster { groups, post });
        let postman = Rc::clone(&cluster);
        let delays = shard.clone();
        shard.fibers().spawn_daemon("postman", async move { postman.carry(&delays).await });
        Ok(cluster)
    }

    async fn carry(&self, shard: &Shard) {
        loop {
            let next = self.post.queue.borrow_mut().pop_front();
            let Some(Letter { from, to, content }) = next else {
                self.post.arrived.wait().await;
                continue;
            };
            if shard.random().below(20) == 0 {
                shard.clock().sleep(Duration::from_micros(shard.random().below(3000))).await;
            }
            let cut = *self.post.cut.borrow();
            if cut == Some(from) || cut == Some(to) || shard.random().below(200) == 0 {
                continue;
            }
            let Some(group) = self.groups.get(to.0 as usize - 1) else { continue };
            match content {
                Content::Raft(message, records) => group.step(from, message, &records),
                Content::Snapshot(bytes) => {
                    let message = SnapshotMessage::decode(&bytes).unwrap().unwrap();
                    group.snapshot_message(from, &message);
                }
            }
        }
    }

    /// Whoever takes itself for the leader; one that was cut off and a new one may do so both.
    pub(crate) fn leaders(&self) -> impl Iterator<Item = &Group<Machine>> {
        self.groups.iter().filter(|group| group.status().raft.role == RoleName::Leader)
    }

    /// Waits until all members are equal.
    pub(crate) async fn converge(&self, shard: &Shard) {
        let equal = || {
            let all: Vec<_> = self.groups.iter().map(|group| group.status().raft).collect();
            let newest = all[0].last;
            all.iter().all(|status| status.applied == newest.index && status.last == newest)
        };
        for _ in 0..2000 {
            if self.leaders().count() == 1 && equal() {
                return;
            }
            shard.clock().sleep(Duration::from_millis(20)).await;
        }
        panic!("members do not converge");
    }
}

/// Proposes through whoever leads; cuts a member off now and then,
/// the leader, too; ends with all members equal.
async fn work(shard: Shard, ledgers: [Ledger; 3], log: Log) -> Result<(), LifeError> {
    let cluster = Cluster::open(&shard, &ledgers, log).await?;
    for round in 0..ROUNDS {
        let cut = match round % 40 {
            10..20 => Some(MEMBERS[(round / 40 % 3) as usize]),
            _ => None,
        };
        *cluster.post.cut.borrow_mut() = cut;
        for group in cluster.leaders() {
            for _ in 0..round % 9 {
                // One counter for all; only the leader's ledger is told the answer.
                let number = {
                    let mut book = ledgers[0].book();
                    book.proposed += 1;
                    book.proposed
                };
                if let Err((number, refusal)) = group.propose([&payload_of(number), &[]], number) {
                    ledgers[0].book().refused.push((number, refusal));
                }
            }
        }
        shard.clock().sleep(Duration::from_millis(if cut.is_some() { 500 } else { 5 })).await;
    }
    *cluster.post.cut.borrow_mut() = None;
    cluster.converge(&shard).await;
    for group in &cluster.groups {
        group.stop().await?;
    }
    Ok(())
}

/// Invariants I5 and I14 over the members' books.
fn check(ledgers: &[Ledger; 3]) {
    let applied: Vec<_> = ledgers.iter().map(|ledger| ledger.book().applied.clone()).collect();
    for other in &applied[1..] {
        let differs = applied[0].iter().zip(other).find(|(one, two)| one != two);
        assert_eq!(differs, None, "members apply the same");
        assert_eq!(applied[0].len(), other.len());
    }
    let mut numbers: Vec<u64> = applied[0].iter().map(|(_, number)| *number).collect();
    numbers.sort_unstable();
    assert!(numbers.is_sorted_by(|a, b| a < b), "no number twice");
    for ledger in ledgers {
        for number in &ledger.book().acknowledged {
            assert!(numbers.binary_search(number).is_ok(), "acknowledged {number} is lost");
        }
        let refused = ledger.book().refused.clone();
        for (number, refusal) in refused {
            let may_be_there = refusal == Refusal::OutcomeUnknown;
            assert!(may_be_there || numbers.binary_search(&number).is_err(), "{refusal:?}");
        }
    }
}

/// Returns how often a member loaded a snapshot.
fn run(seed: u64, crash: Option<u64>, log: Log) -> u64 {
    let world = World::new(WorldOptions::new(seed));
    let ledgers = <[Ledger; 3]>::default();
    if let Some(events) = crash {
        let books = ledgers.clone();
        drop(world.start::<LifeError, _, _>(NODE, 1, move |shard| work(shard, books.clone(), log)));
        world.run_until(|world| world.events() > events, LONG).unwrap();
        world.crash(NODE, CrashKind::PowerLoss);
    }
    let books = ledgers.clone();
    let run = world.start(NODE, 1, move |shard| work(shard, books.clone(), log));
    assert!(world.run_until(|_| run.has_ended(), LONG).unwrap());
    match run.take_ending() {
        Some(Ending::Good) => {}
        Some(Ending::Failed(LifeError::Group(error))) => panic!("{error}"),
        _ => panic!("the process failed"),
    }
    check(&ledgers);
    let acknowledged: usize = ledgers.iter().map(|ledger| ledger.book().acknowledged.len()).sum();
    assert!(acknowledged > 200, "{acknowledged}");
    ledgers.iter().map(|ledger| ledger.book().loads).sum()
}

#[test]
fn members_agree_through_cuts_and_losses() {
    for seed in 1..6 {
        assert_eq!(run(seed, None, Log::Whole), 0);
    }
}

#[test]
fn members_agree_after_a_power_loss_of_all() {
    for seed in 1..8 {
        run(seed, Some(500 + seed * 700), Log::Whole);
    }
}

/// Pitfalls 18 and 20: whoever was away for longer than the log is kept is brought back by a
/// snapshot, over links that lose pieces, by leaders that change meanwhile.
#[test]
fn pitfall_18_members_that_the_log_cannot_help_are_sent_a_snapshot() {
    let loads: u64 = (1..8).map(|seed| run(seed, None, Log::Short)).sum();
    assert!(loads > 7, "{loads}");
}

/// Pitfall 20: a power failure of all members at any event, also while they receive a snapshot and
/// put it in place, leaves the old state or the new one.
#[test]
fn pitfall_20_a_power_loss_at_any_moment_of_an_install_leaves_old_or_new() {
    let loads: u64 = (0..60).map(|step| run(step % 5, Some(700 + step * 131), Log::Short)).sum();
    assert!(loads > 60, "{loads}");
}

/// Cuts the leader off, has it begin a change of the members, and stops it.
async fn stop_in_a_change(shard: Shard, ledgers: [Ledger; 3]) -> Result<(), LifeError> {
    let cluster = Cluster::open(&shard, &ledgers, Log::Kept).await?;
    cluster.converge(&shard).await;
    let leader = cluster.leaders().next().unwrap().clone();
    let id = leader.status().raft.id;
    *cluster.post.cut.borrow_mut() = Some(id);
    let next = Members::of(MEMBERS.into_iter().filter(|member| *member != id), []);
    let change = Change::Prepare { current: Members::of(MEMBERS, []), next };
    let change = leader.change(change, LONG);
    assert!(shard.clock().timeout(Duration::from_millis(100), change).await.is_none());
    let stopped = shard.clock().timeout(Duration::from_secs(5), leader.stop()).await;
    assert!(stopped.is_some(), "a stop waits for nobody else");
    stopped.into_iter().collect::<Result<(), _>>()?;
    for group in cluster.groups.iter().filter(|group| group.status().raft.id != id) {
        group.stop().await?;
    }
    Ok(())
}

/// A snapshot holds the members that are in force, and these are not committed: there is none.
#[test]
fn a_stop_does_not_wait_for_a_change_of_members_that_nobody_can_commit() {
    let world = World::new(WorldOptions::new(1));
    let run = world.start(NODE, 1, |shard| stop_in_a_change(shard, <[Ledger; 3]>::default()));
    assert!(world.run_until(|_| run.has_ended(), LONG).unwrap());
    assert!(matches!(run.take_ending(), Some(Ending::Good)));
}
