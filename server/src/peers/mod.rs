//! The other nodes of the cluster: who they are, the links to them, and what comes from them.
//!
//! Each shard that has groups keeps two connections to every other node (`links`), one for
//! everything small and one for entries. A group's messages go out through its `outbox`; what
//! other nodes send comes in on the replicate port (`inbound`) and takes at most one hop to the
//! shard of its group. Before anything is exchanged both sides have said who they are and which life
//! of their disk this is, and have that written down (`lives`).

mod lives;
mod lives_file;

mod acquaintance;
mod addresses;
mod keeper;

mod message_kind;
mod probation;

mod inbound;
mod links;
mod outbox;

pub use acquaintance::Acquaintance;
pub use addresses::Addresses;
pub use inbound::{NodeHandler, PeerMail};
pub use keeper::{Keeper, Wish};
pub use links::Links;
pub use lives::{Lives, Meeting};
pub use lives_file::{LivesError, LivesFile};
pub use outbox::GroupOutbox;
pub use probation::{Candidacy, Probations};
