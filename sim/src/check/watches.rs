//! What watchers were told, against the states that there were.

use std::collections::BTreeMap;

use client::KeyState;

use super::model::Model;
use crate::violation::{Rule, Violation};
use crate::workload::Sight;

/// Checks what one watcher was told, in its order. `last` is the newest entry.
///
/// # Errors
/// When it was told something that never was, or something old behind something newer.
pub fn check(model: &Model, last: u64, sights: &[Sight]) -> Result<(), Violation> {
    let mut newest: BTreeMap<(u64, &[u8]), u64> = BTreeMap::new();
    for sight in sights {
        let Sight { life, key, index, state } = sight;
        let key_text = String::from_utf8_lossy(key);
        let broken = |what: String| {
            let what =
                format!("a watcher of {key_text} is told {state:?} of entry {index}: {what}");
            Err(Violation::new(Rule::Watch, what))
        };
        if let Some(before) = newest.insert((*life, key), *index)
            && before >= *index
        {
            return broken(format!("it knew that of entry {before}"));
        }
        if *index > last {
            return broken(format!("the log ends with {last}"));
        }
        let view = model.view_at(key, *index);
        let is_so = match (state, view) {
            (KeyState::Missing, None) => true,
            (KeyState::Value(value), Some(view)) => {
                view.value.as_ref() == Some(value) && view.updated == *index
            }
            (KeyState::Directory, Some(view)) => view.value.is_none() && view.updated == *index,
            _ => false,
        };
        if !is_so {
            return broken(format!("there was {view:?}"));
        }
    }
    Ok(())
}
