//! A control plane with the operator on it.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use devcluster::{AuditLevel, ControlPlane};
use http::{HeaderValue, Request};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioExecutor};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client, Config,
    api::{DeleteParams, ListParams},
    client::{Body, ConfigExt},
    config::{KubeConfigOptions, Kubeconfig},
};

use secrecy::ExposeSecret;

use crate::tenant::Tenant;

/// The operator's own namespace.
pub const SYSTEM: &str = "spacesync-system";
/// The user name of the operator in audit logs.
pub const OPERATOR_USER: &str = "system:serviceaccount:spacesync-system:spacesync";

/// A running operator, as a process of its own.
pub struct Operator {
    process: Child,
    /// Where it serves health and metrics.
    pub health: String,
    /// Where it serves the pods' API.
    pub api: SocketAddr,
    log: PathBuf,
}

impl Operator {
    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The file that it logs to.
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// `GET` of its health and metrics port: status and body.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(&self.health).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split_whitespace().nth(1)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal by name, such as `TERM` or `KILL`.
    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.process.id().to_string()]).status();
        assert!(done.expect("kill runs").success());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.process.wait().expect("a child")
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
    }
}

static SHARED: OnceLock<(World, Operator)> = OnceLock::new();

fn shared() -> &'static (World, Operator) {
    SHARED.get_or_init(|| {
        let world = World::start(AuditLevel::Metadata);
        let operator = world.operator(&[]);
        (world, operator)
    })
}

/// A control plane on which the operator can run.
pub struct World {
    /// The control plane.
    pub plane: ControlPlane,
    kubeconfig: PathBuf,
    operators: AtomicU32,
}

impl World {
    /// The world that all tests share, with one operator.
    pub fn shared() -> &'static Self {
        &shared().0
    }

    /// The operator of the shared world.
    pub fn shared_operator() -> &'static Operator {
        &shared().1
    }

    /// What the operator of the shared world has logged, for whoever wonders why a test failed. Where nobody asked for
    /// that world it is not started for this.
    pub fn shared_log() -> String {
        SHARED.get().map(|(_, operator)| operator.log()).unwrap_or_default()
    }

    /// A world of its own, without an operator.
    pub fn start(audit: AuditLevel) -> Self {
        Self::on(ControlPlane::builder().audit(audit).start().expect("a control plane"))
    }

    /// The same on a control plane with settings of its own.
    pub fn on(plane: ControlPlane) -> Self {
        install(&plane, &["crds", "deploy/namespace.yaml", "deploy/rbac.yaml", "deploy/policy.yaml"]);
        Self::installed(plane)
    }

    /// One whose operator has no right but in these namespaces, which are made, as `deploy/namespaced/` says.
    pub fn of_namespaces(plane: ControlPlane, namespaces: &[&str]) -> Self {
        install(&plane, &["crds", "deploy/namespace.yaml", "deploy/namespaced/rbac.yaml", "deploy/policy.yaml"]);
        let world = Self::installed(plane);
        for namespace in namespaces {
            world.plane.kubectl(&["create", "namespace", namespace]).expect("a namespace");
        }
        world.let_into(namespaces);
        world
    }

    /// Lets the operator into these namespaces and no other that it was not let into before.
    pub fn let_into(&self, namespaces: &[&str]) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/namespaced");
        let watched = root.join("watched.yaml").to_string_lossy().into_owned();
        for namespace in namespaces {
            let apply = ["apply", "--server-side", "--namespace", namespace, "--filename", &watched];
            self.plane.kubectl(&apply).expect("its roles apply");
        }
        let names = namespaces.iter().map(|name| format!("      - {name}\n")).collect::<Vec<_>>().concat();
        let rbac = std::fs::read_to_string(root.join("rbac.yaml")).expect("its roles");
        self.plane.apply(&rbac.replace("      - newsroom-dev\n", &names)).expect("its roles apply");
    }

    fn installed(plane: ControlPlane) -> Self {
        let kubeconfig = plane.kubeconfig_for_service_account(SYSTEM, "spacesync").expect("a token of the operator");
        Self { plane, kubeconfig, operators: AtomicU32::new(0) }
    }

    /// Installs the definitions again, where somebody deleted them.
    pub fn install_definitions(&self) {
        install(&self.plane, &["crds"]);
    }

    /// Starts an operator with these environment variables, and waits until it is ready.
    pub fn operator(&self, environment: &[(&str, &str)]) -> Operator {
        let operator = self.operator_unready(environment);
        let began = Instant::now();
        while operator.get("/readyz").is_none_or(|(status, _)| status != 200) {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "not ready: {:?}\n{}",
                operator.get("/readyz"),
                operator.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        operator
    }

    /// Ends an operator in peace, so that it hands over its lease, and starts the next. Returns when that has looked
    /// at everything once, or would have: a standby looks at nothing, and a test of what it does not do would say nothing.
    pub async fn successor(&self, last: &mut Operator) -> Operator {
        last.signal("TERM");
        last.wait();
        let next = self.operator(&[]);
        let began = Instant::now();
        while !next.log().contains("leading") {
            assert!(began.elapsed() < Duration::from_secs(30), "{}", next.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        next
    }

    /// Starts an operator and does not wait.
    pub fn operator_unready(&self, environment: &[(&str, &str)]) -> Operator {
        let number = self.operators.fetch_add(1, Ordering::Relaxed);
        let log = self.plane.dir().join(format!("operator-{number}.log"));
        let file = std::fs::File::options().create(true).append(true).open(&log).expect("a log file");
        let health = format!("127.0.0.1:{}", free_port());
        let api = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_spacesync"));
        command
            .args(["operator", "--log-format", "text", "--metrics-listen", &health])
            .args(["--api-listen", &api.to_string()])
            .env("KUBECONFIG", &self.kubeconfig)
            .env("RUST_LOG", "info,spacesync=debug")
            // Where the machine reaches the world by a proxy, that does not lead to what runs here.
            .env("NO_PROXY", "127.0.0.1,localhost")
            .envs(environment.iter().copied())
            .current_dir(self.plane.dir())
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file);
        self.plane.tie(&mut command);
        Operator { process: command.spawn().expect("the operator starts"), health, api, log }
    }

    /// The token by which the operator is known to the API server.
    pub fn token_of_operator(&self) -> String {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).expect("a kubeconfig");
        let token = kubeconfig.auth_infos[0].auth_info.as_ref().and_then(|auth| auth.token.clone()).expect("a token");
        token.expose_secret().to_owned()
    }

    /// A kubeconfig with a token that no other operator has, and as what the audit log knows that token.
    pub fn another_token(&self) -> (String, String) {
        let create = ["create", "token", "spacesync", "--namespace", SYSTEM, "--duration=24h"];
        let token = self.plane.kubectl(&create).expect("a token of the operator");
        let claims = token.split('.').nth(1).and_then(|claims| BASE64.decode(claims).ok()).expect("a JWT");
        let claims: serde_json::Value = serde_json::from_slice(&claims).expect("a JWT");
        let id = claims["jti"].as_str().expect("an ID");
        let kubeconfig = std::fs::read_to_string(&self.kubeconfig).expect("a kubeconfig");
        let path = self.plane.dir().join(format!("kubeconfig-{id}"));
        std::fs::write(&path, kubeconfig.replace(&self.token_of_operator(), token.trim())).expect("a kubeconfig");
        (path.to_string_lossy().into_owned(), format!("JTI={id}"))
    }

    /// Where the API server is, and the certificate authority to trust it by.
    pub fn api_server(&self) -> (String, String) {
        let kubeconfig = Kubeconfig::read_from(self.plane.kubeconfig()).expect("a kubeconfig");
        let cluster = kubeconfig.clusters[0].cluster.clone().expect("a cluster");
        let ca = std::fs::read_to_string(self.plane.dir().join("ca.crt")).expect("the certificate authority");
        (cluster.server.expect("an address"), ca)
    }

    /// A namespace with a space of the embedded store, and an entry in it.
    pub async fn tenant(&self, entry: &[(&str, &str)]) -> Tenant<'_> {
        Tenant::new(self, entry).await
    }

    /// A client of the cluster's admin. One for each test, since it lives on that test's runtime.
    pub async fn client(&self) -> Client {
        self.client_as(None).await
    }

    /// A client of somebody whom the admin impersonates, as `kubectl --as` does.
    pub async fn client_as(&self, user: Option<&str>) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.plane.kubeconfig()).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a config");
        let user = user.map(|user| HeaderValue::from_str(user).expect("a user's name"));
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let tls = config.rustls_https_connector_with_connector(tcp).expect("TLS");
        let service = tower::ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer().expect("a token"))
            .map_request(move |mut request: Request<Body>| {
                if let Some(user) = &user {
                    request.headers_mut().insert("impersonate-user", user.clone());
                }
                request
            })
            .map_err(tower::BoxError::from)
            .service(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(tls));
        Client::new(service, config.default_namespace)
    }

    /// Lets the next operator lead at once, as if the lease of one that was killed had run out.
    pub async fn forget_lease(&self) {
        let leases = Api::<Lease>::namespaced(self.client().await, SYSTEM);
        leases.delete_collection(&DeleteParams::default(), &ListParams::default()).await.expect("no lease");
    }

    /// Requests of the operator so far, watches, leases and Events aside: verb and path.
    pub fn requests_of_operator(&self) -> Vec<(String, String)> {
        let entries = self.plane.audit_entries().expect("an audit log");
        let of_operator = entries.iter().filter(|entry| {
            entry["user"]["username"] == OPERATOR_USER
                && entry["stage"] == "ResponseComplete"
                && entry["verb"] != "watch"
                && entry["objectRef"]["resource"] != "leases"
                && entry["objectRef"]["resource"] != "events"
        });
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        // To ask what one may do is a `create` by its form only.
        let verb = |entry: &serde_json::Value| match entry["objectRef"]["apiGroup"].as_str() {
            Some("authorization.k8s.io") => "get".to_owned(),
            _ => text(&entry["verb"]),
        };
        of_operator.map(|entry| (verb(entry), text(&entry["requestURI"]))).collect()
    }
}

/// Applies files of the repository, and waits until the definitions are served.
fn install(plane: &ControlPlane, parts: &[&str]) {
    for part in parts {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(part);
        let flag = if path.is_dir() { "-k" } else { "-f" };
        let path = path.to_string_lossy().into_owned();
        plane.kubectl(&["apply", "--server-side", flag, &path]).expect("the operator's own files apply");
    }
    plane
        .kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=20s"])
        .expect("the definitions are served");
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}

#[test]
fn whoever_looks_at_the_log_of_the_shared_world_does_not_start_it() {
    // In a process of its own, in which no other test starts it either.
    let this = std::env::current_exe().expect("this very program");
    let alone = ["--exact", "world::a_look_at_the_log", "--ignored", "--test-threads=1"];
    let looked = Command::new(this).args(alone).output().expect("it runs");
    let said = String::from_utf8_lossy(&looked.stdout);
    assert!(looked.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "only in a process of its own: by the test above"]
fn a_look_at_the_log() {
    assert_eq!(World::shared_log(), "");
    assert!(SHARED.get().is_none(), "it was started");
}
