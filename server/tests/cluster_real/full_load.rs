//! Puts as fast as the cluster takes them, none of which may fail or be lost.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bench::{Acknowledged, Record};

use crate::cluster::Cluster;
use crate::process::DEADLINE;
use crate::setting;

/// Puts to one group, and what came of them.
pub(crate) struct FullLoad {
    options: bench::Options,
    acknowledged: Arc<Mutex<BTreeMap<u64, u64>>>,
    seconds: Arc<Mutex<Vec<u64>>>,
    run: thread::JoinHandle<bench::Report>,
}

impl FullLoad {
    pub(crate) fn start(cluster: &Cluster) -> FullLoad {
        let acknowledged = Arc::new(Mutex::new(BTreeMap::new()));
        let highest = acknowledged.clone();
        let mut options = bench::Options::new(client::Options::new(
            cluster.servers.clone(),
            client::new_process_id(),
        ));
        options.in_flight = setting("DONGTING_CLUSTER_IN_FLIGHT", 500) as usize;
        options.warm_up = Duration::from_secs(1);
        // Ended when everything has been done.
        options.duration = Duration::from_secs(3600);
        options.record = Some(Record::new(move |puts: &[Acknowledged]| {
            let mut highest = highest.lock().unwrap();
            for put in puts {
                let number = highest.entry(put.key).or_insert(0);
                *number = put.number.max(*number);
            }
        }));
        let seconds = Arc::new(Mutex::new(Vec::new()));
        let (told, own) = (seconds.clone(), options.clone());
        let run = thread::spawn(move || {
            bench::run(&own, &mut |second| told.lock().unwrap().push(second.ops)).unwrap()
        });
        FullLoad { options, acknowledged, seconds, run }
    }

    /// Whether it has ended by itself, which it should not.
    pub(crate) fn has_ended(&self) -> bool {
        self.run.is_finished()
    }

    /// Waits for so many further seconds of load.
    pub(crate) fn go_on(&self, seconds: usize) {
        let count = || self.seconds.lock().unwrap().len();
        let end = count() + seconds;
        while count() < end {
            assert!(!self.has_ended(), "the load ended");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the load, and says how many puts there were in a second: first as many seconds as nothing
    /// else was done, then the others. `elections` is how many leaders nobody has ordered.
    pub(crate) fn end(self, quiet: usize, elections: u64) {
        self.options.stop.store(true, Ordering::Relaxed);
        let report = self.run.join().unwrap();
        // Whoever was redirected twice, because leadership has moved again, would ask once more. A
        // leader that others replace without an order does not know what became of its last writes.
        let of_kind = |kind: &str| report.errors_by_kind.get(kind).copied().unwrap_or(0);
        let (redirected, unknown) = (of_kind("redirected"), of_kind("unknown_timeout"));
        let expected = if elections > 0 { redirected + unknown } else { redirected };
        assert_eq!(report.errors, expected, "{:?}, {elections}", report.errors_by_kind);
        let mut seconds = self.seconds.lock().unwrap().clone();
        let mut busy = seconds.split_off(quiet);
        seconds.sort_unstable();
        busy.sort_unstable();
        let median = |sorted: &[u64]| sorted.get(sorted.len() / 2).copied().unwrap_or(0);
        eprintln!(
            "{} puts, {redirected} redirected twice, {unknown} unknown; in a second {} (median) without, {} (median), {} (least) with",
            report.ops,
            median(&seconds),
            median(&busy),
            busy.first().copied().unwrap_or(0),
        );
        let acknowledged = self.acknowledged.lock().unwrap();
        let options = client::Options { call_timeout: DEADLINE, ..self.options.client };
        let found = bench::verify(options, &self.options.directory, &acknowledged).unwrap();
        assert!(found.checked > 0 && found.lost.is_empty(), "{:?}", found.lost);
    }
}

/// Seconds of load before anything is done to the cluster.
pub(crate) const QUIET: usize = 3;
