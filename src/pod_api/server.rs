//! Connections: TLS, deadlines, and how many there may be. HTTP/1.1, for every client of the contract speaks it.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use rustls::{ServerConfig, crypto::ring};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::{PodApi, route, trust::Trust};

/// How many connections there may be. Beyond that a new one waits until another ends.
const CONNECTIONS: usize = 1024;
/// How many of them one address may have: all pods of a node come from one where it hides theirs.
const OF_ONE_ADDRESS: usize = 256;
/// How long a client may take to greet.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long it may take to send the head of a request, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(15);
/// The most of a head that is kept; a token has up to 8 KiB.
const HEAD_BYTES: usize = 24 * 1024;
/// How long answers that are under way may take when the operator ends.
const FAREWELL: Duration = Duration::from_secs(10);

/// A running server.
pub struct Server {
    api: Arc<PodApi>,
    task: JoinHandle<()>,
}

/// Takes the port, so that one that is taken ends the operator at once and not when it would serve.
pub async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).await.with_context(|| format!("--api-listen {listen}"))
}

impl Server {
    /// Serves until it is stopped.
    pub fn start(listener: TcpListener, api: Arc<PodApi>) -> Self {
        let task = tokio::spawn(accept(listener, api.clone()));
        Self { api, task }
    }

    /// Ends only where it panicked, which has been logged.
    pub async fn ended(&mut self) {
        let _ = (&mut self.task).await;
    }

    /// Takes no more connections and finishes what is under way, for a while.
    pub async fn stop(self) {
        self.api.stopping.send_replace(true);
        // A panic there has been logged.
        let _ = self.task.await;
    }
}

fn tls(trust: Arc<Trust>) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(trust);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: TcpListener, api: Arc<PodApi>) {
    let acceptor = tls(api.ctx.trust.clone()).expect("ring speaks TLS 1.2 and 1.3");
    let (places, addresses) = (Arc::new(Semaphore::new(CONNECTIONS)), Arc::new(Addresses::default()));
    let mut stop = api.stopping.subscribe();
    let graceful = GracefulShutdown::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.expect("it is never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, from)) => {
                let source = from.ip().to_canonical();
                // One that has too many is not even told.
                if let Some(guest) = addresses.enter(source) {
                    let connection = Connection { api: api.clone(), source, _place: place, _guest: guest };
                    tokio::spawn(connection.serve(acceptor.clone(), stream, graceful.watcher()));
                }
            }
            Err(error) => {
                // Out of file descriptors, most likely: some are given back soon.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(FAREWELL, graceful.shutdown()).await.is_err() {
        tracing::warn!("some answers of the pods' API were not finished");
    }
}

struct Connection {
    api: Arc<PodApi>,
    source: IpAddr,
    _place: OwnedSemaphorePermit,
    _guest: Guest,
}

impl Connection {
    async fn serve(self, acceptor: TlsAcceptor, stream: TcpStream, watcher: Watcher) {
        // Answers are small and awaited.
        let _ = stream.set_nodelay(true);
        let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
        let answer = service_fn(|request| {
            let (api, source) = (self.api.clone(), self.source);
            async move { Ok::<_, Infallible>(route::answer(&api, source, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            .max_headers(64)
            .serve_connection(TokioIo::new(stream), answer);
        // That a client went, or was too slow, is of no interest.
        let _ = watcher.watch(connection).await;
    }
}

/// How many connections each address has.
#[derive(Debug, Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

/// One of them, until it is dropped.
struct Guest {
    addresses: Arc<Addresses>,
    source: IpAddr,
}

impl Addresses {
    fn enter(self: &Arc<Self>, source: IpAddr) -> Option<Guest> {
        let mut counts = self.lock();
        let count = counts.entry(source).or_default();
        if *count >= OF_ONE_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Guest { addresses: self.clone(), source })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().expect("no code panics while it holds the lock")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.addresses.lock();
        if let Some(count) = counts.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_connections_and_no_more_until_one_ends() {
        let addresses = Arc::new(Addresses::default());
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|address| address.parse().unwrap());
        let mut guests: Vec<_> = (0..OF_ONE_ADDRESS).map(|_| addresses.enter(one).unwrap()).collect();
        assert!(addresses.enter(one).is_none() && addresses.enter(other).is_some());
        guests.pop();
        guests.push(addresses.enter(one).unwrap());
        drop(guests);
        assert!(addresses.lock().is_empty());
    }
}
