//! From the calls of a group to the calls of its keys.

use std::collections::BTreeMap;

use client::BizCode;

use super::register::{Action, Decision, RegisterCall, Value, decide};
use crate::violation::{Rule, Violation};
use crate::workload::{Act, Answer, Call, Request, Transacted, Transaction};

/// Configurations that the search for one key may try.
const LIMIT: usize = 100_000;

/// Keys checked, and those whose search was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeysChecked {
    /// Keys.
    pub keys: usize,
    /// Of them without a decision.
    pub undecided: usize,
}

/// Checks every key that is never a directory and lies in the root.
///
/// # Errors
/// The first key whose history has no order.
pub fn check(calls: &[Call]) -> Result<KeysChecked, Violation> {
    let mut registers: BTreeMap<&[u8], Register<'_>> = BTreeMap::new();
    for call in calls {
        split(call, |key, action| {
            if is_plain(key) {
                registers.entry(key).or_default().add(call, action);
            }
        });
    }
    let mut checked = KeysChecked::default();
    for (key, register) in &registers {
        checked.keys += 1;
        match decide(&register.calls, LIMIT) {
            Decision::Linearizable => {}
            Decision::Undecided => checked.undecided += 1,
            Decision::Impossible => {
                let what = format!(
                    "no order explains the {} calls of key {}",
                    register.calls.len(),
                    String::from_utf8_lossy(key)
                );
                return Err(Violation::new(Rule::Linearizable, what));
            }
        }
    }
    Ok(checked)
}

/// The workload makes directories under other names.
fn is_plain(key: &[u8]) -> bool {
    key.first() == Some(&b'k')
}

/// What a call does to one key, with values as they are.
enum KeyAction<'a> {
    Read(Option<&'a [u8]>),
    Write(&'a [u8], Option<bool>),
    Remove(Option<bool>),
    Swap(Option<&'a [u8]>, Option<&'a [u8]>, Option<bool>),
}

#[derive(Default)]
struct Register<'a> {
    numbers: BTreeMap<&'a [u8], Value>,
    calls: Vec<RegisterCall>,
}

impl<'a> Register<'a> {
    fn add(&mut self, call: &Call, action: KeyAction<'a>) {
        let action = match action {
            KeyAction::Read(seen) => Action::Read(self.number(seen)),
            KeyAction::Write(value, existed) => Action::Write(self.number(Some(value)), existed),
            KeyAction::Remove(existed) => Action::Remove(existed),
            KeyAction::Swap(expected, new, swapped) => {
                Action::Swap(self.number(expected), self.number(new), swapped)
            }
        };
        let returned = call.returned.filter(|_| call.is_done()).map(|point| point.order);
        self.calls.push(RegisterCall { invoked: call.invoked.order, returned, action });
    }

    fn number(&mut self, value: Option<&'a [u8]>) -> Value {
        let Some(value) = value else { return 0 };
        let next = self.numbers.len() as Value + 1;
        *self.numbers.entry(value).or_insert(next)
    }
}

fn split<'a>(call: &'a Call, mut each: impl FnMut(&'a [u8], KeyAction<'a>)) {
    if !call.is_done() && (call.request.is_read() || !call.is_unknown()) {
        return;
    }
    let code = |position: usize| match &call.answer {
        Answer::Written { codes, .. } => codes.get(position).copied(),
        _ => None,
    };
    let existed = |position| code(position).map(|code| code == BizCode::SuccessOverwrite);
    let removed = |position| code(position).map(|code| code == BizCode::Success);
    match &call.request {
        Request::Get(key) | Request::GetFrom(_, key) => {
            seen(call, std::slice::from_ref(key), &mut each)
        }
        Request::BatchGet(keys) => seen(call, keys, &mut each),
        Request::List(_)
        | Request::Mkdir(_)
        | Request::PutTemporary(..)
        | Request::MakeTemporary(..)
        | Request::UpdateTtl(..)
        | Request::TryLock(..)
        | Request::Unlock(_)
        | Request::UpdateLease(..) => {}
        Request::Put(key, value) => each(key, KeyAction::Write(value, existed(0))),
        Request::BatchPut(pairs) => {
            for (position, (key, value)) in pairs.iter().enumerate() {
                each(key, KeyAction::Write(value, existed(position)));
            }
        }
        Request::Remove(key) => each(key, KeyAction::Remove(removed(0))),
        Request::BatchRemove(keys) => {
            for (position, key) in keys.iter().enumerate() {
                each(key, KeyAction::Remove(removed(position)));
            }
        }
        Request::Transaction(transaction) => transacted(call, transaction, &mut each),
        Request::Cas(key, expected, new) => {
            let action = KeyAction::Swap(expected.as_deref(), new.as_deref(), removed(0));
            each(key, action);
        }
    }
}

/// What a transaction is known to have done, or may have done.
fn transacted<'a>(
    call: &'a Call,
    transaction: &'a Transaction,
    each: &mut impl FnMut(&'a [u8], KeyAction<'a>),
) {
    let lists = match &call.answer {
        Answer::Transacted { transacted: Transacted { done: Err(_), .. }, .. } => return,
        Answer::Transacted { transacted: Transacted { held: true, .. }, .. } => {
            vec![&transaction.then]
        }
        Answer::Transacted { .. } => vec![&transaction.otherwise],
        _ => vec![&transaction.then, &transaction.otherwise],
    };
    for list in lists {
        // Only the last step about a key is seen by others.
        let last: BTreeMap<&Vec<u8>, &Act> = list
            .iter()
            .filter(|act| matches!(act, Act::Put(..) | Act::Remove(_)))
            .map(|act| (act.key(), act))
            .collect();
        for (key, act) in last {
            match act {
                Act::Put(_, value) => each(key, KeyAction::Write(value, None)),
                _ => each(key, KeyAction::Remove(None)),
            }
        }
    }
}

fn seen<'a>(call: &'a Call, keys: &'a [Vec<u8>], each: &mut impl FnMut(&'a [u8], KeyAction<'a>)) {
    let Answer::Nodes(nodes) = &call.answer else { return };
    for (key, node) in keys.iter().zip(nodes) {
        if let Ok(node) = node {
            let value = node.as_ref().and_then(|node| node.value.as_deref());
            each(key, KeyAction::Read(value));
        }
    }
}
