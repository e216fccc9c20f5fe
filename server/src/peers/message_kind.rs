//! What nodes say to each other about a group.

/// What the content of a node's message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Kind(pub(super) u8);

impl Kind {
    /// A message of consensus with its records.
    pub(super) const RAFT: Kind = Kind(0);
    /// A node on a new disk asks what is known of its earlier ones; empty.
    pub(super) const ASK: Kind = Kind(1);
    /// The answer.
    pub(super) const WORD: Kind = Kind(2);
    /// What hosts say of a snapshot on its way.
    pub(super) const SNAPSHOT: Kind = Kind(3);
}
