//! Start and stop of a node.

use core::fmt;

use crate::config::Config;

/// Runs the node until it is asked to stop.
pub fn serve(config: Config) -> Result<(), NodeError> {
    Err(NodeError(format!("node {} cannot be served by this build", config.node.id)))
}

/// Why a node did not start, or ended.
#[derive(Debug)]
pub struct NodeError(String);

impl NodeError {
    /// Whether stored data is damaged or belongs to something else.
    pub fn is_integrity(&self) -> bool {
        false
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
