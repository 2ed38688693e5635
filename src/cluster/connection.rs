//! How bytes travel to the API server.

use std::time::Duration;

use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt},
};
use tower::{BoxError, Layer, Service, ServiceBuilder};

/// How long a connection stays that nobody needs. Many syncs that come together open one for each worker.
const IDLE: Duration = Duration::from_secs(30);

/// What of an answer is held at a time. hyper's own limit is 400 kB, which a watch that once listed much would keep.
const BUFFER: usize = 64 * 1024;

/// A client of the cluster with `guard` before every request.
///
/// The stack is kube's own less two things: kube leaves Nagle's algorithm on, which holds the body of each write back
/// until the server has acknowledged its head, 40 ms later; and kube sends a request again by itself for as long as
/// fifteen times, where our queues know better when.
pub fn client<L>(config: &Config, guard: &L) -> anyhow::Result<Client>
where
    L: Layer<tower::util::BoxCloneSyncService<http::Request<Body>, http::Response<hyper::body::Incoming>, BoxError>>,
    L::Service: Service<http::Request<Body>, Response = http::Response<hyper::body::Incoming>, Error = BoxError>
        + Send
        + 'static,
    <L::Service as Service<http::Request<Body>>>::Future: Send,
{
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(Duration::from_secs(5)));
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    let tls = config.rustls_https_connector_with_connector(tcp)?;
    // Without a timer idle connections stay, each with its buffers, until another request happens to look at them.
    let http = HttpClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http1_max_buf_size(BUFFER)
        .build::<_, Body>(tls);
    let stack = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .map_err(BoxError::from)
        .service(http);
    let guarded = guard.layer(tower::util::BoxCloneSyncService::new(stack));
    Ok(Client::new(guarded, config.default_namespace.clone()))
}
