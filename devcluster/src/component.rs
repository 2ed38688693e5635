//! One process of a run, and waiting for it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::progress::tail;
use crate::run::{Run, detached};

/// A running binary whose output goes to `<run>/<name>.log`.
#[derive(Debug)]
pub(crate) struct Component {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Component {
    pub(crate) fn start(run: &Run, name: &'static str, program: &Path, args: &[String]) -> Result<Self> {
        let log = run.dir().join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let child = detached(program, run.id())
            .args(args)
            .current_dir(run.dir())
            // Some want a home to write to, and the user's is none of their business.
            .env("HOME", run.dir())
            .stdout(Stdio::from(out.try_clone()?))
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        Ok(Self { name, child, log })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops its clock (SIGSTOP): connections stay open and nothing is answered once this returns.
    pub(crate) fn suspend(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        // One thread takes the signal and the others may answer until each of them has heard of it.
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.process()?), stopped).with_context(|| format!("cannot wait for {}", self.name))?;
        Ok(())
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Kills it and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.process()?, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    fn process(&self) -> Result<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process id")
    }

    /// An error with the end of its log, where it is no longer there.
    fn must_live(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended early ({status}):\n{}", self.name, tail(&self.log));
        }
        Ok(())
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until `ready`, while all of `needed` live.
pub(crate) fn wait(
    what: &str,
    limit: Duration,
    needed: &mut [&mut Component],
    mut ready: impl FnMut() -> bool,
) -> Result<()> {
    let begun = Instant::now();
    while !ready() {
        for component in &mut *needed {
            component.must_live()?;
        }
        if begun.elapsed() > limit {
            let logs: Vec<String> = needed.iter().map(|c| format!("{}:\n{}", c.name, tail(&c.log))).collect();
            bail!("{what}: not ready after {} s\n{}", limit.as_secs(), logs.join("\n"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
