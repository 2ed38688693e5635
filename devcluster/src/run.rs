//! A run: one folder, the processes that work in it, and a keeper that ends both when the owner is gone.
//!
//! The keeper is a small shell process outside of the owner's session. It waits for the end of a pipe that only the
//! owner holds open, so one way of ending serves them all: drop, panic, Ctrl-C, `kill -9`, a static that is never
//! dropped. Should the keeper be killed too, the next start of anything sweeps up what is left.

use std::fs::{self, File};
use std::io::{self, PipeWriter};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use crate::claim::random;
use crate::places;

const KEEPER: &str = include_str!("keeper.sh");
const MARK: &str = "DEVCLUSTER_RUN";

/// The folder of a run and the hold on its keeper.
#[derive(Debug)]
pub(crate) struct Run {
    id: String,
    dir: PathBuf,
    // The lock on the folder says that its owner lives. Nobody reads it through this handle.
    _alive: File,
    leash: Option<PipeWriter>,
    keeper: Child,
}

impl Run {
    /// A new folder, with a keeper that watches over it.
    pub(crate) fn start(kind: &str) -> Result<Self> {
        let runs = places::runs();
        fs::create_dir_all(&runs).with_context(|| format!("cannot make {}", runs.display()))?;
        sweep(&runs);
        let id = format!("{kind}-{:08x}", random() & 0xffff_ffff);
        let dir = runs.join(&id);
        // Locked before it has its name, so that nobody takes it for a leftover in between.
        let unborn = runs.join(format!(".{id}"));
        fs::create_dir(&unborn).with_context(|| format!("cannot make {}", unborn.display()))?;
        let alive = File::open(&unborn)?;
        alive.lock()?;
        fs::rename(&unborn, &dir)?;
        // Both ends are closed on exec; only the keeper is handed the one to read from.
        let (end, leash) = io::pipe()?;
        let keeper = keeper(&id, &dir).stdin(end).spawn().context("cannot start the keeper (setsid and sh)")?;
        Ok(Self { id, dir, _alive: alive, leash: Some(leash), keeper })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Ends all processes of the run and removes its folder. Returns when that is done.
    pub(crate) fn end(&mut self) {
        self.leash = None;
        self.keeper.wait().ok();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.end();
    }
}

/// The same of a process that may hide its environment: it is known by the name that it is called by.
pub(crate) fn tie(command: &mut Command, id: &str) {
    mark(command, id);
    command.arg0(format!("tied:{id}"));
}

/// Lets a command's process end with the run of that name.
pub(crate) fn mark(command: &mut Command, id: &str) {
    command.env(MARK, id);
}

fn keeper(id: &str, dir: &Path) -> Command {
    let mut command = Command::new("setsid");
    // In a session of its own: neither Ctrl-C nor a closed terminal reaches it.
    command.args(["sh", "-c", KEEPER, "keeper"]).arg(dir).arg(format!("{MARK}={id}"));
    command.env_remove(MARK).current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Ends what is left of runs whose owner and keeper are both gone.
pub(crate) fn sweep(runs: &Path) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let (dir, name) = (entry.path(), entry.file_name());
        let Some(id) = name.to_str() else { continue };
        if id.starts_with('.') && !older_than_a_minute(&dir) {
            continue; // being born
        }
        let Ok(folder) = File::open(&dir) else { continue };
        if folder.try_lock().is_ok() {
            keeper(id, &dir).stdin(Stdio::null()).status().ok();
        }
    }
}

fn older_than_a_minute(dir: &Path) -> bool {
    let age = fs::metadata(dir).and_then(|m| m.modified()).ok().and_then(|t| SystemTime::now().duration_since(t).ok());
    age.is_some_and(|age| age > Duration::from_mins(1))
}

/// All servers are on this machine, and whatever proxy the environment names cannot reach them.
pub(crate) fn without_proxy(command: &mut Command) {
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
}

/// A command in a process group of its own, so that Ctrl-C in the owner's terminal leaves the order of ending to us.
pub(crate) fn detached(program: &Path, id: &str) -> Command {
    let mut command = Command::new(program);
    mark(&mut command, id);
    without_proxy(&mut command);
    command.process_group(0).stdin(Stdio::null());
    command
}
