//! The files and arguments of a control plane, be it on the loopback address or in a node's box.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use anyhow::Result;

use crate::audit::AuditLevel;
use crate::certs;
use crate::cluster::ADMIN_TOKEN;

/// The addresses of services.
pub(crate) const SERVICES: &str = "10.96.0.0/16";

/// Where the parts of a control plane listen.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    pub(crate) api_server: IpAddr,
    pub(crate) api_server_port: u16,
    pub(crate) etcd_client: u16,
    pub(crate) etcd_peer: u16,
}

impl Addresses {
    pub(crate) fn url(&self) -> String {
        format!("https://{}:{}", self.api_server, self.api_server_port)
    }
}

/// Certificates, tokens (the admin's, and `more`: lines `token,user,uid,"groups"`) and the audit policy.
pub(crate) fn write_files(dir: &Path, at: &Addresses, audit: AuditLevel, more: &str) -> Result<()> {
    // The last is the API server's address as pods see it.
    let addresses = [at.api_server, "127.0.0.1".parse()?, "10.96.0.1".parse()?];
    certs::write_server(dir, &["kubernetes.default.svc"], &addresses)?;
    certs::write_signing_keys(dir, "service-accounts")?;
    fs::write(dir.join("tokens.csv"), format!("{ADMIN_TOKEN},admin,admin,\"system:masters\"\n{more}"))?;
    fs::write(dir.join("audit.yaml"), audit.policy())?;
    Ok(())
}

pub(crate) fn etcd(at: &Addresses) -> Vec<String> {
    let client = format!("http://127.0.0.1:{}", at.etcd_client);
    let peer = format!("http://127.0.0.1:{}", at.etcd_peer);
    flags(&[
        ("data-dir", "etcd"),
        ("listen-client-urls", &client),
        ("advertise-client-urls", &client),
        ("listen-peer-urls", &peer),
        ("initial-advertise-peer-urls", &peer),
        ("initial-cluster", &format!("default={peer}")),
        // What is lost in a power cut is gone with the run anyway.
        ("unsafe-no-fsync", "true"),
    ])
}

pub(crate) fn api_server(dir: &Path, at: &Addresses) -> Vec<String> {
    let file = |name: &str| dir.join(name).display().to_string();
    let address = at.api_server.to_string();
    flags(&[
        ("etcd-servers", &format!("http://127.0.0.1:{}", at.etcd_client)),
        ("bind-address", if at.api_server.is_loopback() { &address } else { "0.0.0.0" }),
        ("advertise-address", &address),
        // The API server refuses to publish a loopback address, and says so every few seconds.
        ("endpoint-reconciler-type", if at.api_server.is_loopback() { "none" } else { "lease" }),
        ("secure-port", &at.api_server_port.to_string()),
        ("tls-cert-file", &file("server.crt")),
        ("tls-private-key-file", &file("server.key")),
        ("token-auth-file", &file("tokens.csv")),
        ("authorization-mode", "Node,RBAC"),
        ("enable-admission-plugins", "NodeRestriction"),
        ("service-account-issuer", "https://kubernetes.default.svc"),
        ("service-account-key-file", &file("service-accounts.pub")),
        ("service-account-signing-key-file", &file("service-accounts.key")),
        ("service-cluster-ip-range", SERVICES),
        ("allow-privileged", "true"),
        ("kubelet-preferred-address-types", "InternalIP"),
        ("audit-policy-file", &file("audit.yaml")),
        ("audit-log-path", &file("audit.log")),
        // In MB. At the default of 100 it would begin anew, and whoever counts requests would miss some.
        ("audit-log-maxsize", "100000"),
    ])
}

pub(crate) fn controller_manager(dir: &Path) -> Vec<String> {
    let file = |name: &str| dir.join(name).display().to_string();
    let mut args = client_flags(&file("kubeconfig"));
    args.extend(flags(&[
        ("service-account-private-key-file", &file("service-accounts.key")),
        ("root-ca-file", &file("ca.crt")),
        ("use-service-account-credentials", "true"),
        // Otherwise a new node's taint goes late.
        ("node-monitor-period", "1s"),
        ("kube-api-qps", "500"),
        ("kube-api-burst", "1000"),
    ]));
    args
}

pub(crate) fn scheduler(dir: &Path) -> Vec<String> {
    client_flags(&dir.join("kubeconfig").display().to_string())
}

fn client_flags(kubeconfig: &str) -> Vec<String> {
    flags(&[
        ("kubeconfig", kubeconfig),
        ("authentication-kubeconfig", kubeconfig),
        ("authorization-kubeconfig", kubeconfig),
        // Nobody asks them anything, and a key for a server costs them a second of their start.
        ("secure-port", "0"),
        ("leader-elect", "false"),
    ])
}

fn flags(pairs: &[(&str, &str)]) -> Vec<String> {
    pairs.iter().map(|(flag, value)| format!("--{flag}={value}")).collect()
}
