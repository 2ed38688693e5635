//! etcd, kube-apiserver and kube-controller-manager on loopback ports of their own.

use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::audit::AuditLevel;
use crate::binaries::{Tool, find};
use crate::claim::Port;
use crate::cluster::Cluster;
use crate::component::{Component, wait};
use crate::plane::{self, Addresses};
use crate::run::Run;

const START_LIMIT: Duration = Duration::from_mins(1);

/// What a control plane shall be like. See [`ControlPlane::builder`].
#[derive(Debug, Clone)]
pub struct ControlPlaneBuilder {
    audit: AuditLevel,
    controller_manager: bool,
    scheduler: bool,
    api_server_args: Vec<String>,
}

impl ControlPlaneBuilder {
    /// How much the audit log tells (default: metadata).
    #[must_use]
    pub fn audit(mut self, level: AuditLevel) -> Self {
        self.audit = level;
        self
    }

    /// Whether kube-controller-manager runs (default: yes): garbage collection, deployments, service accounts.
    #[must_use]
    pub fn controller_manager(mut self, wanted: bool) -> Self {
        self.controller_manager = wanted;
        self
    }

    /// Whether kube-scheduler runs (default: no).
    #[must_use]
    pub fn scheduler(mut self, wanted: bool) -> Self {
        self.scheduler = wanted;
        self
    }

    /// One more argument for kube-apiserver. A flag given here wins over ours of the same name.
    #[must_use]
    pub fn api_server_arg(mut self, arg: impl Into<String>) -> Self {
        self.api_server_args.push(arg.into());
        self
    }

    /// Starts it; returns when it answers.
    pub fn start(&self) -> Result<ControlPlane> {
        // Whoever knows nothing of claims may take a port between our look at it and the component's bind.
        let mut attempts_left = 3;
        loop {
            match self.try_start() {
                Err(error) if attempts_left > 1 && format!("{error:#}").contains("address already in use") => {
                    attempts_left -= 1;
                }
                outcome => return outcome,
            }
        }
    }

    fn try_start(&self) -> Result<ControlPlane> {
        let binaries = Binaries::find()?;
        let run = Run::start("plane")?;
        let ports: Vec<Port> = (0..3).map(|_| Port::claim()).collect::<Result<_>>()?;
        let at = Addresses {
            api_server: [127, 0, 0, 1].into(),
            api_server_port: ports[0].number(),
            etcd_client: ports[1].number(),
            etcd_peer: ports[2].number(),
        };
        plane::write_files(run.dir(), &at, self.audit, "")?;
        let cluster = Cluster::new(run.id(), run.dir(), at.url())?;

        let etcd = Component::start(&run, "etcd", &binaries.etcd, &plane::etcd(&at))?;
        let mut api_server_args = plane::api_server(run.dir(), &at);
        api_server_args.extend(self.api_server_args.iter().cloned());
        let api_server = Component::start(&run, "kube-apiserver", &binaries.api_server, &api_server_args)?;

        let mut started = ControlPlane {
            cluster,
            run,
            _ports: ports,
            etcd,
            api_server,
            api_server_binary: binaries.api_server,
            api_server_args,
            clients: Vec::new(),
        };
        started.wait_for_api_server()?;
        if self.controller_manager {
            let args = plane::controller_manager(started.run.dir());
            started.start_client("kube-controller-manager", &binaries.controller_manager, &args)?;
        }
        if self.scheduler {
            let args = plane::scheduler(started.run.dir());
            started.start_client("kube-scheduler", &binaries.scheduler, &args)?;
        }
        if self.controller_manager {
            started.wait_for_service_accounts()?;
        }
        Ok(started)
    }
}

struct Binaries {
    etcd: PathBuf,
    api_server: PathBuf,
    controller_manager: PathBuf,
    scheduler: PathBuf,
}

impl Binaries {
    fn find() -> Result<Self> {
        Ok(Self {
            etcd: find(Tool::Etcd)?,
            api_server: find(Tool::KubeApiserver)?,
            controller_manager: find(Tool::KubeControllerManager)?,
            scheduler: find(Tool::KubeScheduler)?,
        })
    }
}

/// A running control plane: a [`Cluster`] without nodes. It ends with this value, or with this process.
#[derive(Debug)]
pub struct ControlPlane {
    cluster: Cluster,
    // First the keeper kills everything at once, then each component is reaped.
    run: Run,
    api_server: Component,
    etcd: Component,
    clients: Vec<Component>,
    api_server_binary: PathBuf,
    api_server_args: Vec<String>,
    _ports: Vec<Port>,
}

impl ControlPlane {
    /// A control plane as most tests want it.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// A control plane with other settings.
    pub fn builder() -> ControlPlaneBuilder {
        ControlPlaneBuilder {
            audit: AuditLevel::default(),
            controller_manager: true,
            scheduler: false,
            api_server_args: Vec::new(),
        }
    }

    /// Kills the API server: its port refuses connections until [`start_api_server`](Self::start_api_server).
    pub fn stop_api_server(&mut self) {
        self.api_server.kill();
    }

    /// Starts the API server again at the same port, with the same data; returns when it answers.
    pub fn start_api_server(&mut self) -> Result<()> {
        self.api_server.kill();
        self.api_server =
            Component::start(&self.run, "kube-apiserver", &self.api_server_binary, &self.api_server_args)?;
        self.wait_for_api_server()
    }

    /// Freezes the API server: connections stay open and nothing is answered.
    pub fn pause_api_server(&self) -> Result<()> {
        self.api_server.suspend()
    }

    /// Lets it go on.
    pub fn resume_api_server(&self) -> Result<()> {
        self.api_server.resume()
    }

    /// The process id of the API server.
    pub fn api_server_pid(&self) -> u32 {
        self.api_server.pid()
    }

    fn wait_for_api_server(&mut self) -> Result<()> {
        let get = self.cluster.getter()?;
        let needed = &mut [&mut self.etcd, &mut self.api_server];
        wait("the API server", START_LIMIT, needed, || get("/readyz").is_some())
    }

    fn start_client(&mut self, name: &'static str, binary: &std::path::Path, args: &[String]) -> Result<()> {
        self.clients.push(Component::start(&self.run, name, binary, args)?);
        Ok(())
    }

    /// The controllers are at work when the default service account is there, without which no pod can be made.
    fn wait_for_service_accounts(&mut self) -> Result<()> {
        let get = self.cluster.getter()?;
        let mut needed: Vec<&mut Component> = self.clients.iter_mut().collect();
        wait("the controllers", START_LIMIT, &mut needed, || {
            get("/api/v1/namespaces/default/serviceaccounts/default").is_some()
        })
    }
}

impl Deref for ControlPlane {
    type Target = Cluster;
    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}
