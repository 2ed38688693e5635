//! The way from an operator to the API server, with a trap on it: the operator is killed at its k-th write.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Either, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use kube::{
    Config,
    client::ConfigExt,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};

use crate::world::World;

/// When the operator is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// The API server has written, and the operator never hears of it.
    Unanswered,
    /// The operator has its answer, and may have begun what comes next.
    Answered,
}

/// What is to happen, and what has happened so far.
#[derive(Default)]
struct State {
    /// Only what is asked of this tenant counts.
    tenant: String,
    /// The k-th write, and when.
    at: Option<(usize, When)>,
    /// The operator's process.
    pid: u32,
    /// The tenant's writes so far: method and path.
    writes: Vec<String>,
}

/// A proxy that one operator after the other reaches the API server by.
pub struct Trap {
    state: Arc<Mutex<State>>,
    killed: watch::Receiver<usize>,
    /// The kubeconfig by which an operator goes this way.
    pub kubeconfig: PathBuf,
}

type Body = Either<Incoming, Full<Bytes>>;

impl Trap {
    pub async fn start(world: &World) -> Self {
        let kubeconfig = Kubeconfig::read_from(world.plane.kubeconfig()).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a config");
        let tls = config.rustls_https_connector().expect("TLS");
        let client = Client::builder(TokioExecutor::new()).build::<_, Incoming>(tls);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, killed) = watch::channel(0);
        let state = Arc::<Mutex<State>>::default();
        let (base, of_server) = (config.cluster_url, state.clone());
        let sender = Arc::new(sender);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (client, base, state, sender) = (client.clone(), base.clone(), of_server.clone(), sender.clone());
                let service = service_fn(move |mut request: Request<Incoming>| {
                    let (client, base, state, sender) = (client.clone(), base.clone(), state.clone(), sender.clone());
                    async move {
                        let strikes = state.lock().unwrap().counts(&request);
                        *request.uri_mut() = towards(&base, request.uri());
                        let answer = client.request(request).await?;
                        Ok::<_, hyper_util::client::legacy::Error>(match strikes {
                            None => answer.map(Either::Left),
                            Some(when) => strike(when, answer, state, sender).await,
                        })
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { state, killed, kubeconfig: written(world, address) }
    }

    /// Sets the trap for a tenant; without a place nothing is struck, and writes are counted only.
    pub fn set(&self, tenant: &str, at: Option<(usize, When)>) {
        let mut state = self.state.lock().unwrap();
        tenant.clone_into(&mut state.tenant);
        state.at = at;
        state.writes.clear();
    }

    /// Tells whom to strike.
    pub fn aim(&self, pid: u32) {
        self.state.lock().unwrap().pid = pid;
    }

    /// The tenant's writes since the trap was set.
    pub fn writes(&self) -> Vec<String> {
        self.state.lock().unwrap().writes.clone()
    }

    /// Waits until more than so many operators have been killed.
    pub async fn until_killed(&self, more_than: usize) {
        self.killed.clone().wait_for(|killed| *killed > more_than).await.expect("the proxy runs");
    }
}

impl State {
    /// Counts a request that is a write of the tenant's, and says whether it is the one.
    fn counts(&mut self, request: &Request<Incoming>) -> Option<When> {
        let path = request.uri().path();
        // An Event is told at most once and may be lost with its teller.
        let counts = path.split('/').any(|part| part == self.tenant) && !path.split('/').any(|part| part == "events");
        if request.method() == Method::GET || self.tenant.is_empty() || !counts {
            return None;
        }
        self.writes.push(format!("{} {path}", request.method()));
        self.at.filter(|(at, _)| *at == self.writes.len()).map(|(_, when)| when)
    }
}

async fn strike(
    when: When,
    answer: Response<Incoming>,
    state: Arc<Mutex<State>>,
    sender: Arc<watch::Sender<usize>>,
) -> Response<Body> {
    let (head, body) = answer.into_parts();
    // Answered means whole: by then the write is in etcd.
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    // On its own: with the operator its connection ends, and with that whatever is done for it.
    let kill = tokio::spawn(async move {
        let pid = state.lock().unwrap().pid.to_string();
        let killed = tokio::process::Command::new("kill").args(["-KILL", &pid]).status().await;
        assert!(killed.expect("kill runs").success(), "the operator was not there to be killed");
        sender.send_modify(|killed| *killed += 1);
    });
    match when {
        When::Unanswered => {
            let _ = kill.await;
            let mut nothing = Response::new(Either::Right(Full::default()));
            *nothing.status_mut() = StatusCode::BAD_GATEWAY;
            nothing
        }
        When::Answered => Response::from_parts(head, Either::Right(Full::new(body))),
    }
}

fn towards(base: &Uri, uri: &Uri) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.scheme = base.scheme().cloned();
    parts.authority = base.authority().cloned();
    Uri::from_parts(parts).expect("an address")
}

fn written(world: &World, address: SocketAddr) -> PathBuf {
    let body = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "trap",
        "clusters": [{"name": "trap", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "operator", "user": {"token": world.token_of_operator()}}],
        "contexts": [{"name": "trap", "context": {"cluster": "trap", "user": "operator"}}],
    });
    let path = world.plane.dir().join("trap.kubeconfig");
    std::fs::write(&path, body.to_string()).expect("a kubeconfig");
    path
}
