//! Starting and stopping OpenBao.
//!
//! Not `bao server -dev`: a server of our own configuration has the same start time and, unlike it, an audit log from
//! the first request, an unseal key, and storage that outlives a restart.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::client::{BaoAddress, BaoClient};
use crate::binaries::{Tool, find};
use crate::certs::{self, ServerFiles};
use crate::claim::Port;
use crate::component::{Component, wait};
use crate::run::Run;

const START_LIMIT: Duration = Duration::from_secs(30);
const ROOT_TOKEN: &str = "root";

/// What an OpenBao shall be like.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenBaoOptions {
    /// HTTPS with a certificate for `localhost` and `127.0.0.1`.
    pub tls: bool,
    /// Listens at the same port of this address as well: one that pods reach, say.
    pub also_at: Option<IpAddr>,
    /// Where the entries are kept.
    pub storage: Storage,
}

/// Where the entries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// In memory: starts at once, and forgets everything when it is stopped.
    #[default]
    Memory,
    /// On disk: takes a second or two more, and can be [started again](OpenBao::start_again).
    Raft,
}

/// A running OpenBao with KV version 2 at `secret`. It ends with this value, or with this process.
#[derive(Debug)]
pub struct OpenBao {
    client: BaoClient,
    options: OpenBaoOptions,
    run: Run,
    server: Component,
    binary: PathBuf,
    _ports: [Port; 2],
}

impl OpenBao {
    /// Starts one; returns when it answers.
    pub fn start(options: OpenBaoOptions) -> Result<Self> {
        let binary = find(Tool::Bao)?;
        let run = Run::start("openbao")?;
        let ports = [Port::claim()?, Port::claim()?];
        let names: Vec<IpAddr> = ["127.0.0.1".parse()?].into_iter().chain(options.also_at).collect();
        let tls = if options.tls { Some(certs::write_server(run.dir(), &[], &names)?) } else { None };
        let url = format!("{}://{}", if options.tls { "https" } else { "http" }, ports[0].address());
        let config = config(options, &url, &ports, tls.as_ref());
        fs::write(run.dir().join("openbao.hcl"), config)?;
        let client = BaoClient::new(BaoAddress {
            url,
            dir: run.dir().to_owned(),
            ca_pem: tls.map(|files| fs::read_to_string(files.ca)).transpose()?,
            root_token: String::new(),
            unseal_key: String::new(),
        })?;
        if options.storage == Storage::Raft {
            fs::create_dir(run.dir().join("raft"))?;
        }
        let server = start_server(&run, &binary)?;
        let mut started = Self { client, options, run, server, binary, _ports: ports };
        started.initialize()?;
        Ok(started)
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// The `bao` that runs it, which is its command line too.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Freezes the server (SIGSTOP): connections stay open and nothing is answered.
    pub fn suspend(&self) -> Result<()> {
        self.server.suspend()
    }

    /// Lets it go on.
    pub fn resume(&self) -> Result<()> {
        self.server.resume()
    }

    /// Kills the server: its port refuses connections.
    pub fn stop(&mut self) {
        self.server.kill();
    }

    /// Starts it again at the same port, with the same data, unsealed. Only with [`Storage::Raft`].
    pub fn start_again(&mut self) -> Result<()> {
        if self.options.storage == Storage::Memory {
            bail!("this OpenBao has its entries in memory, so a new start would have none: use Storage::Raft");
        }
        self.server.kill();
        self.server = start_server(&self.run, &self.binary)?;
        self.wait_for("listen", |client| client.request("GET", "sys/seal-status", None).is_ok())?;
        self.client.unseal()?;
        self.wait_for("be active", BaoClient::answers)
    }

    fn initialize(&mut self) -> Result<()> {
        self.wait_for("listen", |client| client.request("GET", "sys/seal-status", None).is_ok())?;
        let once = json!({"secret_shares": 1, "secret_threshold": 1}).to_string();
        let keys = self.client.request("PUT", "sys/init", Some(&once))?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("sys/init said something else");
        let address = self.client.address_mut();
        address.unseal_key = text(&keys["keys_base64"][0])?;
        address.root_token = text(&keys["root_token"])?;
        self.client.unseal()?;
        self.wait_for("be active", BaoClient::answers)?;
        // A token that people can type, as in `-dev`.
        let root = json!({"id": ROOT_TOKEN, "policies": ["root"], "no_parent": true}).to_string();
        self.client.request("POST", "auth/token/create", Some(&root))?;
        self.client.request("POST", "auth/token/revoke-self", None)?;
        ROOT_TOKEN.clone_into(&mut self.client.address_mut().root_token);
        let kv = json!({"type": "kv", "options": {"version": "2"}}).to_string();
        self.client.request("POST", "sys/mounts/secret", Some(&kv))?;
        // The mount prepares itself for a moment, in which it refuses everything.
        self.wait_for("mount KV", |client| client.request("GET", "secret/config", None).is_ok())
    }

    fn wait_for(&mut self, what: &str, ready: impl Fn(&BaoClient) -> bool) -> Result<()> {
        let client = &self.client;
        wait(&format!("OpenBao shall {what}"), START_LIMIT, &mut [&mut self.server], || ready(client))
    }
}

impl Deref for OpenBao {
    type Target = BaoClient;
    fn deref(&self) -> &BaoClient {
        &self.client
    }
}

fn start_server(run: &Run, binary: &Path) -> Result<Component> {
    Component::start(run, "openbao", binary, &["server".to_owned(), "-config=openbao.hcl".to_owned()])
}

fn config(options: OpenBaoOptions, url: &str, ports: &[Port; 2], tls: Option<&ServerFiles>) -> String {
    let storage = match options.storage {
        Storage::Memory => "storage \"inmem\" {}",
        // The multiplier is for slow networks; 1 is the fastest election.
        Storage::Raft => "storage \"raft\" { path = \"raft\", node_id = \"one\", performance_multiplier = 1 }",
    };
    let tls = match tls {
        Some(files) => {
            format!("tls_cert_file = \"{}\"\n  tls_key_file = \"{}\"", files.cert.display(), files.key.display())
        }
        None => "tls_disable = true".to_owned(),
    };
    let also = options.also_at.map(|ip| SocketAddr::new(ip, ports[0].number()).to_string());
    let addresses = [ports[0].address()].into_iter().chain(also);
    let listeners = addresses
        .map(|address| format!("listener \"tcp\" {{\n  address = \"{address}\"\n  {tls}\n}}"))
        .collect::<Vec<_>>()
        .join("\n");
    let cluster = ports[1].address();
    format!(
        r#"{storage}
{listeners}
audit "file" "file" {{
  options {{ file_path = "audit.log" }}
}}
api_addr = "{url}"
cluster_addr = "https://{cluster}"
"#
    )
}
