//! The network: addresses, links between nodes, and connections over them.

mod address;
mod connection;
mod delivery;
mod fabric;
mod handle;
mod link;
mod listener;
mod stream;

pub(crate) use fabric::{Fabric, NetworkEvent};
pub use handle::NetworkHandle;
pub use link::{LinkOptions, NetworkOptions};
pub(crate) use listener::{SimListener, SimNetwork};
pub(crate) use stream::{SimDetached, SimReadHalf, SimStream, SimWriteHalf};
