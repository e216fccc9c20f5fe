//! One thread and executor a shard, and one thread that watches them.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;

use glommio::{LocalExecutorBuilder, Placement, PoolPlacement};

use crate::boot::{BootError, BootPlan, ShardPlacement, run_shard};
use crate::fiber::panic_message;
use crate::host::watchdog::{self, Pulse};
use crate::host::{HostClock, HostNetwork, HostShard, HostStorage};
use crate::shard::{Backend, Parts, Shard, ShardId};
use crate::{Clock, Network, StopHandle, Storage};

pub(crate) fn boot<E, F, Fut>(plan: BootPlan, stop: StopHandle, main: F) -> Result<(), E>
where
    E: From<BootError> + Send + 'static,
    F: Fn(Shard) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<(), E>> + 'static,
{
    let cpus = choose_cpus(&plan.shards)?;
    let data_dir = std::fs::create_dir_all(&plan.data_dir)
        .and_then(|()| plan.data_dir.canonicalize())
        .map_err(|error| BootError::DataDir(plan.data_dir.clone(), error))?;
    // Before the first executor exists: later it takes tens of milliseconds.
    glommio::early_init();
    run_all(&plan, &data_dir, &cpus, &stop, &main)
}

/// Starts all shards and waits for all of them; the first error in time is the result.
fn run_all<E, F, Fut>(
    plan: &BootPlan,
    data_dir: &Path,
    cpus: &[usize],
    stop: &StopHandle,
    main: &F,
) -> Result<(), E>
where
    E: From<BootError> + Send + 'static,
    F: Fn(Shard) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<(), E>> + 'static,
{
    let (outcomes, outcome) = mpsc::channel();
    let (alive, watched) = mpsc::channel();
    let pulses: Vec<_> =
        (0..).map(ShardId).zip(cpus).map(|(id, _)| (id, Arc::<Pulse>::default())).collect();
    thread::scope(|scope| {
        for ((id, pulse), &cpu) in pulses.iter().cloned().zip(cpus) {
            let (told, alive) = (outcomes.clone(), alive.clone());
            let run = move || {
                let _alive = alive;
                let place = Place { id, cpu, pulse, plan, data_dir };
                let result = run_one(&place, stop.clone(), main.clone());
                stop.stop();
                // The receiver outlives all shards.
                let _ = told.send(result);
            };
            let started = thread::Builder::new().name(format!("shard-{}", id.0));
            if let Err(error) = started.spawn_scoped(scope, run) {
                stop.stop();
                let _ = outcomes.send(Err(BootError::Executor(id, error.to_string()).into()));
                break;
            }
        }
        drop(alive);
        let dog = thread::Builder::new().name("watchdog".into());
        if let Err(error) = dog.spawn_scoped(scope, move || watchdog::watch(pulses, &watched)) {
            stop.stop();
            let _ = outcomes.send(Err(BootError::Executor(ShardId(0), error.to_string()).into()));
        }
    });
    drop(outcomes);
    outcome.into_iter().find(Result::is_err).unwrap_or(Ok(()))
}

/// Where a shard runs and with what.
struct Place<'a> {
    id: ShardId,
    cpu: usize,
    pulse: Arc<Pulse>,
    plan: &'a BootPlan,
    data_dir: &'a Path,
}

fn run_one<E, F, Fut>(place: &Place<'_>, stop: StopHandle, main: F) -> Result<(), E>
where
    E: From<BootError>,
    F: Fn(Shard) -> Fut,
    Fut: Future<Output = Result<(), E>>,
{
    let Place { id, cpu, ref pulse, plan, data_dir } = *place;
    let failed = |cause: String| E::from(BootError::Executor(id, cause));
    let life = || {
        if !plan.spin.is_zero() {
            yield_to_the_kernel();
        }
        let executor = LocalExecutorBuilder::new(Placement::Fixed(cpu))
            .name("shard")
            .io_memory(plan.io_memory)
            .spin_before_park(plan.spin)
            // Not on the shard's own core, where a busy shard would delay its directory syncs.
            .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
            .make()
            .map_err(|error| failed(error.to_string()))?;
        let seed = random_seed().map_err(|error| failed(error.to_string()))?;
        executor.run(async {
            let clock = HostClock::default();
            glommio::spawn_local(clock.clone().drive(Arc::clone(pulse))).detach();
            let answering = Arc::clone(pulse);
            glommio::spawn_local(async move { answering.answer().await }).detach();
            let shard = Shard::new(Parts {
                id,
                backend: Backend::Host(HostShard),
                clock: Clock::from_host(clock),
                seed,
                storage: Storage::from_host(HostStorage::new(data_dir)),
                network: Network::from_host(HostNetwork),
                stop,
            });
            run_shard(shard, main).await
        })
    };
    catch_unwind(AssertUnwindSafe(life))
        .unwrap_or_else(|cause| Err(failed(format!("panicked: {}", panic_message(cause.as_ref())))))
}

/// Lets every thread that wakes up on this core run at once.
///
/// The kernel ends a direct O_DSYNC write in a worker on the core that submitted it. A thread that
/// spins there without a system call keeps that worker waiting until its own time slice is over;
/// with a slice longer than the default of others, those that wake up come first.
fn yield_to_the_kernel() {
    /// Longer than the default slice on any number of cores.
    const SLICE_NANOS: u64 = 5_000_000;
    /// The kernel's `sched_attr`.
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    // SAFETY: a plain system call.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let attributes = Attributes {
        size: const { size_of::<Attributes>() as u32 },
        policy: libc::SCHED_OTHER.cast_unsigned(),
        flags: 0,
        nice,
        priority: 0,
        runtime: SLICE_NANOS,
        deadline: 0,
        period: 0,
    };
    // SAFETY: the kernel reads as many bytes as `size` says. It refuses or ignores the slice
    // before version 6.12, and then the shard is as it was.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}

/// The cores to run on: those asked for, or the first ones that the process may use.
fn choose_cpus(placement: &ShardPlacement) -> Result<Vec<usize>, BootError> {
    let usable = usable_cpus();
    let cpus = match placement {
        ShardPlacement::Cpus(cpus) => match cpus.iter().find(|cpu| !usable.contains(cpu)) {
            Some(cpu) => return Err(BootError::Cpu(*cpu)),
            None => cpus.clone(),
        },
        ShardPlacement::Count(shards) if *shards > usable.len() => {
            return Err(BootError::TooFewCpus { shards: *shards, usable: usable.len() });
        }
        ShardPlacement::Count(shards) => usable.into_iter().take(*shards).collect(),
    };
    if cpus.is_empty() || cpus.len() > usize::from(u16::MAX) {
        return Err(BootError::ShardCount(cpus.len()));
    }
    Ok(cpus)
}

fn usable_cpus() -> Vec<usize> {
    // SAFETY: zeros are an empty set, and the call gets the size of what it may fill.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set);
        set
    };
    // SAFETY: every number asked for is below the size of the set.
    (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect()
}

fn random_seed() -> std::io::Result<u64> {
    let mut bytes = [0u8; 8];
    // SAFETY: the call fills at most the length it is given.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if filled == 8 { Ok(u64::from_ne_bytes(bytes)) } else { Err(std::io::Error::last_os_error()) }
}
