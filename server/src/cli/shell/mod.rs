//! `shell`: the verbs of `kv`, one a line.
//!
//! [`words`] takes a line apart, [`session`] carries it out, [`completion`] offers what could come
//! next.

mod completion;
mod session;
mod words;

pub(super) use session::run;
