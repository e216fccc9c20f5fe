//! The bugs.

/// One row a bug: variant, name, and what is wrong.
macro_rules! bugs {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal;)*) => {
        /// A bug that can be switched on.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Bug {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Bug {
            /// All bugs.
            pub const ALL: &'static [Bug] = &[$(Bug::$variant),*];

            /// Its name on the command line.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Bug::$variant => $name,)*
                }
            }

            /// What is wrong with it on.
            pub const fn wrong(self) -> &'static str {
                match self {
                    $(Bug::$variant => concat!($($doc),*).trim_ascii(),)*
                }
            }
        }
    };
}

bugs! {
    /// Snapshots are saved without the sessions.
    SessionsNotSaved = "sessions-not-saved";
    /// A session takes every write for the one before.
    SequenceIgnored = "sequence-ignored";
    /// A write that its client has given up is carried out when it comes late.
    StaleCarriedOut = "stale-carried-out";
    /// A write of a session that has ended is carried out.
    ExpiredCarriedOut = "expired-carried-out";
    /// Of too many sessions the one that was used last ends.
    NewestSessionEnds = "newest-session-ends";
    /// Only the member that answers a write remembers what became of it.
    AnswerOnLeaderOnly = "answer-on-leader-only";
    /// A voter grants a second vote in the same term.
    SecondVote = "second-vote";
    /// A voter does not compare logs.
    VoteForShorterLog = "vote-for-shorter-log";
    /// A vote is answered before it is durable.
    VoteBeforeDurable = "vote-before-durable";
    /// A term and a vote are never written.
    HardStateNotWritten = "hard-state-not-written";
    /// Entries of older terms are committed by counting their copies.
    OlderTermCommitted = "older-term-committed";
    /// A leader counts what it has not yet written itself.
    LeaderCountsUnwritten = "leader-counts-unwritten";
    /// A follower acknowledges at receipt.
    FollowerAcknowledgesUnwritten = "follower-acknowledges-unwritten";
    /// A follower takes over the leader's commit index beyond what the message proved.
    UnprovenCommit = "unproven-commit";
    /// A new leader answers reads before an entry of its own term is committed.
    ReadBeforeOwnEntry = "read-before-own-entry";
    /// A lease never ends while its leader believes to lead.
    EndlessLease = "endless-lease";
    /// Reads do not wait for what was committed before them to be applied.
    ReadBeforeApplied = "read-before-applied";
    /// Both halves are to decide during a change, and only the current one does.
    NextHalfIgnored = "next-half-ignored";
    /// Both halves are to decide during a change, and only the next one does.
    CurrentHalfIgnored = "current-half-ignored";
    /// Either half decides during a change.
    OneHalfEnough = "one-half-enough";
    /// Nodes without a vote count for commits.
    ObserversCounted = "observers-counted";
    /// Elections during a change are won without the next voters.
    VotesOfNextIgnored = "votes-of-next-ignored";
    /// Elections during a change are won without the current voters.
    VotesOfCurrentIgnored = "votes-of-current-ignored";
    /// Elections go by the newest committed members instead of the newest in the log.
    MembersInForceWhenCommitted = "members-in-force-when-committed";
    /// Copies are counted by the newest committed members instead of the newest in the log.
    MembersCountedWhenCommitted = "members-counted-when-committed";
    /// A change is undone on a follower only in its log, not in its members.
    MembersNotUndone = "members-not-undone";
    /// A follower does not take members over with their entry.
    MembersNotFollowed = "members-not-followed";
    /// After a restart the founding members count again.
    MembersForgotten = "members-forgotten";
    /// A change begins before the one before is committed.
    SecondChange = "second-change";
    /// The end of a change puts members in force that were not prepared.
    WrongHalfCommitted = "wrong-half-committed";
    /// A leader that is left out leads on.
    LeftOutLeaderStays = "left-out-leader-stays";
    /// A leader that is left out counts its own copy.
    LeaverCounted = "leaver-counted";
    /// A node on a new disk votes at once.
    NewDiskTrusted = "new-disk-trusted";
    /// A node on a new disk votes before it has caught up.
    TrustedBeforeCaughtUp = "trusted-before-caught-up";
    /// Messages of an earlier life of a node are taken.
    OldLifeHeard = "old-life-heard";
    /// A follower does not compare the term of the entry before.
    PreviousUnchecked = "previous-unchecked";
    /// A follower keeps entries that conflict with its leader's.
    ConflictKept = "conflict-kept";
    /// A follower takes entries of a leader of an earlier term.
    OldLeaderFollowed = "old-leader-followed";
    /// Votes are granted although a leader is alive.
    Disloyal = "disloyal";
    /// A lease outlives the order to take over.
    LeaseKeptInTransfer = "lease-kept-in-transfer";
    /// A lease begins when its answer comes.
    LeaseFromReceipt = "lease-from-receipt";
    /// Term and vote are written and not made durable.
    HardStateVolatile = "hard-state-volatile";
    /// Term and vote are written to one slot only.
    HardStateInOneSlot = "hard-state-in-one-slot";
    /// What the hard state says of the log's end is not looked at.
    DurableMarkIgnored = "durable-mark-ignored";
    /// Entries get the time of a wall clock that jumps.
    EntryTimeFromWall = "entry-time-from-wall";
    /// The overwriting of a value is no update of its directory.
    OverwriteUnnoticed = "overwrite-unnoticed";
    /// Things expire half a second early.
    ExpiryEarly = "expiry-early";
    /// Things expire three seconds late.
    ExpiryLate = "expiry-late";
    /// What is due expires although its countdown was begun again.
    RestartedCountdownIgnored = "restarted-countdown-ignored";
    /// Whoever keeps something alive is told so, and it is not.
    RenewalForgotten = "renewal-forgotten";
    /// A temporary directory that is not empty stays.
    ExpiredSubtreeKept = "expired-subtree-kept";
    /// Anybody may change what is temporary.
    OwnerIgnored = "owner-ignored";
    /// Whoever waits for a lock and asks again holds it.
    TwoHolders = "two-holders";
    /// Whoever waits for a lock can take it from its holder.
    UnlockOfAnother = "unlock-of-another";
    /// The lease of a lock begins when its owner began to wait.
    LeaseFromQueue = "lease-from-queue";
    /// All holders of a lock show the same token.
    TokenOfLock = "token-of-lock";
    /// A log write counts as done when it begins.
    AcknowledgedBeforeWritten = "acknowledged-before-written";
    /// A log write that fails counts as done.
    WriteErrorIgnored = "write-error-ignored";
    /// Checksums are the same for all bytes.
    ChecksumConstant = "checksum-constant";
    /// Recovery takes every damage for a torn write and cuts the log there.
    DamageTakenForTorn = "damage-taken-for-torn";
    /// What a killed process left in its last file is not made durable before it is used.
    RestartNotSynced = "restart-not-synced";
    /// Compare-and-set does not compare.
    CompareIgnored = "compare-ignored";
    /// The removal of a node is no update of its directory.
    RemovalUnnoticed = "removal-unnoticed";
    /// Of several values the last one is not set.
    BatchCutShort = "batch-cut-short";
    /// A transaction is done whatever its conditions say.
    ConditionsIgnored = "conditions-ignored";
    /// Of a transaction that is refused the steps before are done.
    TransactionHalfDone = "transaction-half-done";
    /// Watchers are not told that a node is gone.
    RemovalUntold = "removal-untold";
    /// A watcher that did not get a notice is not told again.
    NoticeLost = "notice-lost";
    /// What changes while a snapshot is saved is in it as it is later.
    SnapshotOfLater = "snapshot-of-later";
    /// Log is dropped up to the newest snapshot, though the one before is to be of use.
    LogDroppedEarly = "log-dropped-early";
    /// An answer goes to the neighbour of the call it is for.
    AnswersSwapped = "answers-swapped";
    /// Reads are answered whoever leads.
    ReadAnywhere = "read-anywhere";
    /// A write of which nobody knows is said not to have been carried out.
    UnknownSaidNotDone = "unknown-said-not-done";
}
