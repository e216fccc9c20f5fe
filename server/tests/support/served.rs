//! Nodes that are started with a configuration file.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use crate::process::{NodeProcess, Ports, dongting};

/// The port for other nodes.
pub(crate) fn replicate(ports: Ports) -> SocketAddr {
    SocketAddr::new(ports.service.ip(), ports.base + 1)
}

/// Starts a node on the data in `data_dir`. `node` has more lines for the section of that name and
/// what comes behind it.
pub(crate) fn serve(data_dir: &Path, ports: Ports, node: &str) -> NodeProcess {
    let (service, replicate) = (ports.service, replicate(ports));
    let text = format!(
        "[listen]\nservice = \"{service}\"\nreplicate = \"{replicate}\"\n\
         [node]\ndata_dir = {data_dir:?}\n{node}"
    );
    let file = data_dir.with_extension(format!("{}.toml", ports.base));
    fs::write(&file, text).unwrap();
    NodeProcess::start(dongting(["serve", "--config"]).arg(file))
}
