//! The cluster that stays up in the background, for people and the demo: `devcluster up`, `down`, `status`.
//!
//! Each part (the cluster, OpenBao) has a process of this binary that owns it. It does nothing: when it ends, for
//! whatever reason, its part ends. A lock that it holds says that it lives, a JSON file beside it what it owns.

mod part;

use std::path::Path;

use anyhow::Result;

pub use part::Part;

use crate::cluster::Cluster;
use crate::node_box::Node;
use crate::openbao::BaoClient;
use crate::{places, run};

/// What is up.
#[derive(Debug, Clone)]
pub struct Up {
    /// The cluster, with or without a node.
    pub cluster: Option<Cluster>,
    /// The same, where it has a node.
    pub node: Option<Node>,
    /// The vault.
    pub openbao: Option<BaoClient>,
}

/// What `devcluster up` has left running, or nothing.
pub fn attach() -> Option<Up> {
    let (node, cluster) = match part::cluster() {
        Some(part::ClusterState::Node(node)) => (Some(node.clone()), Some(node.cluster)),
        Some(part::ClusterState::Plane(cluster)) => (None, Some(cluster)),
        None => (None, None),
    };
    let openbao = part::openbao().and_then(|at| BaoClient::new(at).ok());
    (cluster.is_some() || openbao.is_some()).then_some(Up { cluster, node, openbao })
}

/// Makes this process the owner of a part where it was called as `PROGRAM hold PART`, which is how [`up`] calls its
/// `program`; only then it does not return until it is ended. The first line of such a program's `main`.
pub fn hold_if_asked() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [word, part] if word == part::HOLD => {
            part::hold(&serde_json::from_str(part)?)?;
            std::process::exit(0)
        }
        _ => Ok(()),
    }
}

/// Starts a part in the background, owned by a process of `program` (see [`hold_if_asked`]), and waits until it answers. Returns whether it
/// was up already.
pub fn up(program: &Path, part: &Part) -> Result<bool> {
    part::start(program, part)
}

/// Ends all that is up and sweeps up after runs that were killed. Returns when nothing is left of them; says what was up.
pub fn down() -> Result<Vec<&'static str>> {
    let ended = part::stop_all()?;
    // Their owners are dead, so this waits for the end of each.
    run::sweep(&places::runs());
    Ok(ended)
}
