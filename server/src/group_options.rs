//! From the configuration to the options of a raft group.
