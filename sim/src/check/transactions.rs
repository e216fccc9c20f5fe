//! Transactions: the part of the model that does several things as a whole.

use std::collections::BTreeMap;

use client::BizCode;
use kv_api::Owner;

use super::model::{Model, Stamp};
use crate::workload::{Act, Transacted, Transaction, View, Wanted};

impl Model {
    /// Carries a transaction out at an index above all before.
    pub fn transact(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        transaction: &Transaction,
    ) -> Transacted {
        let held = transaction.conditions.iter().all(|wanted| self.holds(wanted));
        let list = if held { &transaction.then } else { &transaction.otherwise };
        let mut rehearsal = Model { versions: BTreeMap::new(), present: self.present.clone() };
        for (position, act) in list.iter().enumerate() {
            let (code, _) = rehearsal.act(stamp, owner, position, act);
            if !is_done(act, code) {
                return Transacted { held, done: Err((position, code)) };
            }
        }
        let steps = list.iter().enumerate();
        let done = steps.map(|(position, act)| self.act(stamp, owner, position, act)).collect();
        Transacted { held, done: Ok(done) }
    }

    fn holds(&self, wanted: &Wanted) -> bool {
        let view = |key: &Vec<u8>| self.present.get(key).map(|node| &node.view);
        match wanted {
            Wanted::Exists(key, is_there) => view(key).is_some() == *is_there,
            Wanted::Value(key, value) => {
                view(key).is_some_and(|view| view.value.as_ref() == Some(value))
            }
            Wanted::UpdatedBefore(key, index) => view(key).map_or(0, |view| view.updated) < *index,
        }
    }

    fn act(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        position: usize,
        act: &Act,
    ) -> (BizCode, Option<View>) {
        let index = stamp.index;
        let code = match act {
            Act::Put(key, value) => self.put(index, position as u64, key, value),
            Act::Remove(key) => self.remove(index, owner, key),
            Act::Mkdir(key) => self.make_directory(index, position as u64, key),
            Act::Get(key) => {
                let view = self.present.get(key).map(|node| node.view.clone());
                let code = if view.is_some() { BizCode::Success } else { BizCode::NotFound };
                return (code, view);
            }
        };
        (code, None)
    }
}

/// Whether a list goes on behind a step with this code: what was wanted is so.
fn is_done(act: &Act, code: BizCode) -> bool {
    match code {
        BizCode::Success | BizCode::SuccessOverwrite => true,
        BizCode::NotFound => matches!(act, Act::Remove(_) | Act::Get(_)),
        BizCode::DirExists => matches!(act, Act::Mkdir(_)),
        _ => false,
    }
}
