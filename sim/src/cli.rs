//! Verbs of the command line.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to people")]

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use runtime::sim::Recording;

use crate::bugs;
use crate::exhaust::command::{self, ExhaustArguments};
use crate::run::{Keep, Report, Source, run};
use crate::shrink::Shrinking;
use crate::soak::{Soak, Totals, soak, told_trace};

/// The whole cluster in a deterministic simulator, under every fault.
#[derive(Parser)]
#[command(name = "sim", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run seeds until one breaks a rule.
    Run(RunArguments),
    /// Repeat one run and tell what happens in it.
    Replay(OneRun),
    /// Find the smallest tape that breaks the same rule, and tell its story.
    Shrink(ShrinkArguments),
    /// Plant bugs, one after the other, and see how many seeds it takes to find each.
    Bugs(BugsArguments),
    /// Try everything that can happen in small situations.
    Exhaust(ExhaustArguments),
}

#[derive(Args)]
struct RunArguments {
    /// How many seeds to run; without it and without --minutes, 100.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Stop after so many minutes.
    #[arg(long)]
    minutes: Option<f64>,
    /// Threads; as many as there are CPUs by default.
    #[arg(long)]
    jobs: Option<usize>,
    /// Run one in so many seeds again in another process and compare; 0 for none.
    #[arg(long, default_value_t = 50)]
    twice: u64,
    /// Print no live line.
    #[arg(long)]
    quiet: bool,
}

#[derive(Args)]
struct OneRun {
    /// A seed, or a file with a tape.
    source: String,
    /// Write the tape of the run to a file.
    #[arg(long)]
    tape: Option<std::path::PathBuf>,
    /// Print only the end.
    #[arg(long)]
    quiet: bool,
    /// Plant this bug.
    #[arg(long)]
    bug: Option<String>,
}

#[derive(Args)]
struct ShrinkArguments {
    /// A seed, or a file with a tape.
    source: String,
    /// Where the smallest tape goes.
    #[arg(long, default_value = "shrunk.tape")]
    tape: std::path::PathBuf,
    /// Runs that may be tried.
    #[arg(long, default_value_t = 2_000)]
    tries: usize,
    /// Plant this bug.
    #[arg(long)]
    bug: Option<String>,
}

#[derive(Args)]
struct BugsArguments {
    /// The bugs to plant; all of them without any.
    names: Vec<String>,
    /// Seeds after which a bug counts as not found.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// Minutes after which it does.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Write a row for each into the table in this file, between its two marks.
    #[arg(long)]
    write: Option<std::path::PathBuf>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

/// Exit code when a rule is broken.
const VIOLATION: u8 = 1;
/// Exit code when the arguments are of no use.
const USAGE: u8 = 2;

/// Carries out what the command line says.
pub fn main() -> ExitCode {
    // A run that panics is a find, which is told with everything that belongs to it.
    if cfg!(panic = "unwind") {
        std::panic::set_hook(Box::new(|_| {}));
    }
    match Arguments::parse().verb {
        Verb::Run(arguments) => run_seeds(&arguments),
        Verb::Replay(arguments) => {
            with_source(&arguments.source, &arguments.bug, |source| replay(&arguments, source))
        }
        Verb::Bugs(arguments) => bugs(&arguments),
        Verb::Exhaust(arguments) => command::exhaust(&arguments),
        Verb::Shrink(arguments) => {
            with_source(&arguments.source, &arguments.bug, |source| shrink(&arguments, source))
        }
    }
}

fn with_source(
    text: &str,
    bug: &Option<String>,
    act: impl FnOnce(&Source) -> ExitCode,
) -> ExitCode {
    let planted = bug.as_ref().map_or(Ok(()), |name| bugs::plant_named(name));
    match planted.and_then(|()| source(text)) {
        Ok(source) => act(&source),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(USAGE)
        }
    }
}

fn source(text: &str) -> Result<Source, String> {
    if let Ok(seed) = text.parse() {
        return Ok(Source::Seed(seed));
    }
    let tape = std::fs::read_to_string(text)
        .map_err(|error| format!("`{text}` is no seed, and cannot be read: {error}"))?;
    Recording::from_text(&tape).map(Source::Tape).map_err(|error| format!("{text}: {error}"))
}

fn run_seeds(arguments: &RunArguments) -> ExitCode {
    let limit = arguments.minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let plan = Soak {
        from: arguments.from,
        seeds: arguments.seeds.or(if limit.is_none() { Some(100) } else { None }),
        limit,
        jobs: jobs(arguments.jobs),
        twice_one_in: arguments.twice,
    };
    let is_live = !arguments.quiet && std::io::stderr().is_terminal();
    let last = Mutex::new(Instant::now());
    let (totals, found) = soak(plan, |totals| {
        let Ok(mut last) = last.try_lock() else { return };
        if is_live && last.elapsed() >= Duration::from_millis(500) {
            *last = Instant::now();
            eprint!("\r\x1b[K{}", line(totals));
        }
    });
    if is_live {
        eprintln!();
    }
    println!("{}", line(&totals));
    println!("{}", faults(&totals));
    println!("{}", totals.coverage);
    let Some(found) = found else {
        println!("no rule was broken");
        return ExitCode::SUCCESS;
    };
    println!("seed {} breaks a rule\n  {}", found.seed, found.violation);
    println!("repeat it with: sim replay {}", found.seed);
    ExitCode::from(VIOLATION)
}

fn jobs(wanted: Option<usize>) -> usize {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    wanted.unwrap_or(cpus).max(1)
}

/// One line a bug; a failure when one of them was not found.
fn bugs(arguments: &BugsArguments) -> ExitCode {
    let chosen = match bugs::chosen(&arguments.names) {
        Ok(chosen) => chosen,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let mut code = ExitCode::SUCCESS;
    println!("{:<32} {:>6} {:>9}  what noticed it", "bug", "seeds", "time");
    let limit = Duration::from_secs_f64(arguments.minutes * 60.0);
    let (from, seeds_max, jobs) = (arguments.from, arguments.seeds, arguments.jobs.max(1));
    let patience = bugs::Patience { from, seeds_max, limit, jobs };
    let mut hunts = Vec::new();
    for bug in chosen {
        let hunt = bugs::hunt(bug, patience);
        let seconds = hunt.elapsed.as_secs_f64();
        let noticed = match &hunt.found {
            Some(found) => format!("seed {}: {}", found.seed, found.violation),
            None => {
                code = ExitCode::from(VIOLATION);
                "not found".to_owned()
            }
        };
        let noticed: String = noticed.chars().take(NOTICED_CHARS_MAX).collect();
        println!("{:<32} {:>6} {seconds:>7.1} s  {noticed}", bug.name(), hunt.seeds);
        hunts.push(hunt);
    }
    if let Some(path) = &arguments.write
        && let Err(error) = write_hunts(path, &hunts)
    {
        eprintln!("error: {}: {error}", path.display());
        return ExitCode::from(USAGE);
    }
    code
}

fn write_hunts(path: &std::path::Path, hunts: &[bugs::Hunt]) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    std::fs::write(path, bugs::with_hunts(&text, hunts)?).map_err(|error| error.to_string())
}

/// Enough to see what it is about.
const NOTICED_CHARS_MAX: usize = 110;

/// The live line.
fn line(totals: &Totals) -> String {
    let seconds = totals.elapsed.as_secs_f64().max(0.001);
    format!(
        "{} seeds, {:.1}/s | {:.0} s simulated, {:.0}x | {:.1} M events, {:.2} M/s | {} calls, \
         {} done | {} keys, {} undecided | {} faults",
        totals.seeds,
        totals.seeds as f64 / seconds,
        totals.simulated.as_secs_f64(),
        totals.simulated.as_secs_f64() / seconds,
        totals.events as f64 / 1e6,
        totals.events as f64 / 1e6 / seconds,
        totals.calls,
        totals.done,
        totals.keys.0,
        totals.keys.1,
        totals.strikes.total(),
    )
}

fn faults(totals: &Totals) -> String {
    let name = |name: &'static str| name.rsplit('.').next().unwrap_or(name);
    let classes: Vec<_> = totals
        .strikes
        .iter()
        .map(|(class, count)| format!("{} {count}", name(class.name())))
        .collect();
    format!("faults of {} classes: {}", classes.len(), classes.join(", "))
}

fn replay(arguments: &OneRun, source: &Source) -> ExitCode {
    let keep = Keep { tape: arguments.tape.is_some(), story: !arguments.quiet };
    let report = run(source, keep);
    if let Some(path) = &arguments.tape
        && let Err(error) = std::fs::write(path, report.tape.to_text())
    {
        eprintln!("error: {} cannot be written: {error}", path.display());
        return ExitCode::from(USAGE);
    }
    if !arguments.quiet {
        println!("{}", report.plan);
    }
    tell(&report)
}

fn shrink(arguments: &ShrinkArguments, source: &Source) -> ExitCode {
    let Some(mut shrinking) = Shrinking::of(source, arguments.tries) else {
        println!("no rule was broken");
        return ExitCode::SUCCESS;
    };
    let report = shrinking.shrink(|now| {
        eprint!("\r\x1b[K{} choices, {} of them wild", now.tape().len(), now.wild());
        // Nothing depends on the line being there.
        let _ = std::io::stderr().flush();
    });
    eprintln!();
    if let Err(error) = std::fs::write(&arguments.tape, shrinking.tape().to_text()) {
        eprintln!("error: {} cannot be written: {error}", arguments.tape.display());
        return ExitCode::from(USAGE);
    }
    let code = tell(&report);
    println!("repeat it with: sim replay {}", arguments.tape.display());
    code
}

fn tell(report: &Report) -> ExitCode {
    for line in &report.story {
        println!("{line}");
    }
    println!(
        "{}, {} events, {:.3} s simulated, {} calls",
        told_trace(report.trace_hash),
        report.events,
        report.simulated.as_secs_f64(),
        report.calls.0
    );
    match &report.violation {
        None => {
            println!("no rule was broken");
            ExitCode::SUCCESS
        }
        Some(violation) => {
            println!("{violation}");
            ExitCode::from(VIOLATION)
        }
    }
}
