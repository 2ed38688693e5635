//! The steps of one look at a `SecretManager`.

mod build;
mod identity;
mod plan;
mod status;

use std::sync::Arc;

use jiff::Timestamp;

use self::plan::Probe;
use crate::{
    cluster::{
        self,
        cache::{Item, Key},
        parts::Health,
        queue::Next,
    },
    operator::Context,
    resources::{AutoSync, Reason, SecretManager, Space},
    space::{binding, status::retry},
};

/// Looks at one `SecretManager`: builds its store where it has to be built, and says whether it can be reached.
pub async fn look(ctx: &Arc<Context>, name: &str) -> Next {
    let Some(manager) = ctx.caches.managers.get(&Key::cluster(name)) else {
        if ctx.reach.seen(name).is_some() {
            forget(ctx, name);
        }
        return Next::OnChange;
    };
    reconcile(ctx, name, &manager).await.unwrap_or_else(|error| {
        tracing::debug!(manager = name, %error, "a look failed and is tried again");
        Next::Failed(retry(&error))
    })
}

/// Forgets the stores of an earlier term that are no longer what they were built from: nobody looked while another
/// replica led, and from the first moment of a term none may be used whose `SecretManager` has gone.
pub fn begin(ctx: &Context) {
    for name in ctx.stores.names() {
        let manager = ctx.caches.managers.get(&Key::cluster(&name));
        let inputs = manager.map(|manager| build::inputs(ctx, &manager));
        if ctx.reach.seen(&name).and_then(|seen| seen.inputs) != inputs {
            forget(ctx, &name);
        }
    }
}

fn forget(ctx: &Context, name: &str) {
    ctx.stores.remove(name);
    ctx.reach.forget(name);
    ctx.metrics.forget_manager(name);
}

async fn reconcile(ctx: &Arc<Context>, name: &str, manager: &SecretManager) -> cluster::Result<Next> {
    let inputs = build::inputs(ctx, manager);
    if ctx.reach.seen(name).is_none_or(|seen| seen.inputs.as_ref() != Some(&inputs)) {
        let built = build::store(ctx, name, manager).await?;
        let reported = manager.status.as_ref().and_then(|status| status.last_checked);
        let inputs = (!built.was_refused).then_some(inputs);
        ctx.reach.begin(name, inputs, reported.map(|at| at.0), Timestamp::now());
        ctx.stores.set(name, built.store);
    }
    let spaces = spaces_of(ctx, name);
    ctx.reach.used(name, !spaces.is_empty());
    note_watch(ctx, name);
    if probe_of(ctx, name, &spaces, Timestamp::now()) == Probe::Now {
        probe(ctx, name, &spaces).await;
    }
    write_status(ctx, name, manager, spaces.len()).await?;
    if ctx.reach.seen(name).is_some_and(|seen| seen.inputs.is_none()) {
        return Ok(Next::Failed(Reason::SecretManagerInvalid.retry()));
    }
    Ok(match probe_of(ctx, name, &spaces, Timestamp::now()) {
        Probe::After(wait) => Next::After(wait),
        Probe::Now | Probe::Never => Next::OnChange,
    })
}

/// The embedded store is asked by a watch: as long as that is well, it has just answered. Says whether the status has to
/// be looked at.
pub fn note_watch(ctx: &Context, name: &str) -> bool {
    let is_embedded = ctx.stores.get(name).is_ok_and(|store| build::is_embedded(&store));
    let is_used = ctx.reach.seen(name).is_some_and(|seen| seen.is_used);
    let is_well = || ctx.caches.own_secrets.health() == Health::Synced;
    is_embedded && is_used && is_well() && ctx.reach.note(name, Ok(()), Timestamp::now())
}

/// The Spaces that are kept there, by name.
fn spaces_of(ctx: &Context, manager: &str) -> Vec<Arc<Space>> {
    let mut spaces = ctx.caches.spaces.all();
    spaces.retain(|space| space.spec.secret_manager_ref.name == manager);
    spaces
}

fn probe_of(ctx: &Context, name: &str, spaces: &[Arc<Space>], now: Timestamp) -> Probe {
    let is_usable = ctx.stores.get(name).is_ok_and(|store| !build::is_embedded(&store));
    match ctx.reach.seen(name) {
        Some(seen) if is_usable && !spaces.is_empty() => {
            plan::probe(&seen, spaces.iter().any(|space| is_asked(ctx, space)), now)
        }
        _ => Probe::Never,
    }
}

/// Whether a sync asks for the space's entry by itself.
fn is_asked(ctx: &Context, space: &Space) -> bool {
    let asks = |namespace: &String| {
        ctx.caches
            .syncs
            .in_namespace(namespace)
            .iter()
            .any(|sync| !sync.spec.is_suspended() && sync.spec.effective_auto_sync() != AutoSync::Manual)
            && binding::holder_of(ctx, namespace).is_some_and(|holder| holder.metadata.uid == space.metadata.uid)
    };
    space.spec.namespaces.iter().any(asks)
}

/// Asks for the head of one entry.
async fn probe(ctx: &Context, name: &str, spaces: &[Arc<Space>]) {
    let (Ok(store), Some(space)) = (ctx.stores.get(name), spaces.first()) else { return };
    let path = space.spec.path.clone().unwrap_or_else(|| space.key().name);
    let head = store.head(&path).await;
    ctx.count_store(name, "head", head.as_ref().err());
    ctx.reach.note(name, plan::outcome(head), Timestamp::now());
}

async fn write_status(ctx: &Context, name: &str, manager: &SecretManager, spaces: usize) -> cluster::Result<()> {
    let Some(seen) = ctx.reach.seen(name) else { return Ok(()) };
    let store = ctx.stores.get(name).map(|_| ());
    let old = manager.status.as_ref();
    let new = status::build(manager, store, &seen, spaces, Timestamp::now());
    let written = ctx.cluster.patch_status(manager, old, &new).await?;
    ctx.reach.reported(name, new.last_checked.map(|at| at.0));
    if let Some(written) = written {
        ctx.caches.managers.put(written);
    }
    if let Some((reason, message)) = status::warning(old, &new) {
        tracing::warn!(manager = name, %reason, message);
        ctx.events.warn(manager, reason, message);
    }
    Ok(())
}
