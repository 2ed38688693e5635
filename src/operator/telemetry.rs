//! stub
use super::{caches::Caches, metrics::Metrics};
use std::{net::SocketAddr, sync::Arc};
/// stub
pub async fn serve(_l: SocketAddr, _c: Arc<Caches>, _m: Arc<Metrics>) -> anyhow::Result<()> {
    Ok(())
}
