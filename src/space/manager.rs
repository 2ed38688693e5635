//! stub
use crate::{
    cluster::{cache::Key, queue::Next},
    operator::Context,
    store::{Store, embedded::Embedded},
};
use std::sync::Arc;
/// stub
pub async fn look(ctx: &Arc<Context>, name: &str) -> Next {
    match ctx.caches.managers.get(&Key::cluster(name)) {
        Some(m) if m.spec.kubernetes.is_some() => {
            if ctx.stores.get(name).is_err() {
                ctx.stores.set(
                    name,
                    Ok(Store::Kubernetes(Arc::new(Embedded::new(
                        ctx.cluster.clone(),
                        ctx.caches.clone(),
                        ctx.fingerprints.clone(),
                        ctx.settings.namespace.clone(),
                    )))),
                );
            }
        }
        _ => {}
    }
    Next::OnChange
}
