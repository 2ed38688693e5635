//! How bytes travel to the API server.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{Method, Request};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt},
};
use tower::{BoxError, ServiceBuilder, filter::FilterLayer};

use super::{MayWrite, NotLeader};

/// How long a connection stays that nobody needs. Many syncs that come together open one for each worker.
const IDLE: Duration = Duration::from_secs(30);

/// What of an answer is held at a time. hyper's own limit is 400 kB, which a watch that once listed much would keep.
const BUFFER: usize = 64 * 1024;

/// A client of the cluster that refuses every write while `may_write` says no.
///
/// The stack is kube's own less two things: kube leaves Nagle's algorithm on, which holds the body of each write back
/// until the server has acknowledged its head, 40 ms later; and kube sends a request again by itself for as long as
/// fifteen times, where our queues know better when.
pub fn client(config: &Config, may_write: MayWrite) -> anyhow::Result<Client> {
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
        .build::<_, Guarded>(tls);
    let guard = may_write.clone();
    let stack = ServiceBuilder::new()
        .layer(FilterLayer::new(move |request: Request<Body>| {
            if is_read(&request) || guard() { Ok(request) } else { Err::<_, BoxError>(Box::new(NotLeader)) }
        }))
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .map_request(move |request: Request<Body>| {
            let may_write = (!is_read(&request)).then(|| may_write.clone());
            request.map(|body| Guarded { body, may_write })
        })
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(stack, config.default_namespace.clone()))
}

fn is_read(request: &Request<Body>) -> bool {
    request.method() == Method::GET
}

/// A body that asks again when its connection takes it. A request may wait for a connection or for its turn: in a process
/// that is stopped then, that is after the lease. What fails here has not been sent, not even its head.
struct Guarded {
    body: Body,
    /// Nothing for reads.
    may_write: Option<MayWrite>,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.may_write.as_ref().is_some_and(|may_write| !may_write()) {
            return Poll::Ready(Some(Err(Box::new(NotLeader))));
        }
        Pin::new(&mut this.body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(BoxError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
