//! How often what seldom happens has happened: a checker that never met it has shown nothing.

use std::collections::BTreeMap;
use std::fmt;

macro_rules! rare {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal $(, $told:literal)*;)*) => {
        /// Something that happens to members, and that is seldom enough to be counted.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Rare {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Rare {
            /// All of them.
            pub const ALL: &'static [Rare] = &[$(Rare::$variant),*];

            /// Its name, for people.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Rare::$variant => $name,)*
                }
            }

            /// What a server that says this has met.
            pub fn told_by(message: &str) -> Option<Rare> {
                match message {
                    $($($told => Some(Rare::$variant),)*)*
                    _ => None,
                }
            }
        }
    };
}

rare! {
    /// A member began to lead.
    Election = "elections";
    /// One did so while a change of the members was under way.
    ElectionInChange = "elections in changes";
    /// A member cut entries off that its leader does not have.
    Truncation = "truncations";
    /// Recovery cut what was never completely written.
    TornTail = "torn tails", "cut a frame that was never completely written";
    /// A damaged copy of term and vote was mended from the other one.
    SlotMended = "hard states mended", "used the other slot and restored this one";
    /// A snapshot was saved.
    Saved = "snapshots", "saved a snapshot";
    /// Log was dropped behind a snapshot.
    LogDropped = "log drops";
    /// A member was offered a snapshot.
    Offered = "offers", "offers a snapshot";
    /// A member put one in place of its state.
    Installed = "installs", "installed a snapshot";
    /// One was loaded at start.
    Loaded = "loads", "loaded a snapshot";
    /// A damaged one was set aside, and an older one or the log was used.
    SetAside = "fallbacks", "set a damaged snapshot aside";
    /// A node found its disk empty and knew that it was another once.
    NewDisk = "new disks",
        "this node has lost its disk; it follows without a vote until it has caught up";
    /// A change of the members was prepared.
    Prepared = "changes begun";
    /// The members changed.
    Changed = "changes done";
    /// A change was taken back.
    Aborted = "changes undone";
    /// A lock was granted.
    Granted = "lock grants";
    /// A watcher was told of a change.
    Told = "notices";
    /// A transaction was carried out.
    Transacted = "transactions";
    /// Something expired.
    Expired = "expiries";
    /// A write of a session came again and was not done again.
    Repeated = "repeats";
    /// A session ended because there were too many.
    SessionEnded = "sessions ended";
}

/// Counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Coverage(BTreeMap<Rare, u64>);

impl Coverage {
    /// It has happened once more.
    pub fn add(&mut self, rare: Rare) {
        self.add_many(rare, 1);
    }

    /// It has happened so often.
    pub fn add_many(&mut self, rare: Rare, count: u64) {
        *self.0.entry(rare).or_default() += count;
    }

    /// Adds the counts of another one.
    pub fn merge(&mut self, other: &Coverage) {
        other.0.iter().for_each(|(rare, count)| self.add_many(*rare, *count));
    }

    /// How often.
    pub fn of(&self, rare: Rare) -> u64 {
        self.0.get(&rare).copied().unwrap_or(0)
    }

    /// What has never happened.
    pub fn missing(&self) -> impl Iterator<Item = Rare> {
        Rare::ALL.iter().copied().filter(|rare| self.of(*rare) == 0)
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |rare: &Rare| format!("{} {}", rare.name(), self.of(*rare));
        formatter.write_str(&Rare::ALL.iter().map(count).collect::<Vec<_>>().join(", "))
    }
}
