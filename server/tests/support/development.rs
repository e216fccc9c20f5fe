//! Development nodes that keep their data.

use std::path::Path;

use crate::process::{NodeProcess, Ports, dongting};

/// Starts one on the data in `data_dir`.
pub(crate) fn dev(data_dir: &Path, ports: Ports) -> NodeProcess {
    let mut command = dongting(["dev", "--base-port", &ports.base.to_string(), "--keep"]);
    NodeProcess::start(command.arg(data_dir))
}
