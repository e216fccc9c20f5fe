//! The command `exhaust`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to people")]

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};

use super::crash::case::Case;
use super::crash::explore::{Counts, Extent, Found, explore};
use super::crash::replay::replay;
use super::crash::script::Script;
use super::crash::scripts;
use super::links::link_set::LinkSet;
use super::links::walk::{Report, Walk};
use super::model::host::Mistake;
use super::model::state::Budget;
use super::model::way::Way;
use super::model::{openings, search};
use crate::bugs;

/// What to try.
#[derive(Args)]
pub struct ExhaustArguments {
    #[command(subcommand)]
    what: What,
    /// Plant this bug.
    #[arg(long, global = true)]
    bug: Option<String>,
}

#[derive(Subcommand)]
enum What {
    /// A server dies at every storage operation, and again in its recovery.
    Crash(CrashArguments),
    /// Every set of the links between three servers.
    Links(LinksArguments),
    /// All interleavings of a small group of consensus cores.
    Model(ModelArguments),
}

#[derive(Args)]
struct LinksArguments {
    /// Try every set after every other one as well.
    #[arg(long)]
    pairs: bool,
    /// Try one in so many.
    #[arg(long, default_value_t = 1)]
    stride: usize,
    /// Try this one walk.
    #[arg(long)]
    case: Option<String>,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

#[derive(Args)]
struct ModelArguments {
    /// The openings to search from; all of them without any.
    openings: Vec<String>,
    /// Let only as little happen as in the tests.
    #[arg(long)]
    quick: bool,
    /// Let so much happen: timeouts, deaths, losses, copies, overtakes, proposals and changes, as in
    /// 2.1.0.0.0.1.0.
    #[arg(long)]
    budget: Option<String>,
    /// Look at so many states of each at most.
    #[arg(long, default_value_t = 4_000_000)]
    states: u64,
    /// Go this one way, and tell it.
    #[arg(long)]
    case: Option<String>,
}

#[derive(Args)]
struct CrashArguments {
    /// The scripts to try; all of them without any.
    scripts: Vec<String>,
    /// Deaths that follow each other.
    #[arg(long, default_value_t = 2)]
    deaths: usize,
    /// Try one in so many moments of each script.
    #[arg(long, default_value_t = 1)]
    stride: usize,
    /// Try one in so many moments of each recovery.
    #[arg(long, default_value_t = 1)]
    nested_stride: usize,
    /// Try one in so many fates of what is undecided in a moment.
    #[arg(long, default_value_t = 1)]
    fate_stride: usize,
    /// Try one in so many failures of the disk.
    #[arg(long, default_value_t = 1)]
    failure_stride: u64,
    /// Try this one case, and tell it.
    #[arg(long)]
    case: Option<String>,
    /// Threads; each takes one script at a time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

/// Exit code when a rule is broken.
const VIOLATION: u8 = 1;
/// Exit code when the arguments are of no use.
const USAGE: u8 = 2;

/// Carries the command out.
pub fn exhaust(arguments: &ExhaustArguments) -> ExitCode {
    let planted = arguments.bug.as_ref().map_or(Ok(()), |name| bugs::plant_named(name));
    let done = planted.and_then(|()| match &arguments.what {
        What::Crash(arguments) => crash(arguments),
        What::Links(arguments) => links(arguments),
        What::Model(arguments) => model(arguments),
    });
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(USAGE)
    })
}

/// A line that is written over itself, on a terminal, now and then.
pub(super) struct LiveLine {
    is_live: bool,
    last: Mutex<Instant>,
}

impl LiveLine {
    pub(super) fn new() -> LiveLine {
        LiveLine { is_live: std::io::stderr().is_terminal(), last: Mutex::new(Instant::now()) }
    }

    pub(super) fn tell(&self, line: impl FnOnce() -> String) {
        let Ok(mut last) = self.last.try_lock() else { return };
        if self.is_live && last.elapsed() >= Duration::from_millis(500) {
            *last = Instant::now();
            eprint!("\r\x1b[K{}", line());
            // Nothing depends on the line being there.
            let _ = std::io::stderr().flush();
        }
    }

    pub(super) fn end(&self) {
        if self.is_live {
            eprint!("\r\x1b[K");
        }
    }
}

fn crash(arguments: &CrashArguments) -> Result<ExitCode, String> {
    if let Some(text) = &arguments.case {
        let case: Case = text.parse()?;
        return Ok(told(replay(&case, &mut |line| println!("{line}"))?));
    }
    let chosen = chosen(&arguments.scripts)?;
    let extent = Extent {
        deaths: arguments.deaths.max(1),
        scene_stride: arguments.stride.max(1),
        nested_stride: arguments.nested_stride.max(1),
        fate_stride: arguments.fate_stride.max(1),
        failure_stride: arguments.failure_stride.max(1),
    };
    let (next, live, started) = (AtomicUsize::new(0), LiveLine::new(), Instant::now());
    let results = Mutex::new((Counts::default(), Vec::new()));
    let work = || {
        while let Some(script) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (counts, found) = explore_script(script, extent, &live);
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.0.add(counts);
            results.1.extend(found);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..arguments.jobs {
            scope.spawn(work);
        }
        work();
    });
    let (counts, found) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{}", line("all", &counts, started.elapsed()));
    Ok(match found.is_empty() {
        true => {
            println!("no rule was broken");
            ExitCode::SUCCESS
        }
        false => ExitCode::from(VIOLATION),
    })
}

fn explore_script(script: &Script, extent: Extent, live: &LiveLine) -> (Counts, Option<Found>) {
    let started = Instant::now();
    let tell = |counts: &Counts| live.tell(|| line(script.name, counts, started.elapsed()));
    let (counts, found) = explore(script, extent, &mut { tell });
    live.end();
    println!("{}", line(script.name, &counts, started.elapsed()));
    if let Some(Found { case, violation }) = &found {
        println!("case {case} breaks a rule\n  {violation}");
        println!("repeat it with: sim exhaust crash --case {case}");
    }
    (counts, found)
}

fn line(name: &str, counts: &Counts, elapsed: Duration) -> String {
    let Counts { plays, scenes, cases, recoveries } = counts;
    format!(
        "{name:<16} {plays:>5} plays, {scenes:>8} moments, {cases:>10} deaths, {recoveries:>8} \
         recoveries, {:>7.1} s",
        elapsed.as_secs_f64()
    )
}

fn chosen(names: &[String]) -> Result<Vec<&'static Script>, String> {
    if names.is_empty() {
        return Ok(scripts::ALL.iter().collect());
    }
    let find = |name: &String| {
        let names = || scripts::ALL.iter().map(|script| script.name).collect::<Vec<_>>().join(", ");
        scripts::named(name)
            .ok_or_else(|| format!("no script has the name `{name}`; there are {}", names()))
    };
    names.iter().map(find).collect()
}

fn links(arguments: &LinksArguments) -> Result<ExitCode, String> {
    if let Some(text) = &arguments.case {
        let walk: Walk = text.parse()?;
        walk.0.iter().for_each(|set| println!("links {set}"));
        return Ok(told(walk.go().map(drop)));
    }
    let singles = LinkSet::all().map(|set| Walk(vec![set]));
    let pairs = LinkSet::all().flat_map(|from| {
        let others = LinkSet::all().filter(move |to| *to != from);
        others.map(move |to| Walk(vec![from, to]))
    });
    let walks: Vec<Walk> = match arguments.pairs {
        true => singles.chain(pairs).step_by(arguments.stride.max(1)).collect(),
        false => singles.step_by(arguments.stride.max(1)).collect(),
    };
    let (next, live, started) = (AtomicUsize::new(0), LiveLine::new(), Instant::now());
    let results = Mutex::new((Walks::default(), Vec::new()));
    let work = || {
        while let Some(walk) = walks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let went = walk.go();
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            match went {
                Ok(report) => results.0.add(&report),
                Err(violation) => results.1.push((walk.clone(), violation)),
            }
            live.tell(|| results.0.line(started.elapsed()));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..arguments.jobs {
            scope.spawn(work);
        }
        work();
    });
    live.end();
    let (sums, found) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{}", sums.line(started.elapsed()));
    for (walk, violation) in &found {
        println!("case {walk} breaks a rule\n  {violation}");
        println!("repeat it with: sim exhaust links --case {walk}");
    }
    Ok(match found.is_empty() {
        true => {
            println!("no rule was broken");
            ExitCode::SUCCESS
        }
        false => ExitCode::from(VIOLATION),
    })
}

/// Sums over many walks.
#[derive(Default)]
struct Walks {
    walks: u64,
    sums: Report,
}

impl Walks {
    fn add(&mut self, report: &Report) {
        self.walks += 1;
        self.sums.serving += report.serving;
        self.sums.silent += report.silent;
        self.sums.simulated += report.simulated;
    }

    fn line(&self, elapsed: Duration) -> String {
        let Report { serving, silent, simulated } = self.sums;
        format!(
            "{} walks, {serving} sets that serve, {silent} that cannot, {:.0} s simulated, {:.1} s",
            self.walks,
            simulated.as_secs_f64(),
            elapsed.as_secs_f64()
        )
    }
}

fn model(arguments: &ModelArguments) -> Result<ExitCode, String> {
    if let Some(text) = &arguments.case {
        let way: Way = text.parse()?;
        let tell = &mut |line| println!("{line}");
        let opening = way.opening()?;
        return Ok(told(search::replay(opening, way.budget, Mistake::None, &way.path, tell)));
    }
    let names = match arguments.openings.is_empty() {
        true => openings::ALL.iter().map(|opening| opening.name.to_owned()).collect(),
        false => arguments.openings.clone(),
    };
    let (live, mut code) = (LiveLine::new(), ExitCode::SUCCESS);
    for name in names {
        let budget = Budget::default();
        let mut way = Way { opening: name, budget, path: Vec::new() };
        let opening = way.opening()?;
        way.budget = match &arguments.budget {
            Some(budget) => budget.parse()?,
            None if arguments.quick => opening.quick,
            None => opening.deep,
        };
        let started = Instant::now();
        let line = |counts: &search::Counts| states_line(opening.name, counts, started.elapsed());
        let tell = &mut |counts: &search::Counts| live.tell(|| line(counts));
        let (counts, found) =
            search::search(opening, way.budget, Mistake::None, arguments.states, tell);
        live.end();
        println!("{}", line(&counts));
        if let Some(found) = found {
            way.path = found.path;
            println!("case {way} breaks a rule\n  {}", found.violation);
            println!("repeat it with: sim exhaust model --case {way}");
            code = ExitCode::from(VIOLATION);
        }
    }
    Ok(code)
}

fn states_line(name: &str, counts: &search::Counts, elapsed: Duration) -> String {
    let search::Counts { states, steps, depth, open } = counts;
    let end = if *open == 0 { "all of them".to_owned() } else { format!("{open} still open") };
    format!(
        "{name:<16} {states:>9} states ({end}), {steps:>10} steps, depth {depth:>3}, {:>7.1} s",
        elapsed.as_secs_f64()
    )
}

/// How a repeated case has ended.
fn told(result: Result<(), crate::violation::Violation>) -> ExitCode {
    match result {
        Ok(()) => {
            println!("no rule was broken");
            ExitCode::SUCCESS
        }
        Err(violation) => {
            println!("{violation}");
            ExitCode::from(VIOLATION)
        }
    }
}
