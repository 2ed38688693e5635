//! stub
use crate::{cluster::cache::Key, operator::Context, resources::Space};
use std::sync::Arc;
/// stub
pub fn holder_of(ctx: &Context, namespace: &str) -> Option<Arc<Space>> {
    ctx.claims.of(namespace).first().and_then(|n| ctx.caches.spaces.get(&Key::cluster(n)))
}
