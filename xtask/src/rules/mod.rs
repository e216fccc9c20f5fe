//! The rules, one file each.

pub(crate) mod commits;
pub(crate) mod determinism;
pub(crate) mod layers;
pub(crate) mod map_files;
pub(crate) mod markdown;
pub(crate) mod names;
pub(crate) mod reachable;
pub(crate) mod sizes;
pub(crate) mod unsafe_reasons;
pub(crate) mod words;
