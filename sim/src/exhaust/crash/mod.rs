//! A server dies at every storage operation of a script, and every disk that its death could leave is
//! recovered from; while it recovers it dies again, at every storage operation of that.
//!
//! A [`script`](scripts) runs once, and its victim's disk is copied at each step of it. Each copy
//! gives all disks that a death could leave there ([`fates`]). A disk that was seen before, with as
//! much known about it, is not tried again: what a restart does is decided by what it finds. Then the
//! servers [start on it](recovery) in a world of their own, watched by the checkers of the whole
//! simulator, and that start is a script like the first one.

pub mod case;
pub mod fates;
pub mod scene;
pub mod slots;

pub mod script;
pub mod scripts;

pub mod explore;
pub mod recovery;
pub mod replay;
