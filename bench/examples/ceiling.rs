//! How much the harness itself can do: puts to a server that does nothing. `cargo run --release -p
//! bench --example ceiling -- 2000 1` has 2,000 in flight over 1 connection.
#![expect(clippy::expect_used, reason = "a measurement ends at the first surprise")]
#![expect(clippy::print_stdout, reason = "the result is for the terminal")]

#[path = "../../client/drivers/examples/pipeline_speed/hollow_server.rs"]
mod hollow_server;

use std::time::Duration;

use bench::{Options, run};
use client::{NodeId, Server, new_process_id};

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let servers = vec![Server { node: NodeId(1), address: hollow_server::start() }];
    let options = Options {
        in_flight: numbers.next().unwrap_or(2_000),
        connections: numbers.next().unwrap_or(1),
        warm_up: Duration::from_secs(1),
        duration: Duration::from_secs(3),
        durable: Some(false),
        ..Options::new(client::Options::new(servers, new_process_id()))
    };
    let report = run(&options, &mut |second| println!("{second}")).expect("a run");
    println!("{report}\n{}", report.to_json());
}
