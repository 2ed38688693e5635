//! One part of what is up, and the process that owns it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::cluster::Cluster;
use crate::control_plane::ControlPlane;
use crate::node_box::{Node, NodeBox, NodeBoxBuilder};
use crate::openbao::{BaoAddress, OpenBao, OpenBaoOptions};
use crate::{places, progress};

/// The word for a process that owns a part.
pub(super) const HOLD: &str = "hold";

const CLUSTER: &str = "cluster";
const OPENBAO: &str = "openbao";

/// What can be brought up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// A control plane without nodes.
    Plane,
    /// A control plane with a node in a box, with services, and its images.
    Node {
        /// The archives of its images, besides busybox and pause.
        images: Vec<PathBuf>,
    },
    /// OpenBao, in memory. Where a node is up, pods reach it too, at the host's address.
    OpenBao {
        /// Whether it speaks HTTPS.
        tls: bool,
    },
}

/// The cluster that is up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum ClusterState {
    Plane(Cluster),
    Node(Node),
}

#[derive(Serialize, Deserialize)]
struct State<T> {
    part: Part,
    owned: T,
}

impl Part {
    /// A cluster is one part, whether it has a node or not: there is one at a time.
    fn slot(&self) -> &'static str {
        match self {
            Self::Plane | Self::Node { .. } => CLUSTER,
            Self::OpenBao { .. } => OPENBAO,
        }
    }

    /// In words.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Plane => "a control plane without a node",
            Self::Node { images } if images.is_empty() => "a control plane with a node",
            Self::Node { .. } => "a control plane with a node and its images",
            Self::OpenBao { tls: false } => "OpenBao over HTTP",
            Self::OpenBao { tls: true } => "OpenBao over HTTPS",
        }
    }

    /// Whether what runs as `self` does for whoever asks for `wanted`.
    fn serves(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Node { .. }, Self::Plane) => true,
            (Self::Node { images }, Self::Node { images: wanted }) => wanted.iter().all(|image| images.contains(image)),
            _ => self == wanted,
        }
    }
}

pub(super) fn cluster() -> Option<ClusterState> {
    state(CLUSTER).map(|state| state.owned)
}

pub(super) fn openbao() -> Option<BaoAddress> {
    state(OPENBAO).map(|state| state.owned)
}

pub(super) fn start(program: &Path, wanted: &Part) -> Result<bool> {
    let slot = wanted.slot();
    fs::create_dir_all(folder()).with_context(|| format!("cannot make {}", folder().display()))?;
    // Two at once start it once, and both find it up.
    let turn = File::create(folder().join("turn"))?;
    turn.lock()?;
    if owner(slot).is_some() {
        wait_for_state(slot, || owner(slot).is_some())?;
        let state: State<serde_json::Value> = state(slot).context("it ended just now")?;
        if !state.part.serves(wanted) {
            bail!("{} is up, and you want {}: `devcluster down` first", state.part.describe(), wanted.describe());
        }
        return Ok(true);
    }
    fs::remove_file(state_file(slot)).ok();
    let log = folder().join(format!("{slot}.log"));
    let out = File::create(&log)?;
    // Out of this session, so that closing the terminal does not end it.
    let mut owner = Command::new("setsid")
        .arg(program)
        .args([HOLD, &serde_json::to_string(wanted)?])
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()
        .context("cannot run setsid")?;
    wait_for_state(slot, || matches!(owner.try_wait(), Ok(None))).map(|()| false).with_context(|| progress::tail(&log))
}

fn wait_for_state(slot: &str, lives: impl FnMut() -> bool) -> Result<()> {
    let mut lives = lives;
    loop {
        if state::<serde_json::Value>(slot).is_some() {
            return Ok(());
        }
        if !lives() {
            bail!("{slot} did not come up");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Owns a part until this process is ended.
pub(super) fn hold(part: &Part) -> Result<()> {
    let slot = part.slot();
    fs::create_dir_all(folder())?;
    let mut lock = File::options().create(true).truncate(false).write(true).open(lock_file(slot))?;
    if lock.try_lock().is_err() {
        bail!("{slot} is up already");
    }
    lock.set_len(0)?;
    write!(lock, "{}", std::process::id())?;
    match part {
        Part::Plane => {
            let plane = ControlPlane::builder().scheduler(true).start()?;
            publish(part, ClusterState::Plane((*plane).clone()))?;
            keep(part, plane);
        }
        Part::Node { images } => {
            let node = images.iter().fold(NodeBox::builder().services(), NodeBoxBuilder::image_archive).start()?;
            publish(part, ClusterState::Node((*node).clone()))?;
            keep(part, node);
        }
        Part::OpenBao { tls } => {
            let also_at = match cluster() {
                Some(ClusterState::Node(node)) => Some(node.host_address()),
                _ => None,
            };
            let bao = OpenBao::start(OpenBaoOptions { tls: *tls, also_at, ..OpenBaoOptions::default() })?;
            publish(part, bao.address().clone())?;
            keep(part, bao);
        }
    }
    Ok(())
}

/// Until this process is ended; or until somebody removes the folder by hand, after which nobody could find us.
fn keep<T>(part: &Part, owned: T) {
    while state_file(part.slot()).exists() {
        thread::sleep(Duration::from_secs(1));
    }
    drop(owned);
}

/// Whole or not at all.
fn publish<T: Serialize>(part: &Part, owned: T) -> Result<()> {
    let file = state_file(part.slot());
    let unfinished = file.with_extension("new");
    fs::write(&unfinished, serde_json::to_vec_pretty(&State { part: part.clone(), owned })?)?;
    Ok(fs::rename(unfinished, file)?)
}

pub(super) fn stop_all() -> Result<Vec<&'static str>> {
    let owners: Vec<_> = [CLUSTER, OPENBAO].into_iter().filter_map(|slot| Some((slot, owner(slot)?))).collect();
    for (slot, pid) in &owners {
        // Any other error: it has ended since.
        if kill_process(*pid, Signal::TERM) == Err(Errno::PERM) {
            bail!("{slot} was brought up by another user: run this as that user, or with sudo");
        }
    }
    for (slot, _) in &owners {
        for _ in 0..500 {
            if owner(slot).is_none() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        if owner(slot).is_some() {
            bail!("the owner of {slot} does not end");
        }
    }
    match fs::remove_dir_all(folder()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(owners.into_iter().map(|(slot, _)| slot).collect()),
    }
}

/// The process that owns a slot. Its number is that of a living process, because only one that lives holds the lock.
fn owner(slot: &str) -> Option<Pid> {
    let lock = File::open(lock_file(slot)).ok()?;
    if lock.try_lock_shared().is_ok() {
        return None;
    }
    Pid::from_raw(fs::read_to_string(lock_file(slot)).ok()?.parse().ok()?)
}

fn state<T: DeserializeOwned>(slot: &str) -> Option<State<T>> {
    owner(slot)?;
    serde_json::from_slice(&fs::read(state_file(slot)).ok()?).ok()
}

fn folder() -> PathBuf {
    places::dev().join("up")
}

fn lock_file(slot: &str) -> PathBuf {
    folder().join(format!("{slot}.owner"))
}

fn state_file(slot: &str) -> PathBuf {
    folder().join(format!("{slot}.json"))
}

#[cfg(test)]
mod tests {
    use super::Part;

    #[test]
    fn a_node_with_more_serves_whoever_wants_less() {
        let with = |images: &[&str]| Part::Node { images: images.iter().map(Into::into).collect() };
        let (plane, node, full) = (Part::Plane, with(&["a.tar"]), with(&["a.tar", "b.tar"]));
        assert!(full.serves(&node) && full.serves(&plane) && node.serves(&plane) && plane.serves(&plane));
        assert!(!plane.serves(&node) && !node.serves(&full));
        assert!(!Part::OpenBao { tls: false }.serves(&Part::OpenBao { tls: true }));
    }
}
