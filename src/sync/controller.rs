//! The steps of one look at a sync.

use std::sync::Arc;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::{
    apply::{self, Applied},
    gather::{self, Found, Known},
    look::{self, Look},
    plan::{self, Plan},
    status,
    turnstile::Pass,
};
use crate::{
    cluster::{
        self,
        cache::{Item, Key},
        queue::{Lane, Next},
        secrets::SecretMeta,
    },
    operator::Context,
    resources::{DeletionPolicy, Reason, SpaceSecretSync, SpaceSecretSyncStatus, condition::has_reason, reason::Retry},
    store::Store,
};

/// Looks at one sync and does what there is to do.
pub async fn look(ctx: &Arc<Context>, key: &Key) -> Next {
    let done = match ctx.caches.syncs.get(key) {
        Some(sync) => reconcile(ctx, sync).await,
        None => farewell(ctx, key).await,
    };
    done.unwrap_or_else(|error| {
        tracing::debug!(sync = %key, %error, "a look failed and is tried again");
        Next::Failed(retry(&error))
    })
}

/// A lost race is run again at once, an API server that is away is waited for.
fn retry(error: &cluster::Error) -> Retry {
    use std::time::Duration;
    match error {
        cluster::Error::Conflict(_) | cluster::Error::NotFound => {
            Retry::Backoff(Duration::from_millis(20), Duration::from_secs(5))
        }
        _ => Retry::Backoff(Duration::from_millis(500), Duration::from_secs(10)),
    }
}

async fn reconcile(ctx: &Arc<Context>, sync: Arc<SpaceSecretSync>) -> cluster::Result<Next> {
    let now = jiff::Timestamp::now();
    let (known, store) = gather::known(ctx, sync);
    let look = look::look(&known, now);
    if look == Look::Wait {
        return Ok(Next::OnChange);
    }
    let Ok(_pass) = admit(ctx, &known, store.as_ref(), &look) else { return Ok(Next::OnChange) };
    let mut found = gather::ask(ctx, &known, store.as_ref(), &look).await?;
    let mut plan = plan::plan(&known, &look, &found, &ctx.fingerprints, now);
    let mut applied = apply::apply(ctx, &plan).await?;
    if matches!(applied, Applied::Exists) {
        (found, plan) = look_closer(ctx, &known, &look, found, now).await?;
        applied = apply::apply(ctx, &plan).await?;
    }
    if matches!(applied, Applied::Exists) {
        return Err(cluster::Error::Conflict("it comes and goes".into()));
    }
    write_status(ctx, &known, &plan, &applied, now).await?;
    drop(found);
    apply::part_with_strays(ctx, &plan, &applied).await?;
    Ok(status::next(&plan, &applied))
}

/// Another turn comes for this sync, since too many ask its store already.
struct NotYet;

/// Asking the embedded store is asking the API server, which is never full.
fn admit(ctx: &Context, known: &Known, store: Option<&Store>, look: &Look) -> Result<Option<Pass>, NotYet> {
    let Some(lane) = look.asks_store().filter(|_| matches!(store, Some(Store::OpenBao(_)))) else { return Ok(None) };
    let manager = &known.entry.manager;
    let away = ctx.reach.is_away(manager);
    let pass = ctx.turnstile.enter(manager, &known.sync.key(), lane, away, &ctx.queues.syncs);
    pass.map(Some).ok_or(NotYet)
}

/// A Secret of the target's name is there that the caches do not know: plans again with what it is.
async fn look_closer(
    ctx: &Context,
    known: &Known,
    look: &Look,
    found: Found,
    now: jiff::Timestamp,
) -> cluster::Result<(Found, Plan)> {
    let target = gather::inspect(ctx, known).await?;
    let found = Found { target, ..found };
    let plan = plan::plan(known, look, &found, &ctx.fingerprints, now);
    Ok((found, plan))
}

/// Writes the status where it differs; what only counts pods waits a while for more.
async fn write_status(
    ctx: &Context,
    known: &Known,
    plan: &Plan,
    applied: &Applied,
    now: jiff::Timestamp,
) -> cluster::Result<()> {
    let old = known.sync.status.as_ref();
    let new = status::build(known, plan, applied, |revision| ctx.delivery_of(&known.sync, revision), now);
    // Before the status, which may fail: it was done.
    if let Applied::Written(secret) = applied {
        tell_of_write(ctx, known, secret, &new);
    }
    let key = known.sync.key();
    if let Some(weight) = status::weight(old, &new)
        && let Some(wait) = ctx.paces.syncs.wait(&key, weight)
    {
        ctx.queues.syncs.add_after(key, Lane::Normal, wait);
        return Ok(());
    }
    ctx.paces.syncs.settled(&key);
    let written = ctx.cluster.patch_status(&*known.sync, old, &new).await?;
    if let Some(written) = written {
        ctx.caches.syncs.put(written);
    }
    for (reason, message) in status::warnings(old, &new) {
        tracing::warn!(sync = %known.sync.key(), %reason, message);
        let (caches, key) = (ctx.caches.clone(), known.sync.key());
        let stays = move || {
            let sync = caches.syncs.get(&key);
            sync.is_some_and(|sync| sync.status.as_ref().is_some_and(|status| has_reason(&status.conditions, reason)))
        };
        ctx.events.warn_if_it_stays(&*known.sync, reason, message, stays);
    }
    match new.version.filter(|version| old.and_then(|old| old.version) != Some(*version)) {
        Some(version) => {
            let note = format!("version {version} is in Secret {} ({})", look::target_name(&known.sync), trigger(&new));
            ctx.events.normal(&*known.sync, Reason::Synced, &format!("SyncVersion{version}"), &note);
        }
        None if !matches!(applied, Applied::Written(_)) && status::has_recovered(old, &new) => {
            tracing::info!(sync = %known.sync.key(), version = new.version, "in step again");
        }
        None => {}
    }
    Ok(())
}

fn tell_of_write(ctx: &Context, known: &Known, secret: &SecretMeta, new: &SpaceSecretSyncStatus) {
    let (version, trigger) = (new.version, trigger(new));
    ctx.count_write(trigger, known.sync.status.as_ref(), new);
    tracing::info!(sync = %known.sync.key(), version, trigger, secret = secret.name, "synced");
}

/// What made the sync look when it last brought something.
fn trigger(status: &SpaceSecretSyncStatus) -> &'static str {
    status.history.first().map_or("schedule", |record| record.trigger.as_str())
}

/// The sync has gone: so do its Secrets, each as its sync last said, unless the definition itself is going.
async fn farewell(ctx: &Arc<Context>, key: &Key) -> cluster::Result<Next> {
    ctx.paces.syncs.settled(key);
    let mut secrets = ctx.managed_by(key);
    secrets.retain(|secret| !secret.terminating);
    if secrets.is_empty() {
        return Ok(Next::OnChange);
    }
    let definition = definition(ctx).await?;
    let policy = ctx.last_words.of(key);
    for secret in secrets {
        let retain = policy.map_or(secret.retain, |policy| policy == DeletionPolicy::Retain);
        let secret = SecretMeta { retain, ..SecretMeta::clone(&secret) };
        // One that is newer than the Secret is another: the sync went with the old one, by an uninstall.
        if definition.is_some_and(|made| secret.created.is_none_or(|created| made <= created)) {
            apply::part_with(ctx, &secret).await?;
        }
    }
    Ok(Next::OnChange)
}

/// When the definition of the syncs was made; `None` while it is going. An uninstall deletes it, and every sync with it,
/// but flows keep their secrets then.
async fn definition(ctx: &Context) -> cluster::Result<Option<jiff::Timestamp>> {
    let name = "spacesecretsyncs.spacesync.dev";
    let definition = ctx.cluster.get_meta::<CustomResourceDefinition>(None, name).await?;
    let stays = definition.filter(|definition| definition.metadata.deletion_timestamp.is_none());
    Ok(stays.and_then(|definition| definition.metadata.creation_timestamp).map(|made| made.0))
}
