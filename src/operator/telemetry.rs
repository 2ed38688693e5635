//! What can be seen of a running operator: logs, health and metrics.

use std::{
    io::{self, IsTerminal},
    net::SocketAddr,
    panic::PanicHookInfo,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, LevelFilter, filter_fn},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use super::{caches::Caches, metrics::Metrics, permissions::Permissions, standing};
use crate::{cli::LogFormat, pod_api::trust::Trust};

/// How many connections there may be for health and metrics. Beyond that a new one waits until another ends.
const CONNECTIONS: usize = 128;
/// How long one may last, whatever its client reads. Who scrapes connects again.
const CONNECTION: Duration = Duration::from_mins(1);
/// How long a client may take to send the head of a request, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(5);
/// The most of a head that is kept.
const HEAD_BYTES: usize = 8 * 1024;

/// Logs to stderr from now on, panics too. `RUST_LOG` says how much; `info` where it says nothing.
pub fn init_logging(format: LogFormat) {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let layer = layer(format, filter, io::stderr, io::stderr().is_terminal());
    // A second call, in a test perhaps, changes nothing.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    std::panic::set_hook(Box::new(panicked));
}

fn layer<S, W>(format: LogFormat, filter: EnvFilter, writer: W, colours: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = filter.and(filter_fn(may_speak));
    match format {
        LogFormat::Json => {
            let json = fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
            json.with_writer(writer).with_filter(filter).boxed()
        }
        LogFormat::Text => fmt::layer().with_ansi(colours).with_writer(writer).with_filter(filter).boxed(),
    }
}

/// Below `info`, HTTP and TLS crates log headers and bodies: tokens and secrets. So they stay at `info`, whatever
/// `RUST_LOG` says; only our own lines, which never hold a value, may tell more.
fn may_speak(metadata: &Metadata<'_>) -> bool {
    let ours = metadata.target().strip_prefix("spacesync").is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
    ours || *metadata.level() <= Level::INFO
}

/// Says where, and never with which words: those may quote what could not be read.
fn panicked(info: &PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string);
    let thread = std::thread::current();
    tracing::error!(location, thread = thread.name(), "panicked");
}

/// Serves `/healthz`, `/readyz` and `/metrics` over plain HTTP until the set is dropped.
pub async fn serve(
    listen: SocketAddr,
    caches: Arc<Caches>,
    metrics: Arc<Metrics>,
    trust: Arc<Trust>,
    permissions: Arc<Permissions>,
) -> anyhow::Result<JoinSet<()>> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("--metrics-listen {listen}"))?;
    let app = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(serve_metrics))
        .with_state(Seen { caches, metrics, trust, permissions });
    let mut tasks = JoinSet::new();
    tasks.spawn(accept(listener, app));
    Ok(tasks)
}

/// Any pod may reach this port, so a connection has deadlines, little room, and not many beside it.
async fn accept(listener: TcpListener, app: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = places.clone().acquire_owned().await.expect("it is never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: some are given back soon.
                tracing::warn!(%error, "a connection for health or metrics could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app.clone()));
        tokio::spawn(async move {
            let _place = place;
            // That a client went, or was too slow, is of no interest.
            let _ = tokio::time::timeout(CONNECTION, connection).await;
        });
    }
}

#[derive(Clone)]
struct Seen {
    caches: Arc<Caches>,
    metrics: Arc<Metrics>,
    trust: Arc<Trust>,
    permissions: Arc<Permissions>,
}

async fn readyz(State(seen): State<Seen>) -> impl IntoResponse {
    let mut problems = seen.permissions.problems();
    problems.extend(seen.caches.hindrances());
    problems.extend(seen.trust.problem());
    let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut lines = if problems.is_empty() { vec!["ok".to_owned()] } else { problems };
    lines.extend(seen.permissions.notes());
    lines.extend(seen.caches.notes());
    lines.extend(seen.trust.notes());
    (status, lines.into_iter().map(|line| line + "\n").collect::<String>())
}

async fn serve_metrics(State(seen): State<Seen>) -> impl IntoResponse {
    standing::count(&seen.caches, &seen.metrics);
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], seen.metrics.encode())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged by `speak` where `RUST_LOG` is `filter`.
    fn logged(format: LogFormat, filter: &str, speak: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = layer(format, EnvFilter::new(filter), move || writer.clone(), false);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), speak);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test]
    async fn whoever_says_nothing_or_without_an_end_on_the_open_port_is_shown_out() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(accept(listener, Router::new().route("/healthz", get(async || "ok\n"))));
        let ends = async |sent: String| {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            // It may be shut before all of it is sent.
            let _ = stream.write_all(sent.as_bytes()).await;
            let mut said = Vec::new();
            let ended = tokio::time::timeout(HEAD * 2, stream.read_to_end(&mut said)).await;
            assert!(ended.is_ok(), "{} bytes are waited for without an end", sent.len());
            String::from_utf8_lossy(&said).into_owned()
        };
        let close = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let (nothing, endless, fine) = tokio::join!(
            ends(String::new()),
            ends(format!("GET /healthz HTTP/1.1\r\nX: {}", "x".repeat(64 * 1024))),
            ends(close.to_owned())
        );
        assert!(!nothing.contains("200 OK") && !endless.contains("200 OK") && fine.contains("200 OK"), "{fine}");
        served.abort();
    }

    fn everybody_speaks() {
        for _ in 0..2 {
            tracing::trace!(target: "hyper::proto::h1::io", "body hunter2");
            tracing::debug!(target: "kube_client::client", "body hunter2");
            tracing::trace!(target: "spacesyncer", "body hunter2");
            let span = tracing::trace_span!(target: "tower::buffer", "worker", body = "hunter2");
            let _entered = span.enter();
            tracing::info!(target: "kube_client::client", "theirs");
            tracing::trace!(target: "spacesync::sync", "our trace");
            tracing::trace!(target: "spacesync", "our root");
        }
    }

    #[test]
    fn other_crates_never_say_more_than_info_whatever_rust_log_says() {
        for format in [LogFormat::Json, LogFormat::Text] {
            for filter in
                ["trace", "trace,hyper=trace,tower=trace,spacesync=trace", "hyper::proto=trace,spacesync=trace,info"]
            {
                let text = logged(format, filter, everybody_speaks);
                assert!(!text.contains("hunter2"), "{filter}: {text}");
                for ours in ["our trace", "our root", "theirs"] {
                    assert_eq!(text.matches(ours).count(), 2, "{filter}: {text}");
                }
            }
        }
    }

    #[test]
    fn our_own_lines_follow_rust_log() {
        assert!(!logged(LogFormat::Json, "info", everybody_speaks).contains("our trace"));
        assert_eq!(logged(LogFormat::Text, "off", everybody_speaks), "");
    }

    #[test]
    fn a_json_line_is_one_flat_object() {
        let text = logged(LogFormat::Json, "info", || tracing::info!(namespace = "newsroom-dev", "started"));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["message"], &line["namespace"]), (&"started".into(), &"newsroom-dev".into()));
    }

    #[test]
    fn a_panic_is_logged_with_its_place_and_without_its_words() {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(panicked));
        let text = logged(LogFormat::Text, "info", || {
            let _ = std::panic::catch_unwind(|| panic!("cannot read hunter2"));
        });
        std::panic::set_hook(before);
        assert!(text.contains("panicked") && text.contains("telemetry.rs"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
