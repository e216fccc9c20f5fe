//! Compare and set.

use kv_api::{RootKey, check_key};
use planted::{Bug, is_on};
use wire::BizCode;

use crate::machine::{Machine, Verdict};
use crate::place::Place;
use crate::stamp::Stamp;

impl Machine {
    /// An empty `expect` stands for a node that does not exist, an empty `value` for its removal.
    pub(crate) fn compare_and_set(
        &mut self,
        stamp: Stamp,
        key: &[u8],
        expect: &[u8],
        value: &[u8],
    ) -> Verdict {
        check_key(key, RootKey::Refused)?;
        if expect.is_empty() && value.is_empty() {
            return Err(BizCode::InvalidValue);
        }
        match self.place(key)? {
            Place::Free(parent) if expect.is_empty() => {
                self.create_value(stamp, parent, key, value);
            }
            Place::Free(_) => return Err(BizCode::CasMismatch),
            Place::Taken(id) => {
                self.check_permanent(id)?;
                // A directory has an empty value, so that it equals nothing that is expected.
                let is_expected =
                    self.tree.nodes[id].value() == expect || is_on(Bug::CompareIgnored);
                if expect.is_empty() || !is_expected {
                    return Err(BizCode::CasMismatch);
                }
                if value.is_empty() {
                    self.tree.remove(id, stamp);
                } else {
                    self.tree.overwrite(id, value, stamp);
                }
            }
        }
        Ok(BizCode::Success)
    }
}
