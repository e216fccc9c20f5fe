//! What was asked of each key, when, and what came back.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sim::check::{Action, Decision, RegisterCall, decide};

/// Configurations that the search for one key's order may try.
const LIMIT: usize = 2_000_000;

/// The calls of all clients.
#[derive(Default)]
pub(crate) struct History(Mutex<Calls>);

#[derive(Default)]
struct Calls {
    order: u64,
    keys: BTreeMap<u64, Vec<RegisterCall>>,
    /// Writes that were acknowledged: asked for, acknowledged.
    writes: Vec<(Instant, Instant)>,
}

/// A call that has not come back yet.
pub(crate) struct Open {
    order: u64,
    at: Instant,
}

/// How many calls were checked.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Checked {
    pub(crate) keys: usize,
    pub(crate) calls: usize,
    pub(crate) writes: usize,
}

impl History {
    /// A call begins.
    pub(crate) fn invoke(&self) -> Open {
        let mut calls = self.0.lock().unwrap();
        calls.order += 1;
        Open { order: calls.order, at: Instant::now() }
    }

    /// It was answered.
    pub(crate) fn returned(&self, key: u64, open: Open, action: Action) {
        let mut calls = self.0.lock().unwrap();
        calls.order += 1;
        let returned = Some(calls.order);
        if !matches!(action, Action::Read(_)) {
            calls.writes.push((open.at, Instant::now()));
        }
        let call = RegisterCall { invoked: open.order, returned, action };
        calls.keys.entry(key).or_default().push(call);
    }

    /// Nobody knows what has become of it.
    pub(crate) fn unknown(&self, key: u64, open: Open, action: Action) {
        let call = RegisterCall { invoked: open.order, returned: None, action };
        self.0.lock().unwrap().keys.entry(key).or_default().push(call);
    }

    /// When the first write was acknowledged that had been asked for after `since`.
    pub(crate) fn served_after(&self, since: Instant) -> Option<Instant> {
        let calls = self.0.lock().unwrap();
        let writes = calls.writes.iter().rev().take_while(|(_, at)| *at > since);
        writes.filter(|(asked, _)| *asked > since).map(|(_, at)| *at).min()
    }

    /// The longest time without an acknowledged write since `begin`.
    pub(crate) fn longest_gap(&self, begin: Instant) -> Duration {
        let calls = self.0.lock().unwrap();
        let mut times: Vec<Instant> = calls.writes.iter().map(|(_, at)| *at).collect();
        times.retain(|at| *at >= begin);
        times.sort_unstable();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(Duration::MAX)
    }

    /// Checks every key and forgets it.
    ///
    /// # Panics
    /// When a key's calls have no order that explains them.
    pub(crate) fn check(&self) -> Checked {
        let keys = std::mem::take(&mut self.0.lock().unwrap().keys);
        let mut checked = Checked { keys: keys.len(), ..Checked::default() };
        for (key, calls) in keys {
            let decision = decide(&calls, LIMIT);
            assert_eq!(decision, Decision::Linearizable, "key {key}: {calls:#?}");
            checked.calls += calls.len();
            let is_write = |call: &&RegisterCall| !matches!(call.action, Action::Read(_));
            checked.writes += calls.iter().filter(is_write).count();
        }
        checked
    }
}

impl std::ops::AddAssign for Checked {
    fn add_assign(&mut self, other: Checked) {
        self.keys += other.keys;
        self.calls += other.calls;
        self.writes += other.writes;
    }
}
