//! The changes of some entries, taken out of the log once for all who want them.

use core::ops::Range;

use kv_api::{WatchEvent, WatchState};
use kv_machine::Machine;
use raft_host::LogPage;

use super::keys::{Keys, covers, reaches_below};

/// Changes in order, with their bytes in one place.
#[derive(Default)]
pub(super) struct Events {
    bytes: Vec<u8>,
    events: Vec<Place>,
}

struct Place {
    raft_index: u64,
    state: WatchState,
    key: Range<usize>,
    value: Range<usize>,
}

impl Events {
    /// What the entries of a page from `first` on have changed; `None` if the machine does not know
    /// that of all of them.
    pub(super) fn of(page: &LogPage, first: u64, machine: &Machine) -> Option<Events> {
        if first < machine.changes_known_from() {
            return None;
        }
        let mut events = Events::default();
        for entry in page.commands() {
            machine.changes_of(entry.index.0, entry.payload, &mut |event| events.push(&event));
        }
        Some(events)
    }

    fn push(&mut self, event: &WatchEvent<'_>) {
        let mut append = |bytes: &[u8]| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            start..self.bytes.len()
        };
        let (key, value) = (append(event.key), append(event.value));
        let WatchEvent { raft_index, state, .. } = *event;
        self.events.push(Place { raft_index, state, key, value });
    }

    /// The changes of these keys and of what is below them.
    pub(super) fn concerning(&self, keys: &Keys) -> impl Iterator<Item = WatchEvent<'_>> {
        self.iter().filter(|event| {
            // What is gone took all below with it.
            let is_gone = event.state == WatchState::Missing;
            covers(keys, event.key) || is_gone && reaches_below(keys, event.key)
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = WatchEvent<'_>> {
        (0..self.events.len()).filter_map(|position| self.get(position))
    }

    pub(super) fn get(&self, position: usize) -> Option<WatchEvent<'_>> {
        let Place { raft_index, state, key, value } = self.events.get(position)?;
        let part = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        Some(WatchEvent {
            raft_index: *raft_index,
            state: *state,
            key: part(key),
            value: part(value),
        })
    }
}
