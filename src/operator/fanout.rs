//! Who is to look when something changed: the only place that knows which object concerns which.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::Context;
use crate::{
    cluster::{
        cache::{Change, Item, Key},
        queue::Lane,
        secrets::{OwnObject, SecretMeta},
    },
    delivery::{
        concern,
        pod::PodView,
        restart,
        workload::{WorkloadKind, WorkloadMeta},
    },
    operator::caches::ObjectView,
    resources::{
        DeletionPolicy, FlowApp, SecretManager, Space, SpaceSecretSync, condition::find, flow_app::WorkloadRef,
    },
    store::embedded,
    sync::gather::entry_of,
};

/// What comes in numbers, such as the acknowledgements of many pods, is counted and written together.
pub const GATHER: Duration = Duration::from_millis(250);

/// Connects every cache with the queues. Called once, before the caches are watched.
pub fn connect(ctx: &Arc<Context>) {
    let caches = &ctx.caches;
    macro_rules! connect {
        ($cache:ident, $on:ident) => {{
            // Weak, for the context owns the caches.
            let ctx = Arc::downgrade(ctx);
            caches.$cache.listen(move |change| {
                if let Some(ctx) = ctx.upgrade() {
                    $on(&ctx, change);
                }
            });
        }};
    }
    connect!(managers, manager);
    connect!(spaces, space);
    connect!(syncs, sync);
    connect!(flow_apps, flow_app);
    connect!(managed, managed);
    connect!(own_secrets, own_secret);
    connect!(own_config_maps, own_config_map);
    connect!(api_config_maps, api_config_map);
    connect!(pods, pod);
    connect!(deployments, workload);
    connect!(stateful_sets, workload);
    connect!(namespaces, namespace);
}

/// Whether a field moved; true also when the object came or went.
fn moved<'a, T, F: PartialEq>(change: &'a Change<T>, field: impl Fn(&'a T) -> F) -> bool {
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => field(old) != field(new),
        _ => true,
    }
}

fn manager(ctx: &Context, change: &Change<SecretManager>) {
    // Its own status is of no interest to anybody.
    if moved(change, |manager| manager.metadata.generation) {
        ctx.queues.managers.add(change.key.name.clone(), Lane::Normal);
        for space in ctx.caches.spaces.all() {
            if space.spec.secret_manager_ref.name == change.key.name {
                ctx.queues.spaces.add(space.key().name, Lane::Normal);
                ctx.add_syncs(&space);
            }
        }
    }
}

fn space<'a>(ctx: &Context, change: &'a Change<Space>) {
    ctx.claims.moved(&change.key.name, change.old.as_deref(), change.new.as_deref());
    if let (Some(old), None) = (&change.old, &change.new) {
        ctx.book.forget(&entry_of(old));
    }
    let bound = |space: &'a Space| space.status.as_ref().map(|status| &status.namespaces);
    if !moved(change, |space| (space.metadata.generation, bound(space), &space.metadata.annotations)) {
        return;
    }
    ctx.queues.spaces.add(change.key.name.clone(), Lane::Normal);
    for space in [&change.old, &change.new].into_iter().flatten() {
        // Gathered: it looks at all of its Spaces, and of many that come together at all of them for each.
        ctx.queues.managers.add_after(space.spec.secret_manager_ref.name.clone(), Lane::Normal, GATHER);
        // Whoever claims the same namespace may have it now, or lose it.
        for namespace in &space.spec.namespaces {
            for claimant in ctx.claims.of(namespace) {
                ctx.queues.spaces.add(claimant, Lane::Normal);
            }
        }
        ctx.add_syncs(space);
    }
}

fn sync(ctx: &Context, change: &Change<SpaceSecretSync>) {
    let requested = |sync: &SpaceSecretSync| crate::sync::request::Request::pending(sync).map(|r| r.value);
    match (&change.old, &change.new) {
        (Some(gone), None) => remember_last_word(ctx, &change.key, gone),
        _ => ctx.last_words.forget(&change.key),
    }
    let urgent = change.old.is_none() || change.new.as_ref().is_some_and(|sync| requested(sync).is_some());
    if moved(change, |sync| (sync.metadata.generation, requested(sync), sync.metadata.uid.clone())) {
        ctx.queues.syncs.add(change.key.clone(), if urgent { Lane::Urgent } else { Lane::Normal });
    }
    // Which sync serves an app, and who has a target, depends on these alone.
    if moved(change, |sync| (sync.metadata.uid.clone(), sync.spec.target.clone(), sync.spec.flow_apps.clone())) {
        let namespace = &change.key.namespace;
        let selected = concern::apps_selected(change, &ctx.caches.flow_apps.in_namespace(namespace));
        // Gathered: of many that come together, each is looked at once more and not once for each other.
        for other in concern::syncs_beside(change, &selected, &ctx.caches.syncs.in_namespace(namespace)) {
            ctx.queues.syncs.add_after(other, Lane::Normal, GATHER);
        }
        for app in selected {
            ctx.queues.flow_apps.add(app.key(), Lane::Normal);
        }
    }
}

fn remember_last_word(ctx: &Context, key: &Key, sync: &SpaceSecretSync) {
    let policy = sync.spec.deletion_policy();
    let says_else = |secret: &Arc<SecretMeta>| secret.retain != (policy == DeletionPolicy::Retain);
    if ctx.managed_by(key).iter().any(says_else) {
        ctx.last_words.note(key, policy);
    }
}

fn flow_app(ctx: &Context, change: &Change<FlowApp>) {
    if moved(change, |app| (app.metadata.generation, app.metadata.uid.clone(), app.metadata.labels.clone())) {
        ctx.queues.flow_apps.add(change.key.clone(), Lane::Normal);
        let namespace = &change.key.namespace;
        let workload = |reference: &WorkloadRef| {
            let kind = WorkloadKind::parse(&reference.kind)?;
            ctx.caches.workloads(kind).get(&Key::new(namespace, &reference.name))
        };
        for other in concern::apps_beside(change, &ctx.caches.flow_apps.in_namespace(namespace), workload) {
            ctx.queues.flow_apps.add(other, Lane::Normal);
        }
        for sync in concern::syncs_of(change, &ctx.caches.syncs.in_namespace(namespace)) {
            ctx.queues.syncs.add_after(sync, Lane::Normal, GATHER);
        }
    }
    // What its pods have loaded, or will not load any more, stands in the status of the sync that serves it.
    let standing = |app: &FlowApp| {
        app.status.as_ref().map(|s| (s.sync.clone(), s.summary.clone(), loaded(&s.conditions), s.pod_revisions.clone()))
    };
    if moved(change, standing) {
        for app in [&change.old, &change.new].into_iter().flatten() {
            if let Some(sync) = app.status.as_ref().and_then(|status| status.sync.as_deref()) {
                ctx.queues.syncs.add_after(Key::new(&change.key.namespace, sync), Lane::Normal, GATHER);
            }
        }
    }
}

fn loaded(conditions: &[Condition]) -> Option<(String, String)> {
    find(conditions, "Loaded").map(|condition| (condition.status.clone(), condition.reason.clone()))
}

fn managed(ctx: &Context, change: &Change<SecretMeta>) {
    let namespace = &change.key.namespace;
    for secret in [&change.old, &change.new].into_iter().flatten() {
        if let Some(sync) = &secret.sync {
            let sync = Key::new(namespace, sync);
            if ctx.last_words.of(&sync).is_some() && ctx.managed_by(&sync).is_empty() {
                ctx.last_words.forget(&sync);
            }
            ctx.queues.syncs.add(sync, Lane::Normal);
        }
    }
    if moved(change, |secret| (secret.revision.clone(), secret.sync.clone())) {
        let (apps, syncs) = (ctx.caches.flow_apps.in_namespace(namespace), ctx.caches.syncs.in_namespace(namespace));
        let owners = [&change.old, &change.new].into_iter().flatten().filter_map(|secret| secret.sync.as_deref());
        for owner in owners.collect::<BTreeSet<_>>() {
            let Some(sync) = ctx.caches.syncs.get(&Key::new(namespace, owner)) else { continue };
            for app in concern::apps_served(&sync, &apps, &syncs) {
                ctx.queues.flow_apps.add(app, Lane::Urgent);
            }
        }
    }
}

fn own_secret(ctx: &Context, change: &Change<OwnObject>) {
    if let Some(path) = embedded::path_of(&change.key.name) {
        for name in ctx.claims.at(path).iter().map(String::as_str).chain([path]) {
            let space = ctx.caches.spaces.get(&Key::cluster(name));
            if let Some(space) = space.filter(|space| entry_of(space).path == path) {
                ctx.add_syncs(&space);
            }
        }
    }
    add_managers(ctx);
}

fn own_config_map(ctx: &Context, _: &Change<OwnObject>) {
    add_managers(ctx);
}

fn api_config_map(ctx: &Context, change: &Change<ObjectView>) {
    claimants(ctx, &change.key.namespace);
}

fn namespace(ctx: &Context, change: &Change<ObjectView>) {
    if moved(change, |namespace| (namespace.uid.clone(), namespace.terminating)) {
        claimants(ctx, &change.key.name);
    }
}

fn pod(ctx: &Context, change: &Change<PodView>) {
    let app = |pod: &PodView| pod.flow_app.clone();
    let named: BTreeSet<_> = [&change.old, &change.new].into_iter().flatten().map(|pod| app(pod)).collect();
    // Its revision is what we told it ourselves.
    let standing = |pod: &PodView| (pod.uid.clone(), pod.counts(), pod.loaded.clone(), pod.revision.clone());
    let is_counted = moved(change, standing);
    if !is_counted && !moved(change, |pod| (pod.ready, pod.runtime.clone(), pod.legacy_nodes)) {
        return;
    }
    // Trouble is told at once.
    let failed = change.new.as_ref().is_some_and(|pod| pod.loaded.as_ref().is_some_and(|ack| !ack.loaded));
    let after = if failed { Duration::ZERO } else { GATHER };
    for app in named {
        let app = Key::new(&change.key.namespace, &app);
        let served = ctx.caches.flow_apps.get(&app);
        ctx.queues.flow_apps.add(app, Lane::Normal);
        let sync = served.as_ref().and_then(|app| app.status.as_ref()?.sync.as_deref());
        if let Some(sync) = sync.filter(|_| is_counted) {
            ctx.queues.syncs.add_after(Key::new(&change.key.namespace, sync), Lane::Normal, after);
        }
    }
}

fn workload(ctx: &Context, change: &Change<WorkloadMeta>) {
    let is_another = moved(change, |workload| (workload.uid.clone(), workload.generation, workload.flow_app.clone()));
    // What else moves is its status, by which a rollout comes to its end.
    let rolled = change.new.as_ref().is_some_and(|workload| workload.restarted_for.is_some());
    if !is_another && !rolled {
        return;
    }
    let kind = change.new.as_ref().or(change.old.as_ref()).map(|workload| workload.kind);
    for app in ctx.caches.flow_apps.in_namespace(&change.key.namespace) {
        let reference = &app.spec.workload_ref;
        if reference.name != change.key.name || Some(reference.kind.as_str()) != kind.map(WorkloadKind::as_str) {
            continue;
        }
        if is_another {
            ctx.queues.flow_apps.add(app.key(), Lane::Normal);
        } else if ctx.budget.is_rolling(&app.key()) || restart::is_followed(&app) {
            ctx.queues.flow_apps.add_after(app.key(), Lane::Normal, GATHER);
        }
    }
}

fn add_managers(ctx: &Context) {
    for manager in ctx.caches.managers.all() {
        ctx.queues.managers.add(manager.key().name, Lane::Normal);
    }
}

fn claimants(ctx: &Context, namespace: &str) {
    for space in ctx.claims.of(namespace) {
        ctx.queues.spaces.add(space, Lane::Normal);
    }
}
