//! Every interleaving of a small group of consensus cores: messages in any order, late, twice or never;
//! clocks that run out; disks that take their time; deaths that lose what is not durable.
//!
//! The cores are those of the server. A [`state`] is a few of them with their disks and the messages
//! under way; a search over all states [goes](search) breadth first from an [opening](openings), and
//! takes a state that it has been to [in all but the distances of times](fingerprint) for the same.
//! Everything that costs something (time that runs out, deaths, messages that come twice, proposals,
//! changes) has a budget, and so every search ends.

pub mod fingerprint;

pub mod host;
pub mod network;

pub mod past;
pub mod state;

pub mod openings;
pub mod search;
pub mod way;
