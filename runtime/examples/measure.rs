//! Figures of the runtime on this machine, one line each.
//!
//! `cargo run --release -p runtime --example measure -- DIRECTORY [NAME…]`, where the directory
//! lies on the disk to be measured and the names are those of `MEASURES`; without names, all.
//! The variable `SPIN_MICROS` sets `BootPlan::spin`.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a tool for the command line")]

use std::env;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use runtime::{
    BLOCK, BootError, BootPlan, ListenOptions, MailReceiver, MailSender, OpenOptions, Shard,
    ShardPlacement, StopHandle, boot, channel, mailbox,
};

type Measure = (&'static str, fn(&Path));

const MEASURES: [Measure; 7] = [
    ("fibers", fibers),
    ("mailbox", mailboxes),
    ("plain", plain_writes),
    ("dsync", writes),
    ("echo", echoes),
    ("durable-echo", durable_echoes),
    ("idle", idle),
];

fn main() {
    let mut arguments = env::args().skip(1);
    let dir = PathBuf::from(arguments.next().expect("the first argument is a directory"));
    let names: Vec<String> = arguments.collect();
    for (name, measure) in MEASURES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            measure(&dir.join("measure"));
        }
    }
}

/// Boots `cpus` and runs `main` on each; the last core is left to clients.
fn run<F, Fut>(dir: &Path, cpus: Vec<usize>, main: F)
where
    F: Fn(Shard) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let mut plan = BootPlan::new(ShardPlacement::Cpus(cpus), dir.to_owned());
    let spin = env::var("SPIN_MICROS").ok().and_then(|micros| micros.parse().ok());
    plan.spin = Duration::from_micros(spin.unwrap_or(0));
    let result = boot(plan, StopHandle::new(), move |shard| {
        let main = main.clone();
        async move {
            main(shard).await;
            Ok::<(), BootError>(())
        }
    });
    result.expect("the node runs");
    fs::remove_dir_all(dir).expect("the directory is ours");
}

fn per_item(what: &str, count: u32, start: Instant) {
    let nanos = start.elapsed().as_nanos() as f64 / f64::from(count);
    println!("{what}: {nanos:.0} ns, {:.2} M/s", 1e3 / nanos);
}

fn percentiles(what: &str, mut micros: Vec<u64>) {
    micros.sort_unstable();
    let at = |part: usize| micros[(micros.len() - 1) * part / 100];
    println!("{what}: p50 {} us, p99 {} us", at(50), at(99));
}

fn fibers(dir: &Path) {
    const COUNT: u32 = 1_000_000;
    run(dir, vec![0], |shard| async move {
        let start = Instant::now();
        for _ in 0..COUNT / 100 {
            for _ in 0..100 {
                drop(shard.fibers().spawn("empty", async {}));
            }
            shard.fibers().join().await;
        }
        per_item("spawn, run and join", COUNT, start);

        let (sender, mut receiver) = channel(1_024);
        let consumer = shard.fibers().spawn("consumer", async move {
            let mut sum = 0u64;
            while let Some(item) = receiver.recv().await {
                sum += black_box(item);
            }
            sum
        });
        let start = Instant::now();
        for item in 0..u64::from(COUNT) {
            sender.send(item).await.expect("the consumer is there");
        }
        drop(sender);
        consumer.await;
        per_item("channel, one item", COUNT, start);

        let start = Instant::now();
        for _ in 0..COUNT / 10 {
            black_box(shard.clock().now());
        }
        per_item("clock", COUNT / 10, start);

        let start = Instant::now();
        for _ in 0..COUNT / 100 {
            shard.pass().await;
        }
        per_item("pass", COUNT / 100, start);
    });
}

type Ends = Arc<Mutex<Vec<(MailSender<u64>, MailReceiver<u64>)>>>;

fn mailboxes(dir: &Path) {
    const COUNT: u32 = 10_000_000;
    for batch in [1u64, 64] {
        let (to_second, at_second) = mailbox(1 << 14);
        let (to_first, at_first) = mailbox(1 << 14);
        let ends: Ends = Arc::new(Mutex::new(vec![(to_second, at_first), (to_first, at_second)]));
        run(dir, vec![0, 1], move |shard| {
            let taken = ends.lock().expect("not poisoned").pop().expect("one for each");
            exchange(shard, taken, batch, COUNT)
        });
    }
    let (to_second, at_second) = mailbox(16);
    let (to_first, at_first) = mailbox(16);
    let ends: Ends = Arc::new(Mutex::new(vec![(to_second, at_first), (to_first, at_second)]));
    run(dir, vec![0, 1], move |_| {
        let taken = ends.lock().expect("not poisoned").pop().expect("one for each");
        ping_pong(taken)
    });
}

async fn exchange(
    shard: Shard,
    (sender, mut receiver): (MailSender<u64>, MailReceiver<u64>),
    batch: u64,
    count: u32,
) {
    let start = Instant::now();
    let received = shard.fibers().spawn("receive", async move {
        let (mut messages, mut sum) = (Vec::new(), 0);
        while receiver.recv_all(&mut messages).await.is_ok() {
            sum += messages.drain(..).count();
        }
        sum
    });
    let mut messages = Vec::new();
    for number in 0..u64::from(count) / batch {
        messages.extend(0..batch);
        sender.send_all(&mut messages).await.expect("the other shard receives");
        if (number * batch).is_multiple_of(1_024) {
            shard.pass().await;
        }
    }
    drop(sender);
    received.await;
    if shard.id().0 == 0 {
        per_item(
            &format!("mailbox, both ways at once, batches of {batch}, each way"),
            count,
            start,
        );
    }
}

async fn ping_pong((sender, mut receiver): (MailSender<u64>, MailReceiver<u64>)) {
    const ROUNDS: u32 = 20_000;
    let (mut messages, mut micros) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        messages.push(1);
        if sender.send_all(&mut messages).await.is_err()
            || receiver.recv_all(&mut messages).await.is_err()
        {
            break;
        }
        messages.clear();
        micros.push(start.elapsed().as_micros() as u64);
    }
    percentiles("mailbox, one message there and back", micros);
}

const WRITES: u64 = 1_000;
const FILE_BLOCKS: u64 = 4_096;

/// A file that is really there, as a recycled log segment is.
fn filled_file(dir: &Path, name: &str) -> PathBuf {
    fs::create_dir_all(dir).expect("the directory can be made");
    let path = dir.join(name);
    let mut file = File::create(&path).expect("the file can be made");
    for _ in 0..FILE_BLOCKS {
        file.write_all(&[0; BLOCK]).expect("the disk has room");
    }
    file.sync_all().expect("the disk syncs");
    path
}

fn plain_writes(dir: &Path) {
    let path = filled_file(dir, "plain");
    let file = fs::OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_DIRECT | libc::O_DSYNC)
        .open(path)
        .expect("the file opens");
    let memory = vec![7u8; 2 * BLOCK];
    let block = &memory[memory.as_ptr().align_offset(BLOCK)..][..BLOCK];
    let mut micros = Vec::new();
    for number in 0..WRITES {
        let start = Instant::now();
        let offset = (number % FILE_BLOCKS * BLOCK as u64).cast_signed();
        // SAFETY: the descriptor is open and the block is as long as what is written.
        let written =
            unsafe { libc::pwrite(file.as_raw_fd(), block.as_ptr().cast(), BLOCK, offset) };
        assert_eq!(written, BLOCK.cast_signed());
        micros.push(start.elapsed().as_micros() as u64);
    }
    percentiles("4 KiB O_DSYNC, plain thread", micros);
    fs::remove_dir_all(dir).expect("the directory is ours");
}

const DSYNC: OpenOptions = OpenOptions { write: true, create: false, dsync: true };

fn writes(dir: &Path) {
    for blocks in [1, 64] {
        filled_file(dir, "file");
        run(dir, vec![0], move |shard| async move {
            let file = shard.storage().open("file", DSYNC).await.expect("the file opens");
            let mut buffer = shard.buffer(128 * BLOCK);
            let mut micros = Vec::new();
            for number in 0..WRITES {
                let start = Instant::now();
                let len = blocks * BLOCK;
                buffer[..len].fill(7);
                let data = buffer.freeze();
                let offset = number * blocks as u64 % (FILE_BLOCKS - blocks as u64) * BLOCK as u64;
                file.write_at(&data, 0..len, offset).await.expect("written");
                buffer = data.try_reuse().ok().expect("nobody else has it");
                micros.push(start.elapsed().as_micros() as u64);
            }
            percentiles(&format!("{} KiB O_DSYNC, fiber", 4 * blocks), micros);
        });
    }
}

fn echoes(dir: &Path) {
    for (depth, total) in [(1, 5_000), (64, 500_000), (1_000, 5_000_000)] {
        echo(dir, depth, total, false);
    }
}

fn durable_echoes(dir: &Path) {
    for (depth, total) in [(1, 1_000), (1_000, 1_000_000)] {
        echo(dir, depth, total, true);
    }
}

/// A client sends `depth` messages of 300 bytes at a time and waits for them to come back; a
/// durable echo writes a block to the disk first.
fn echo(dir: &Path, depth: usize, total: usize, durable: bool) {
    filled_file(dir, "file");
    let (address, at_address) = mpsc::channel();
    let client = thread::spawn(move || {
        pin(1);
        let address: SocketAddr = at_address.recv().expect("the server listens");
        let mut stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_nodelay(true).expect("it is a socket");
        let (message, mut answer) = (vec![1; 300 * depth], vec![0; 300 * depth]);
        let (mut micros, start) = (Vec::new(), Instant::now());
        for _ in 0..total / depth {
            let sent = Instant::now();
            stream.write_all(&message).expect("sent");
            stream.read_exact(&mut answer).expect("answered");
            micros.push(sent.elapsed().as_micros() as u64);
        }
        let rate = total as f64 / start.elapsed().as_secs_f64() / 1e3;
        let what = if durable { "durable echo" } else { "echo" };
        percentiles(&format!("{what}, depth {depth}: {rate:.0} k/s"), micros);
    });
    run(dir, vec![0], move |shard| {
        let address = address.clone();
        async move {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let options = ListenOptions::default();
            let listener = shard.network().listen(any, options).await.expect("a free port");
            address.send(listener.local_addr()).expect("the client waits");
            let (mut read, mut write) = listener.accept().await.expect("accepted").split();
            let file = shard.storage().open("file", DSYNC).await.expect("the file opens");
            let block = shard.buffer(BLOCK).freeze();
            let mut buffer = shard.buffer(256 << 10);
            for number in 0.. {
                let count = read.read(&mut buffer).await.expect("read");
                if count == 0 {
                    break;
                }
                if durable {
                    let offset = number % FILE_BLOCKS * BLOCK as u64;
                    file.write_at(&block, 0..BLOCK, offset).await.expect("written");
                }
                write.write_all(&buffer[..count]).await.expect("written");
            }
        }
    });
    client.join().expect("the client ends");
}

fn pin(cpu: usize) {
    // SAFETY: the set is large enough for the number, and the call reads it within its size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

fn idle(dir: &Path) {
    const TIME: Duration = Duration::from_secs(10);
    run(dir, vec![0], |shard| async move {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = ListenOptions::default();
        let listener = shard.network().listen(any, options).await.expect("a free port");
        shard.fibers().spawn_daemon("accept", async move {
            drop(listener.accept().await);
        });
        shard.clock().sleep(Duration::from_millis(500)).await;
        let before = cpu_time();
        shard.clock().sleep(TIME).await;
        let used = (cpu_time() - before).as_secs_f64() / TIME.as_secs_f64() * 100.0;
        println!("idle node with a listener: {used:.2} % of a core");
    });
}

/// What all threads of this process used.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills the struct it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}
