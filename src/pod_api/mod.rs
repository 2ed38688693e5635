//! The pods' API: HTTPS, for the pods of flow apps only, served by every replica, leader or not. It tells names, times,
//! revisions and counts, and never a value.
//!
//! ```text
//!  connection ─► server (TLS, deadlines) ─► route ─► authentication: which pod ─► caller: which app and sync ─► limits
//!                  ▲                                                                                              │
//!  trust: which certificate ◄─ authority                              endpoints: status, sync, settings, acks ◄───┘
//! ```

pub mod authentication;
pub mod authority;
pub mod bounded;
pub mod caller;
pub mod certificate;
pub mod endpoints;
pub mod fields;
pub mod latency;
pub mod limits;
pub mod openapi;
pub mod problem;
pub mod route;
pub mod server;
mod token;
pub mod trust;

use std::sync::Arc;

use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::body::Bytes;
use serde::Serialize;
use tokio::sync::watch;

use self::{authentication::Authenticator, endpoints::sync::Turns, latency::Latency, limits::Limits};
use crate::{cluster::Cluster, operator::Context};

/// What is sent back.
pub type Answer = Response<Full<Bytes>>;

/// Everything that an answer needs.
pub struct PodApi {
    /// What is known.
    pub ctx: Arc<Context>,
    /// The API server, for writes that any replica may do.
    pub cluster: Cluster,
    /// Which pod asks.
    pub authenticator: Authenticator,
    /// How often.
    pub limits: Limits,
    /// Whose turn it is to ask for a sync.
    pub turns: Turns,
    /// From store to runtime.
    pub latency: Latency,
    /// Whether this replica is on its way out: nobody waits any more.
    pub stopping: watch::Sender<bool>,
}

impl PodApi {
    /// `cluster` must let every replica write.
    pub fn new(ctx: Arc<Context>, cluster: Cluster) -> Arc<Self> {
        Arc::new(Self {
            authenticator: Authenticator::new(cluster.clone()),
            limits: Limits::default(),
            turns: Turns::default(),
            latency: Latency::default(),
            stopping: watch::Sender::new(false),
            ctx,
            cluster,
        })
    }
}

fn body(value: &impl Serialize) -> Full<Bytes> {
    Full::new(serde_json::to_vec(value).expect("names, times and counts are always JSON").into())
}

/// A JSON answer.
fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let mut response = Response::new(body(value));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
