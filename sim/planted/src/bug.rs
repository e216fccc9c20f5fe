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
        }
    };
}

bugs! {
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
    /// An answer goes to the neighbour of the call it is for.
    AnswersSwapped = "answers-swapped";
    /// Reads are answered whoever leads.
    ReadAnywhere = "read-anywhere";
    /// A write of which nobody knows is said not to have been carried out.
    UnknownSaidNotDone = "unknown-said-not-done";
}
