//! A cluster with the real operator on it, as a process under its own role or as a release of the chart: for the demo, the
//! tests on a node and the bench.
#![allow(dead_code, reason = "each of them uses a part of it")]

pub mod acked;
pub mod asked;
pub mod bare_api;
pub mod by_hand;
pub mod editors;
pub mod files;
pub mod floor;
pub mod hands;
pub mod http;
pub mod light_runtime;
pub mod live;
pub mod node_red;
pub mod objects;
pub mod operator_image;
pub mod page;
pub mod pods;
pub mod release;
pub mod runtime;

use std::{
    fs::{self, File},
    net::{IpAddr, SocketAddr, TcpListener},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use devcluster::Cluster;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

/// The operator's own namespace.
pub const SYSTEM: &str = "spacesync-system";

const READY_LIMIT: Duration = Duration::from_secs(30);

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether pods can run here.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Applies what the operator needs: definitions, namespace, role and policies. Not its Deployment: it runs on the host.
pub fn install(cluster: &Cluster) -> Result<()> {
    cluster.kubectl(&["apply", "--server-side", "-k", &root().join("crds").to_string_lossy()])?;
    for part in ["namespace.yaml", "rbac.yaml", "policy.yaml"] {
        let path = root().join("deploy").join(part);
        cluster.kubectl(&["apply", "--server-side", "-f", &path.to_string_lossy()])?;
    }
    cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=20s"])?;
    Ok(())
}

/// A client of the cluster's admin, with the operator's own transport: what is measured beside it differs in what it
/// does, not in how bytes travel.
pub async fn client(cluster: &Cluster) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig())?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(spacesync::cluster::Cluster::new(&config, Arc::new(|| true))?.client().clone())
}

/// A running operator. It ends with the cluster.
pub struct Operator {
    process: Child,
    /// Where it serves health and metrics.
    pub health: SocketAddr,
    /// Where it serves pods.
    pub api: SocketAddr,
    /// Where it logs.
    pub log: PathBuf,
}

impl Operator {
    /// Starts `binary`, and waits until it is ready. Pods, where there are any, reach it at `host`.
    pub fn start(cluster: &Cluster, binary: &Path, host: IpAddr, log_level: &str) -> Result<Self> {
        Self::start_at(cluster, binary, free_port(host)?, log_level)
    }

    /// The same at an address that pods know already.
    pub fn start_at(cluster: &Cluster, binary: &Path, api: SocketAddr, log_level: &str) -> Result<Self> {
        Self::start_with(cluster, binary, api, log_level, &[])
    }

    /// The same with more flags. Where there are no pods, or none that ask it anything, its address is of no interest.
    pub fn start_with(
        cluster: &Cluster,
        binary: &Path,
        api: SocketAddr,
        log_level: &str,
        flags: &[&str],
    ) -> Result<Self> {
        let kubeconfig = cluster.kubeconfig_for_service_account(SYSTEM, "spacesync")?;
        let log = cluster.dir().join("operator.log");
        let file = File::options().create(true).append(true).open(&log)?;
        let health = free_port([127, 0, 0, 1].into())?;
        let mut command = Command::new("setsid");
        command
            .arg(binary)
            .args(["operator", "--log-format", "text", "--metrics-listen", &health.to_string()])
            .args(["--api-listen", &api.to_string()])
            .args(flags)
            .env("KUBECONFIG", kubeconfig)
            .env("RUST_LOG", log_level)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        // Without pods it stays at its default, so that a second operator tells nobody of another address.
        if !api.ip().is_loopback() {
            command.args(["--api-url", &format!("https://{api}")]);
        }
        cluster.tie(&mut command);
        let process = command.spawn().with_context(|| format!("cannot run {}", binary.display()))?;
        let mut operator = Self { process, health, api, log };
        operator.wait_until_ready()?;
        Ok(operator)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            let said = self.get("/readyz");
            if said.as_ref().is_some_and(|(status, _)| *status == 200) {
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("the operator ended ({status}):\n{}", self.last_words());
            }
            if began.elapsed() > READY_LIMIT {
                bail!("the operator is not ready: /readyz says {said:?}\n{}", self.last_words());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// `GET` of its health and metrics port: status and body.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        http::get(self.health, path)
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        last_words(&self.log)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Ends it in order, and waits for its end.
    pub fn stop(&mut self) -> Result<()> {
        self.signal("TERM")?;
        self.process.wait()?;
        Ok(())
    }

    /// Ends it at once, as a node that dies does.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Holds it up until what this gives is dropped: its connections stay open, and it does nothing.
    pub fn hold_up(&self) -> Result<HeldUp<'_>> {
        self.signal("STOP")?;
        Ok(HeldUp(self))
    }

    fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status()?;
        ensure!(sent.success(), "SIG{name} could not be sent");
        Ok(())
    }
}

/// The end of a log.
pub fn last_words(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// An operator that does nothing for the time being.
pub struct HeldUp<'o>(&'o Operator);

impl Drop for HeldUp<'_> {
    fn drop(&mut self) {
        // It fails where the operator has ended, which whoever waits for it will see.
        let _ = self.0.signal("CONT");
    }
}

/// An address whose port was free a moment ago.
pub fn free_port(host: IpAddr) -> Result<SocketAddr> {
    TcpListener::bind((host, 0)).and_then(|l| l.local_addr()).with_context(|| format!("no free port at {host}"))
}
