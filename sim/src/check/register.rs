//! Linearizability of one key, decided by search: Wing and Gong's algorithm with Lowe's memory of
//! configurations that were tried.
//!
//! It knows nothing of the log. Calls whose outcome is unknown may take effect at any time after they
//! began, or never.

use std::collections::BTreeSet;

/// A value by number; 0 is a key that does not exist.
pub type Value = u32;

/// What a call does to a register, and what it was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It saw this.
    Read(Value),
    /// It wrote, and was told whether something was there before.
    Write(Value, Option<bool>),
    /// It removed, and was told whether something was there.
    Remove(Option<bool>),
    /// It replaced the first by the second, and was told whether that happened.
    Swap(Value, Value, Option<bool>),
}

/// A call of a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegisterCall {
    /// When it began.
    pub invoked: u64,
    /// When it was answered; none if it never was.
    pub returned: Option<u64>,
    /// What it did.
    pub action: Action,
}

/// What the search says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// There is an order that explains everything.
    Linearizable,
    /// There is none.
    Impossible,
    /// The limit came first.
    Undecided,
}

impl Action {
    /// The state after the action, if it can be carried out in this one with this answer.
    pub fn step(self, state: Value) -> Option<Value> {
        let agrees = |told: Option<bool>, is: bool| told.is_none_or(|told| told == is);
        match self {
            Action::Read(seen) => (seen == state).then_some(state),
            Action::Write(value, existed) => agrees(existed, state != 0).then_some(value),
            Action::Remove(existed) => agrees(existed, state != 0).then_some(0),
            Action::Swap(expected, new, swapped) => {
                let does = state == expected;
                agrees(swapped, does).then_some(if does { new } else { state })
            }
        }
    }
}

/// Searches for an order of the calls that a register could have carried them out in.
///
/// After `limit` configurations it gives up.
pub fn decide(calls: &[RegisterCall], limit: usize) -> Decision {
    Search::new(calls).run(limit)
}

/// Beginnings and ends in the order of time as a doubly linked list; ends point to their call.
struct Search<'a> {
    calls: &'a [RegisterCall],
    nodes: Vec<Node>,
    /// Answered calls that have no place yet.
    left: usize,
    /// Stands for the set of calls that have a place: the sum of their [`number_of`].
    done: u128,
}

/// A number for each call, such that no two sets of calls have the same sum, as good as surely: the
/// finaliser of MurmurHash3, twice.
fn number_of(call: usize) -> u128 {
    let mix = |mut bits: u64| {
        bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        bits ^ (bits >> 33)
    };
    let call = call as u64 + 1;
    u128::from(mix(call)) << 64 | u128::from(mix(call.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

#[derive(Clone, Copy)]
struct Node {
    call: usize,
    /// The node of the call's end; none for ends, and for calls that have none.
    end: Option<usize>,
    is_end: bool,
    previous: usize,
    next: usize,
}

/// The node before the first one.
const HEAD: usize = 0;

impl<'a> Search<'a> {
    fn new(calls: &'a [RegisterCall]) -> Search<'a> {
        let mut events: Vec<(u64, bool, usize)> = Vec::new();
        for (number, call) in calls.iter().enumerate() {
            events.push((call.invoked, false, number));
            if let Some(returned) = call.returned {
                events.push((returned, true, number));
            }
        }
        events.sort_unstable();
        let head = Node { call: 0, end: None, is_end: false, previous: 0, next: 1 };
        let mut nodes = vec![head];
        for (position, (_, is_end, call)) in events.iter().enumerate() {
            let (previous, next) = (position, position + 2);
            nodes.push(Node { call: *call, end: None, is_end: *is_end, previous, next });
        }
        let count = nodes.len();
        nodes[count - 1].next = HEAD;
        nodes[HEAD].next = if count > 1 { 1 } else { HEAD };
        let mut begins = vec![HEAD; calls.len()];
        for at in 1..count {
            let Node { call, is_end, .. } = nodes[at];
            match is_end {
                false => begins[call] = at,
                true => nodes[begins[call]].end = Some(at),
            }
        }
        let left = calls.iter().filter(|call| call.returned.is_some()).count();
        Search { calls, nodes, left, done: 0 }
    }

    fn run(mut self, limit: usize) -> Decision {
        let mut seen = BTreeSet::new();
        let mut chosen: Vec<(usize, Value)> = Vec::new();
        let (mut state, mut at) = (0, self.nodes[HEAD].next);
        while self.left > 0 {
            let node = self.nodes[at];
            if at != HEAD && !node.is_end {
                if let Some(next) = self.calls[node.call].action.step(state) {
                    self.mark(node.call);
                    if seen.insert((self.done, next)) {
                        if seen.len() > limit {
                            return Decision::Undecided;
                        }
                        chosen.push((at, state));
                        self.lift(at);
                        state = next;
                        at = self.nodes[HEAD].next;
                        continue;
                    }
                    self.unmark(node.call);
                }
                at = node.next;
                continue;
            }
            // An end whose call has no place yet, or the end of all: the last choice was wrong.
            let Some((last, before)) = chosen.pop() else { return Decision::Impossible };
            self.unlift(last);
            self.unmark(self.nodes[last].call);
            state = before;
            at = self.nodes[last].next;
        }
        Decision::Linearizable
    }

    fn mark(&mut self, call: usize) {
        self.done = self.done.wrapping_add(number_of(call));
    }

    fn unmark(&mut self, call: usize) {
        self.done = self.done.wrapping_sub(number_of(call));
    }

    fn lift(&mut self, at: usize) {
        self.unlink(at);
        if let Some(end) = self.nodes[at].end {
            self.unlink(end);
            self.left -= 1;
        }
    }

    fn unlift(&mut self, at: usize) {
        if let Some(end) = self.nodes[at].end {
            self.link(end);
            self.left += 1;
        }
        self.link(at);
    }

    fn unlink(&mut self, at: usize) {
        let Node { previous, next, .. } = self.nodes[at];
        self.nodes[previous].next = next;
        self.nodes[next].previous = previous;
    }

    fn link(&mut self, at: usize) {
        let Node { previous, next, .. } = self.nodes[at];
        self.nodes[previous].next = at;
        self.nodes[next].previous = at;
    }
}
