//! How many puts a second one thread drives: `cargo run --release -p client --example
//! pipeline_speed`.
#![expect(clippy::expect_used, reason = "a measurement ends at the first surprise")]
#![expect(clippy::print_stdout, reason = "the result is for the terminal")]

mod hollow_server;

use std::time::{Duration, Instant};

use client::blocking::Pipeline;
use client::operations::Put;
use client::{NodeId, Options, Server, new_process_id};
const IN_FLIGHT: usize = 2_000;
const SECONDS: u64 = 3;

fn main() {
    let servers = vec![Server { node: NodeId(1), address: hollow_server::start() }];
    let mut pipeline = Pipeline::new(Options::new(servers, new_process_id())).expect("valid");
    let keys: Vec<String> = (0..10_000).map(|number| format!("benchmark.key{number}")).collect();
    let value = [7; 256];
    let (mut finished, mut polls, mut next) = (0, 0, 0_usize);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(SECONDS) {
        let room = IN_FLIGHT - pipeline.in_flight();
        let mut burst = pipeline.burst();
        for _ in 0..room {
            next = (next + 104_729) % keys.len();
            burst.submit(&Put { key: keys[next].as_bytes(), value: &value }).expect("room");
        }
        finished += pipeline.poll(Duration::from_secs(1), |completion| {
            assert!(completion.reply::<Put>().is_ok_and(|reply| reply.overwritten));
        });
        polls += 1;
    }
    let rate = finished as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.0} puts/s, {} a poll", finished / polls);
}
