//! The words of consensus, each a type of its own so that none can stand in for another.

use core::fmt;

/// A node of the cluster; positive and fixed for the life of its data directory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub u32);

/// A raft group; the same number on every node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GroupId(pub i32);

/// A term of leadership. Zero is the term before the first election.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Term(pub u32);

/// A place in the log. The first entry has index 1; zero is the empty log's last index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Index(pub u64);

/// A leader's round of contact with its followers; unique in its term and rising.
///
/// Every message of a leader carries the newest round that was begun before it was sent, and every
/// answer carries the newest round its sender has seen. An answer with round `r` therefore proves
/// that the follower still followed this leader at some time after round `r` was begun.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Round(pub u64);

impl Term {
    /// The term a candidate of this term would ask for.
    ///
    /// # Panics
    /// At the last term of the type: four billion elections are not a state to go on from.
    pub const fn next(self) -> Term {
        assert!(self.0 < u32::MAX, "the terms of a group are used up");
        Term(self.0 + 1)
    }
}

impl Index {
    /// Before the first entry.
    pub const ZERO: Index = Index(0);

    /// The index `count` entries later.
    pub const fn plus(self, count: u64) -> Index {
        Index(self.0 + count)
    }

    /// The index after this one.
    pub const fn next(self) -> Index {
        Index(self.0 + 1)
    }

    /// The index before this one; zero stays zero.
    pub const fn previous(self) -> Index {
        Index(self.0.saturating_sub(1))
    }

    /// How many entries lie in `earlier + 1 ..= self`; zero when `earlier` is not earlier.
    pub const fn since(self, earlier: Index) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Round {
    /// The round after this one.
    pub const fn next(self) -> Round {
        Round(self.0 + 1)
    }
}

/// An entry's identity: the same position in two logs means the same entry and the same prefix.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Position {
    /// Where it is.
    pub index: Index,
    /// Whose it is.
    pub term: Term,
}

/// Consecutive entries of one term, from `first` to the next run or to the end of the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Run {
    /// Index of the run's first entry.
    pub first: Index,
    /// Term of all its entries.
    pub term: Term,
}

/// What must be durable before a node speaks in a term. Neither part ever goes back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct HardState {
    /// The newest term this node has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<NodeId>,
}

/// What an entry is to consensus.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum EntryKind {
    /// A command of the state machine; opaque here.
    Command = 0,
    /// The empty entry a new leader begins its term with.
    Noop = 1,
    /// A membership; the body is [`crate::Config::encode`].
    Config = 2,
}

impl EntryKind {
    /// The kind with this number.
    pub const fn from_number(number: u8) -> Option<EntryKind> {
        match number {
            0 => Some(EntryKind::Command),
            1 => Some(EntryKind::Noop),
            2 => Some(EntryKind::Config),
            _ => None,
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for Round {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// `index@term`, for example `12@3`.
impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.index, self.term)
    }
}
