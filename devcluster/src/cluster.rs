//! What one does with a cluster, however it was started.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{audit, binaries, http, run};

/// A cluster that answers: where it is, and `kubectl` as its admin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cluster {
    pub(crate) run: String,
    pub(crate) dir: PathBuf,
    pub(crate) url: String,
}

impl Cluster {
    /// Writes the admin's kubeconfig.
    pub(crate) fn new(run: &str, dir: &Path, url: String) -> Result<Self> {
        let cluster = Self { run: run.to_owned(), dir: dir.to_owned(), url };
        fs::write(cluster.kubeconfig(), cluster.kubeconfig_text(ADMIN_TOKEN, "default"))?;
        Ok(cluster)
    }

    /// The admin's kubeconfig file (`system:masters`).
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// `https://ADDRESS:PORT`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The PEM file of the authority that signed the API server's certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// The run's folder: logs, data, certificates. Files put there go with the cluster.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The bearer token of the admin.
    pub fn admin_token(&self) -> &'static str {
        ADMIN_TOKEN
    }

    /// The API server's audit log: one JSON line a request.
    pub fn audit_log(&self) -> PathBuf {
        self.dir.join("audit.log")
    }

    /// The audit log's entries so far: see <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/#audit-k8s-io-v1-Event>.
    pub fn audit_entries(&self) -> Result<Vec<Value>> {
        audit::entries(&self.audit_log())
    }

    /// Runs `kubectl` as the admin; returns what it prints. Its standard error is in the error.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.kubectl_stdin(args, "")
    }

    /// The same, with something to read.
    pub fn kubectl_stdin(&self, args: &[&str], input: &str) -> Result<String> {
        let mut child = self
            .kubectl_command()?
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run kubectl")?;
        let mut stdin = child.stdin.take().context("kubectl has no standard input")?;
        let input = input.to_owned();
        // From a thread of its own: kubectl may write more than a pipe holds before it has read everything.
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let out = child.wait_with_output()?;
        // Whoever does not read its input does not want it.
        writer.join().ok();
        if !out.status.success() {
            bail!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// `kubectl` as a command, set up for this cluster's admin.
    pub fn kubectl_command(&self) -> Result<Command> {
        let mut command = Command::new(binaries::find(binaries::Tool::Kubectl)?);
        run::without_proxy(&mut command);
        command
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            // What an older cluster on the same port served must not be believed of this one.
            .env("KUBECACHEDIR", self.dir.join("kubectl-cache"));
        Ok(command)
    }

    /// Runs `helm` as the admin; returns what it prints. Its standard error is in the error.
    pub fn helm(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(binaries::find(binaries::Tool::Helm)?);
        run::without_proxy(&mut command);
        // It keeps caches and settings in the home of whoever calls it.
        let home = |name: &str| self.dir.join("helm").join(name);
        let homes = [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")];
        command.envs(homes.map(|(variable, name)| (variable, home(name))));
        let out = command
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .args(args)
            .stdin(Stdio::null())
            .output()
            .context("cannot run helm")?;
        if !out.status.success() {
            bail!("helm {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// `kubectl apply --server-side` of YAML or JSON text.
    pub fn apply(&self, yaml: &str) -> Result<String> {
        self.kubectl_stdin(&["apply", "--server-side", "--force-conflicts", "-f", "-"], yaml)
    }

    /// Writes a kubeconfig with a token (a day long) of a service account that exists.
    pub fn kubeconfig_for_service_account(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = self.kubectl(&["create", "token", name, "--namespace", namespace, "--duration=24h"])?;
        let path = self.dir.join(format!("kubeconfig-{namespace}-{name}"));
        fs::write(&path, self.kubeconfig_text(token.trim(), namespace))?;
        Ok(path)
    }

    /// Ties a process to the cluster's life: what is started from `command` is killed when the cluster ends, also when
    /// that is because its owner was killed.
    pub fn tie(&self, command: &mut Command) {
        run::tie(command, &self.run);
    }

    /// A way to ask the API server as the admin; `None` unless it says 200.
    pub(crate) fn getter(&self) -> Result<impl Fn(&str) -> Option<String> + use<>> {
        let ca = fs::read_to_string(self.ca_file()).context("the cluster has no CA file")?;
        let agent = http::client(Some(&ca))?;
        let (url, token) = (self.url.clone(), format!("Bearer {ADMIN_TOKEN}"));
        Ok(move |path: &str| {
            let answer = http::send(&agent, "GET", &format!("{url}{path}"), ("authorization", &token), None);
            answer.ok().filter(|(status, _)| *status == 200).map(|(_, body)| body)
        })
    }

    pub(crate) fn kubeconfig_text(&self, token: &str, namespace: &str) -> String {
        let (url, ca) = (&self.url, self.ca_file());
        format!(
            r#"apiVersion: v1
kind: Config
clusters: [{{name: devcluster, cluster: {{server: "{url}", certificate-authority: "{}"}}}}]
users: [{{name: user, user: {{token: "{token}"}}}}]
contexts: [{{name: devcluster, context: {{cluster: devcluster, user: user, namespace: {namespace}}}}}]
current-context: devcluster
"#,
            ca.display()
        )
    }
}

/// Anybody on this machine may be the admin of a cluster for tests: it listens on addresses of this machine only.
pub(crate) const ADMIN_TOKEN: &str = "admin-token";
