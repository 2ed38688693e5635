//! stub
use super::{caches::Caches, metrics::Metrics};
use axum::{Router, http::StatusCode, routing::get};
use std::{net::SocketAddr, sync::Arc};
/// stub
pub async fn serve(l: SocketAddr, c: Arc<Caches>, _m: Arc<Metrics>) -> anyhow::Result<()> {
    let app = Router::new().route(
        "/readyz",
        get(move || {
            let c = c.clone();
            async move {
                let p = c.problems();
                if p.is_empty() {
                    (StatusCode::OK, "ok".into())
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, p.join("\n"))
                }
            }
        }),
    );
    let li = tokio::net::TcpListener::bind(l).await?;
    tokio::spawn(async move { axum::serve(li, app).await });
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    Ok(())
}
