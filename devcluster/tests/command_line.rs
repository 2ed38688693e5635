//! The command line, and what is left when its processes are killed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use devcluster::binaries::{self, Tool};

/// A `.dev` of its own, with the binaries of the real one.
struct Dev(PathBuf);

impl Dev {
    fn new(name: &str) -> Result<Self> {
        Tool::ALL.into_iter().try_for_each(|tool| binaries::find(tool).map(drop))?;
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        for kept in
            [binaries::folder(), binaries::folder().with_file_name("images")].iter().filter(|kept| kept.is_dir())
        {
            symlink(kept, dir.join(kept.file_name().expect("a name")))?;
        }
        Ok(Self(dir))
    }

    fn try_run(&self, args: &[&str]) -> Result<Output> {
        Ok(Command::new(env!("CARGO_BIN_EXE_devcluster")).args(args).env("SPACESYNC_DEV", &self.0).output()?)
    }

    fn run(&self, args: &[&str]) -> Result<String> {
        let out = self.try_run(args)?;
        let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        ensure!(out.status.success(), "devcluster {}: {text}", args.join(" "));
        Ok(text)
    }

    fn runs(&self) -> Vec<PathBuf> {
        fs::read_dir(self.0.join("run")).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }

    fn owner(&self, part: &str) -> Result<String> {
        Ok(fs::read_to_string(self.0.join("up").join(format!("{part}.owner")))?)
    }

    /// The processes that work in this folder, by what they were called with.
    fn processes(&self) -> Vec<String> {
        let name = self.0.display().to_string();
        let commands = fs::read_dir("/proc").into_iter().flatten().flatten();
        let commands =
            commands.filter_map(|entry| Some((entry.file_name(), fs::read(entry.path().join("cmdline")).ok()?)));
        let texts = commands.map(|(pid, line)| format!("{} {}", pid.display(), String::from_utf8_lossy(&line)));
        texts.filter(|text| text.contains(&name)).collect()
    }

    fn wait_until_empty(&self) {
        let begun = Instant::now();
        while !(self.runs().is_empty() && self.processes().is_empty()) {
            assert!(begun.elapsed() < Duration::from_secs(10), "left: {:?} {:?}", self.runs(), self.processes());
            thread::sleep(Duration::from_millis(10));
        }
        println!("nothing left after {:.2} s", begun.elapsed().as_secs_f64());
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.try_run(&["down"]).ok();
        fs::remove_dir_all(&self.0).ok();
    }
}

fn kill(signal: &str, pid: &str) {
    assert!(Command::new("kill").args([signal, pid]).status().is_ok_and(|status| status.success()), "kill {pid}");
}

#[test]
fn what_is_brought_up_stays_up_until_it_is_brought_down() -> Result<()> {
    let dev = Dev::new("up-and-down")?;
    assert!(!dev.try_run(&["status"])?.status.success());
    println!("{}", dev.run(&["up", "--openbao", "--tls"])?);
    let again = dev.run(&["up", "--openbao", "--tls"])?;
    assert_eq!(again.matches("is up already").count(), 2, "{again}");
    let refused = dev.try_run(&["up", "--openbao"])?;
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.contains("OpenBao over HTTPS is up, and you want OpenBao over HTTP"), "{refused}");

    let kubeconfig = dev.run(&["kubeconfig"])?;
    let kubectl = Command::new(binaries::find(Tool::Kubectl)?)
        .args(["get", "--raw", "/readyz", "--kubeconfig", kubeconfig.trim()])
        .output()?;
    assert_eq!(String::from_utf8_lossy(&kubectl.stdout), "ok");
    assert!(dev.run(&["status"])?.contains("token root"));

    println!("{}", dev.run(&["down"])?);
    assert!(!dev.0.join("up").exists());
    dev.wait_until_empty();
    assert!(dev.run(&["down"])?.contains("nothing was up"));
    Ok(())
}

#[test]
fn everything_is_gone_after_its_owner_was_killed() -> Result<()> {
    let dev = Dev::new("killed")?;
    dev.run(&["up", "--openbao"])?;
    assert_eq!(dev.runs().len(), 2);
    for part in ["cluster", "openbao"] {
        kill("-KILL", &dev.owner(part)?);
    }
    dev.wait_until_empty();
    assert!(!dev.try_run(&["status"])?.status.success());
    Ok(())
}

#[test]
fn the_next_start_sweeps_up_when_even_the_keeper_was_killed() -> Result<()> {
    let dev = Dev::new("keeper-killed")?;
    dev.run(&["up"])?;
    let left = dev.runs();
    let keeper = dev.processes().into_iter().find(|text| text.contains("DEVCLUSTER_RUN=")).expect("a keeper");
    kill("-KILL", keeper.split(' ').next().expect("its number"));
    kill("-KILL", &dev.owner("cluster")?);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(dev.runs(), left, "nobody is there to clean up");
    dev.run(&["up"])?;
    assert_eq!(dev.runs().len(), 1);
    assert_ne!(dev.runs(), left);
    dev.run(&["down"])?;
    dev.wait_until_empty();
    Ok(())
}

#[test]
fn what_is_up_ends_when_its_folder_is_removed_by_hand() -> Result<()> {
    let dev = Dev::new("removed")?;
    dev.run(&["up", "--openbao"])?;
    fs::remove_dir_all(dev.0.join("up"))?;
    dev.wait_until_empty();
    Ok(())
}

#[test]
fn a_box_is_gone_after_its_owner_was_killed() -> Result<()> {
    if Command::new("id").arg("-u").output()?.stdout != b"0\n" {
        println!("SKIPPED: a node needs root");
        return Ok(());
    }
    let dev = Dev::new("box-killed")?;
    dev.run(&["up", "--node"])?;
    let name = dev.runs()[0].file_name().expect("a name").display().to_string().replace("node-", "dc");
    let cgroups = || Command::new("find").args(["/sys/fs/cgroup", "-name", &name]).output().map(|out| out.stdout);
    assert!(!cgroups()?.is_empty());
    kill("-KILL", &dev.owner("cluster")?);
    dev.wait_until_empty();
    assert!(cgroups()?.is_empty());
    assert!(!Command::new("ip").args(["link", "show", &format!("{name}h")]).output()?.status.success());
    Ok(())
}

#[test]
fn help_says_what_comes_next() -> Result<()> {
    let help = Command::new(env!("CARGO_BIN_EXE_devcluster")).arg("--help").output()?;
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.contains("devcluster up --openbao") && !help.contains("hold"), "{help}");
    Ok(())
}
