//! Put, batch put and mkdir.

use kv_api::{KvRequest, VALUE_BYTES_MAX};
use planted::{Bug, is_on};
use wire::BizCode;

use crate::machine::{Machine, Verdict};
use crate::node::{Marks, NodeId};
use crate::outcome::Outcome;
use crate::place::Place;
use crate::stamp::Stamp;
use crate::tree::NewNode;

impl Machine {
    #[inline]
    pub(crate) fn put(&mut self, stamp: Stamp, key: &[u8], value: &[u8]) -> Verdict {
        check_value(value)?;
        self.set_value(stamp, key, value)
    }

    /// Without limits for the values. An empty one asks for a directory.
    pub(crate) fn batch_put(&mut self, stamp: Stamp, request: &KvRequest<'_>) -> Outcome {
        if request.keys.is_empty() {
            return Outcome::Refused(BizCode::InvalidKey);
        }
        if request.values.is_empty() {
            return Outcome::Refused(BizCode::InvalidValue);
        }
        let elements = request.keys.iter().zip(request.values).enumerate();
        let codes = elements.map(|(position, (key, value))| {
            let verdict = if position > 0 && is_on(Bug::BatchCutShort) {
                Ok(BizCode::Success)
            } else if value.is_empty() {
                self.make_directory(stamp, key)
            } else {
                self.set_value(stamp, key, value)
            };
            let (Ok(code) | Err(code)) = verdict;
            code
        });
        Outcome::Many(codes.collect())
    }

    pub(crate) fn make_directory(&mut self, stamp: Stamp, key: &[u8]) -> Verdict {
        let parent = match self.place(key)? {
            Place::Free(parent) => parent,
            Place::Taken(id) => {
                self.check_permanent(id)?;
                let directory = self.tree.nodes[id].marks.is_directory();
                return Err(if directory { BizCode::DirExists } else { BizCode::ValueExists });
            }
        };
        let marks = Marks::DIRECTORY;
        self.tree.insert(NewNode { parent, key, marks, value: b"", lifetime: None }, stamp);
        Ok(BizCode::Success)
    }

    #[inline]
    fn set_value(&mut self, stamp: Stamp, key: &[u8], value: &[u8]) -> Verdict {
        match self.place(key)? {
            Place::Free(parent) => {
                self.create_value(stamp, parent, key, value);
                Ok(BizCode::Success)
            }
            Place::Taken(id) => {
                self.check_permanent(id)?;
                if self.tree.nodes[id].marks.is_directory() {
                    return Err(BizCode::DirExists);
                }
                self.tree.overwrite(id, value, stamp);
                Ok(BizCode::SuccessOverwrite)
            }
        }
    }

    pub(crate) fn create_value(&mut self, stamp: Stamp, parent: NodeId, key: &[u8], value: &[u8]) {
        let marks = Marks::VALUE;
        self.tree.insert(NewNode { parent, key, marks, value, lifetime: None }, stamp);
    }
}

/// The value of a single put.
#[inline]
pub(crate) fn check_value(value: &[u8]) -> Result<(), BizCode> {
    if value.is_empty() {
        return Err(BizCode::InvalidValue);
    }
    if value.len() > VALUE_BYTES_MAX {
        return Err(BizCode::ValueTooLong);
    }
    Ok(())
}
