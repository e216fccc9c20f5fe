//! Messages of the administration commands 44 to 55 and 1102 to 1104. Commands 51, 53 and 1104 take one `fixed32`, 47 to 49
//! answer one `fixed64`; they have no message of their own.

mod change;
mod group;
mod node;
mod snapshot;
mod transfer;

pub use change::{CommitOrAbortReq, PrepareChangeReq};
pub use group::{AddGroupReq, ListGroupsResp};
pub use node::{AddNodeReq, ListNodesResp, RaftNode};
pub use snapshot::{SnapshotEntry, SnapshotsResp};
pub use transfer::TransferLeaderReq;
