//! What a run found.

use std::fmt;

/// Something that must not happen did happen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which rule was broken; shrinking keeps it.
    pub rule: Rule,
    /// What exactly, for people.
    pub what: String,
}

/// The rules that checkers watch over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rule {
    /// A fiber or a checker panicked.
    Panic,
    /// A fiber runs for ever without waiting.
    Spinning,
    /// At most one node leads a group in a term.
    OneLeader,
    /// A leader has the durable votes of a majority of its voters, of both halves during a change.
    ElectionQuorum,
    /// A leader has everything that was committed before its term.
    LeaderComplete,
    /// A durable term and the vote in it are never taken back, whatever dies.
    Promise,
    /// A leader counts the copies of entries of its own term only.
    OlderTerm,
    /// The times of entries never go back.
    EntryTime,
    /// A leader never cuts its own log.
    LeaderAppends,
    /// One change of the members at a time, and the voters of two that follow each other share one.
    MembersChange,
    /// Without faults, nobody stands for election.
    Calm,
    /// Whom a member takes for the leader of its term leads it.
    KnownLeader,
    /// While a lease holds nobody else leads, and who reads by it has applied whatever anybody has.
    Lease,
    /// Two logs with the same entry are the same before it.
    LogMatching,
    /// What was durable is there after every restart, or its loss is told.
    Durable,
    /// What a leader counts as held by a member was made durable by that member.
    Acknowledged,
    /// A node on a new disk does not vote before it has what it had acknowledged on the old one.
    NewDisk,
    /// Log is dropped only where a snapshot has it.
    SnapshotCovers,
    /// What an operator was told about the members is so.
    OperatorAnswer,
    /// Term, commit and applied index never go back in a process.
    Monotonic,
    /// applied ≤ committed ≤ last, durable ≤ last.
    IndexOrder,
    /// What is committed was made durable by a majority before.
    DurableQuorum,
    /// A committed entry is the same on every node and after every restart.
    CommittedEntry,
    /// Equal applied index, equal state.
    StateHash,
    /// A process ends only when asked, or for a fault it met.
    Ending,
    /// Damage is found and named, not served.
    Damage,
    /// Each entry of the log was proposed by somebody, and for each proposal at most once.
    Proposal,
    /// Each write that got an answer is in the log, and the answer is what the entry does.
    Answer,
    /// The order of the log and of the reads respects real time.
    RealTime,
    /// Nothing expires before its time.
    Expiry,
    /// Each read equals the state at some point of its time.
    Read,
    /// Watchers are told states that there were, each once and in their order.
    Watch,
    /// The history of each key is linearizable.
    Linearizable,
    /// Without faults, everything is answered in time.
    Liveness,
    /// Without faults, all members come to the same state.
    Convergence,
    /// The same seed gives the same run.
    Determinism,
}

impl Violation {
    /// A violation of `rule`.
    pub fn new(rule: Rule, what: impl Into<String>) -> Violation {
        Violation { rule, what: what.into() }
    }

    /// Whether both tell of the same thing: where a rule has many ways to be broken, in the same way.
    pub fn is_like(&self, other: &Violation) -> bool {
        let has_ways = matches!(self.rule, Rule::Liveness | Rule::Panic | Rule::Ending);
        let words = |violation: &Violation| -> String {
            violation.what.chars().filter(|character| !character.is_ascii_digit()).collect()
        };
        self.rule == other.rule && (!has_ways || words(self) == words(other))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.rule, self.what)
    }
}
