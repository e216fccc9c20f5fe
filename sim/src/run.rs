//! One run: a world, a cluster, clients, a storm, then calm, and the checks.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::GroupId;
use moment::Moment;
use runtime::sim::{
    Beyond, CrashKind, FailureCause, NodeKey, Recording, What, World, WorldOptions,
};

use crate::check::{KeysChecked, Members, check_keys, check_revisions, check_watches};
use crate::cluster::{Cluster, groups};
use crate::coverage::{Coverage, Rare};
use crate::ear;
use crate::fault::{Storm, Strikes};
use crate::plan::Plan;
use crate::story::Story;
use crate::violation::{Rule, Violation};
use crate::witness;
use crate::workload::{History, Operations, Program, ProgramPlan};

/// Where the decisions of a run come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A number.
    Seed(u64),
    /// A tape; what is not on it is tame.
    Tape(Recording),
}

/// What a run is asked to keep.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep {
    /// The tape of a run from a seed.
    pub tape: bool,
    /// The story.
    pub story: bool,
}

/// What a run was like.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The rule that was broken, if one was.
    pub violation: Option<Violation>,
    /// Equal for equal runs.
    pub trace_hash: u64,
    /// Things that happened.
    pub events: u64,
    /// World time.
    pub simulated: Duration,
    /// Faults.
    pub strikes: Strikes,
    /// What has happened to the members.
    pub coverage: Coverage,
    /// Calls, and those of them that were carried out for sure.
    pub calls: (usize, usize),
    /// Keys whose history was searched.
    pub keys: KeysChecked,
    /// The tape, if it was to be kept.
    pub tape: Recording,
    /// The story, if it was to be kept.
    pub story: Vec<String>,
    /// The plan in words.
    pub plan: String,
}

/// Most world time from the end of the storm to the last answer.
const CALM_MAX: Duration = Duration::from_secs(60);

/// Patience of the reads in the calm, which must be answered.
const READ_PATIENCE: Duration = Duration::from_secs(10);

/// Runs once.
pub fn run(source: &Source, keep: Keep) -> Report {
    let options = |seed, is_recording| WorldOptions { is_recording, ..WorldOptions::new(seed) };
    let world = match source {
        Source::Seed(seed) => World::new(options(*seed, keep.tape)),
        Source::Tape(tape) => World::replay(options(0, keep.tape), tape, Beyond::Zero),
    };
    ear::listen(keep.story);
    let mut stage = Stage::new(&world, keep);
    let outcome = catch_unwind(AssertUnwindSafe(|| stage.play()));
    let violation = match outcome {
        Ok(outcome) => outcome.err(),
        Err(cause) => Some(Violation::new(Rule::Panic, panic_text(&*cause))),
    };
    let report = stage.report(violation);
    drop(stage);
    // Groups hold parts of the world, and the other way round.
    witness::forget_all();
    report
}

/// What a panic says.
pub fn panic_text(cause: &(dyn std::any::Any + Send)) -> String {
    let text = cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// A run with all its parts.
struct Stage<'a> {
    world: &'a World,
    plan: Plan,
    cluster: Cluster,
    history: History,
    storm: Storm,
    story: Story,
    keys: KeysChecked,
    /// What the history shows to have happened.
    seen: Coverage,
    /// The newest entries when the calm began, and the newest applied ones before it ended.
    calm: [BTreeMap<GroupId, u64>; 2],
    /// The node whose fiber ran last.
    polled: Rc<Cell<Option<NodeKey>>>,
    keep: Keep,
}

impl<'a> Stage<'a> {
    fn new(world: &'a World, keep: Keep) -> Stage<'a> {
        let plan = Plan::draw(world);
        world.network().set_options(plan.network);
        let members = Arc::new(Mutex::new(Members::default()));
        let cluster = Cluster::new(&plan, members);
        for server in &cluster.servers {
            world.disk(server.key).set_options(plan.disk);
        }
        let history = History::default();
        let polled = Rc::new(Cell::new(None));
        let (told, now) = (Rc::clone(&polled), history.clone());
        world.observe(move |happening| {
            now.set_now(happening.at);
            if let What::Poll { node, .. } = happening.what {
                told.set(Some(node));
            }
        });
        let storm = Storm::new(&plan, history.clone());
        let story = Story::new(keep.story);
        let keys = KeysChecked::default();
        let (seen, calm) = (Coverage::default(), Default::default());
        Stage { world, plan, cluster, history, storm, story, keys, seen, calm, polled, keep }
    }

    fn play(&mut self) -> Result<(), Violation> {
        for number in 0..self.cluster.servers.len() {
            self.cluster.start(self.world, number);
        }
        for number in 0..self.plan.programs {
            let group = GroupId(i32::from(number % self.plan.groups));
            let (shape, count) = (self.plan.shape, self.plan.operations);
            let strands = 0..self.plan.strands;
            let strands = strands.map(|_| Operations::draw(self.world, shape, count)).collect();
            self.add_program(ProgramPlan { strands, ..self.program(group) });
        }
        for number in 0..self.plan.watchers {
            let group = GroupId(i32::from(number % self.plan.groups));
            let keys = self.plan.shape.watched_keys(self.world);
            self.cluster.add_watcher(self.world, group, keys);
        }
        self.weather_storm()?;
        self.calm_down()?;
        self.calm[0] = self.newest_entries();
        self.read_everything()?;
        self.calm[1] = self.ends_of_logs();
        // Here by what they are told; after the deaths that follow they ask anew.
        self.until_watchers_know()?;
        self.die_and_read_again()?;
        self.check_history()
    }

    /// The newest entry of each group that anybody has. What is proposed from now on comes behind it.
    fn newest_entries(&self) -> BTreeMap<GroupId, u64> {
        let members = self.cluster.members();
        let newest = |group: GroupId| members.newest(raft_core::GroupId(group.0));
        groups(&self.plan).filter_map(|group| Some((group, newest(group)?))).collect()
    }

    /// The newest entry of each group that was applied.
    fn ends_of_logs(&self) -> BTreeMap<GroupId, u64> {
        let members = self.cluster.members();
        let end = |group: GroupId| Some(members.log(raft_core::GroupId(group.0)).last()?.index);
        groups(&self.plan).filter_map(|group| Some((group, end(group)?))).collect()
    }

    /// A program of a group that does nothing yet.
    fn program(&self, group: GroupId) -> ProgramPlan {
        ProgramPlan {
            number: self.cluster.programs.len() as u16,
            group,
            servers: self.cluster.addresses(),
            strands: Vec::new(),
            connections: self.plan.connections,
            call_timeout: self.plan.call_timeout,
            retry_after: self.plan.retry_after,
            is_persistent: false,
        }
    }

    fn add_program(&mut self, plan: ProgramPlan) {
        let number = self.cluster.programs.len();
        self.cluster.programs.push(Program::new(plan, self.history.clone()));
        self.cluster.start_program(self.world, number);
    }

    /// Faults strike until their time is over or the clients are done.
    fn weather_storm(&mut self) -> Result<(), Violation> {
        let end = self.world.now() + self.plan.storm;
        while self.world.now() < end && self.cluster.has_programs(self.world) {
            self.storm.step(self.world, &mut self.cluster, &mut self.story);
            let until = self.storm.next_at().min(end);
            self.go_on(until, |_| false)?;
            for number in 0..self.cluster.servers.len() {
                self.cluster.supervise(self.world, number);
            }
        }
        Ok(())
    }

    /// No more faults: everything comes to its end in time.
    fn calm_down(&mut self) -> Result<(), Violation> {
        self.story.tell(self.world.now(), || "the storm is over".to_owned());
        self.tell_members();
        self.storm.heal(self.world, &mut self.cluster);
        let end = self.world.now() + CALM_MAX;
        self.until_ready(end)?;
        for program in &self.cluster.programs {
            program.stop();
        }
        self.until(end, "the clients are done", |stage| !stage.cluster.has_programs(stage.world))?;
        self.settle_members(end)
    }

    /// Operators come back, and no change of members is left half-done.
    fn settle_members(&mut self, end: Moment) -> Result<(), Violation> {
        let are_back = |stage: &Stage<'_>| !stage.cluster.has_operators();
        self.until(end, "the operators are back", are_back)?;
        if self.is_beyond_help() {
            return Ok(());
        }
        let is_settled = |stage: &Stage<'_>| {
            let members = stage.cluster.members();
            groups(&stage.plan).all(|group| {
                let config = members.config(raft_core::GroupId(group.0));
                config.is_none_or(|(_, entry)| entry.config.next.is_none())
            })
        };
        while !is_settled(self) {
            if self.world.now() >= end {
                let what = "a change of members cannot be ended".to_owned();
                return Err(Violation::new(Rule::Liveness, what));
            }
            self.storm.settle(self.world, &mut self.cluster);
            self.until(end, "changes of members come to an end", are_back)?;
        }
        self.until(end, "who leads has a vote", |stage| stage.cluster.members().leaders_vote())?;
        self.until_ready(end)
    }

    /// What operators were told.
    fn check_told(&self) -> Result<(), Violation> {
        let members = self.cluster.members();
        for operator in &self.cluster.operators {
            for told in operator.told() {
                members.check_told(raft_core::GroupId(operator.group.0), &told)?;
            }
        }
        Ok(())
    }

    /// Whether the damage is done to more servers than a group can lose.
    fn is_beyond_help(&self) -> bool {
        let count = self.cluster.servers.len();
        let given_up = (0..count).filter(|number| self.cluster.is_given_up(*number)).count();
        given_up > usize::from((self.plan.members - 1) / 2)
    }

    /// Reads all keys of all groups, which must be answered now.
    fn read_everything(&mut self) -> Result<(), Violation> {
        if self.is_beyond_help() {
            return Ok(());
        }
        for group in groups(&self.plan) {
            self.add_program(ProgramPlan {
                strands: vec![Operations::read_all(self.plan.shape)],
                call_timeout: READ_PATIENCE,
                is_persistent: true,
                ..self.program(group)
            });
        }
        let end = self.world.now() + CALM_MAX;
        self.until(end, "everything is read", |stage| !stage.cluster.has_programs(stage.world))
    }

    /// Every machine loses power once more, and everything is there.
    fn die_and_read_again(&mut self) -> Result<(), Violation> {
        let count = self.cluster.servers.len();
        if (0..count).any(|number| !self.cluster.may_die(number)) {
            return Ok(());
        }
        self.story.tell(self.world.now(), || "all machines lose power".to_owned());
        for number in 0..count {
            self.cluster.crash(self.world, number, CrashKind::PowerLoss);
        }
        self.storm.heal(self.world, &mut self.cluster);
        self.until_ready(self.world.now() + CALM_MAX)?;
        self.read_everything()?;
        let end = self.world.now() + CALM_MAX;
        self.until(end, "all members have applied the same", |stage| {
            let cluster = &stage.cluster;
            // A server that waits for a lost one to learn what it has promised takes no entry.
            let waits = |node: NodeKey| cluster.is_excused(usize::from(node.0) - 1);
            let members = cluster.members();
            groups(&stage.plan).all(|group| members.are_level(raft_core::GroupId(group.0), waits))
        })?;
        self.until_watchers_know()
    }

    /// Every watcher knows what is there.
    fn until_watchers_know(&mut self) -> Result<(), Violation> {
        let end = self.world.now() + CALM_MAX;
        self.until(end, "watchers know the last state", |stage| {
            stage.is_beyond_help() || stage.cluster.watchers_are_up_to_date()
        })
    }

    fn tell_members(&mut self) {
        for line in self.cluster.members().tell() {
            self.story.tell(self.world.now(), || line);
        }
    }

    fn until_ready(&mut self, end: Moment) -> Result<(), Violation> {
        self.until(end, "the servers are ready", |stage| {
            let cluster = &stage.cluster;
            (0..cluster.servers.len()).all(|number| {
                cluster.is_ready(number)
                    || cluster.is_excused(number)
                    || cluster.is_outside(number) && cluster.is_running(number)
            })
        })
    }

    /// Waits for what must come.
    fn until(
        &mut self,
        end: Moment,
        what: &str,
        condition: impl Fn(&Stage<'_>) -> bool,
    ) -> Result<(), Violation> {
        while !condition(self) {
            if self.world.now() >= end {
                self.tell_members();
                let what = format!("{what}: not after {CALM_MAX:?} without faults");
                return Err(Violation::new(Rule::Liveness, what));
            }
            let step = self.world.now() + Duration::from_millis(10);
            self.go_on(step.min(end), |_| false)?;
            for number in 0..self.cluster.servers.len() {
                if !self.cluster.is_given_up(number) {
                    self.cluster.supervise(self.world, number);
                }
            }
        }
        Ok(())
    }

    /// Lets time pass, and looks at every step of the servers.
    fn go_on(
        &mut self,
        until: Moment,
        condition: impl Fn(&Stage<'_>) -> bool,
    ) -> Result<(), Violation> {
        let limit = until.since(self.world.now());
        let stage = &*self;
        let mut said = Vec::new();
        let stopped = self.world.run_until(
            |world| {
                if let Some(node) = stage.polled.take() {
                    stage.cluster.observe(node);
                    let lines = ear::take_lines().into_iter();
                    said.extend(lines.map(|line| (world.now(), format!("{node}: {line}"))));
                }
                stage.cluster.members().violation().is_some() || condition(stage)
            },
            limit,
        );
        self.history.set_now(self.world.now());
        said.into_iter().for_each(|(at, line)| self.story.tell(at, || line));
        if let Err(failure) = stopped {
            let rule = match failure.cause {
                FailureCause::Panicked(_) => Rule::Panic,
                FailureCause::Spinning { .. } => Rule::Spinning,
            };
            return Err(Violation::new(rule, failure.to_string()));
        }
        if let Some(violation) = self.cluster.members().violation() {
            return Err(violation.clone());
        }
        while let Some((number, line)) = self.cluster.take_ended(self.world.now())? {
            let now = self.world.now();
            self.story.tell(now, || format!("server {}: {line}", number + 1));
        }
        Ok(())
    }

    fn check_history(&mut self) -> Result<(), Violation> {
        self.check_told()?;
        let calls = self.history.snapshot();
        for group in groups(&self.plan) {
            let of_group: Vec<_> =
                calls.iter().filter(|call| call.group == group).cloned().collect();
            let members = self.cluster.members();
            let log = members.log(raft_core::GroupId(group.0));
            let (from, to) = (self.calm[0].get(&group), self.calm[1].get(&group));
            let calm = from.copied().unwrap_or(u64::MAX)..to.copied().unwrap_or(0);
            let model = check_revisions(log, &of_group, calm, &mut self.seen)?;
            let last = log.last().map_or(0, |entry| entry.index);
            for watcher in &self.cluster.watchers {
                if watcher.plan().group == group {
                    let sights = watcher.sights();
                    self.seen.add_many(Rare::Told, sights.len() as u64);
                    check_watches(&model, last, &sights)?;
                }
            }
            let checked = check_keys(&of_group)?;
            self.keys.keys += checked.keys;
            self.keys.undecided += checked.undecided;
        }
        Ok(())
    }

    fn coverage(&self) -> Coverage {
        let mut coverage = self.cluster.members().coverage().clone();
        coverage.merge(&ear::coverage());
        coverage.merge(&self.seen);
        coverage
    }

    fn report(&self, violation: Option<Violation>) -> Report {
        let calls = if self.keep.story { self.history.snapshot() } else { Vec::new() };
        Report {
            violation,
            trace_hash: self.world.trace_hash(),
            events: self.world.events(),
            simulated: Duration::from_nanos(self.world.now().as_nanos()),
            strikes: self.storm.strikes().clone(),
            coverage: self.coverage(),
            calls: self.history.counts(),
            keys: self.keys,
            tape: if self.keep.tape { self.world.recording() } else { Recording::default() },
            story: if self.keep.story { self.story.with_calls(&calls) } else { Vec::new() },
            plan: format!("{:#?}", self.plan),
        }
    }
}
