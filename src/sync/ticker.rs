//! Looks at the heads of all entries when their syncs are due: one request a minute where heads come in bulk.
//!
//! In an unchanged world nothing else happens: no sync is woken, nothing is written, no value is read.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use super::{gather, schedule};
use crate::{
    cluster::{cache::Item, queue::Lane},
    operator::Context,
    resources::{AutoSync, Reason, SpaceSecretSync, SpaceSecretSyncStatus, condition::find},
    space::binding,
    store::{Head, Store, StoreError, book::EntryId},
};

/// A store that failed as a whole is asked again after 2 s, then after twice as long, up to the minute of the schedule.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_mins(1);

/// Where heads come one by one, instants closer together than this are looked at together.
const GRAIN: Duration = Duration::from_millis(500);

/// How many heads of one store are asked for at once; the store's own `limits` come on top.
const AT_ONCE: usize = 16;

/// Ticks for every `SecretManager`, until it is dropped. Each has a task of its own, so that one that hangs delays no
/// other.
pub async fn run(ctx: Arc<Context>) {
    let mut tasks = JoinSet::new();
    let mut running: HashMap<String, AbortHandle> = HashMap::new();
    let mut changed = ctx.stores.changes();
    loop {
        let names = ctx.stores.names();
        running.retain(|name, task| {
            let stays = names.contains(name);
            if !stays {
                task.abort();
            }
            stays
        });
        for name in names {
            running.entry(name.clone()).or_insert_with(|| tasks.spawn(tick(ctx.clone(), name)));
        }
        // The sender lives as long as the context.
        let _ = changed.changed().await;
    }
}

/// The entries of one store, and the syncs that read each.
type Entries = BTreeMap<EntryId, Vec<Arc<SpaceSecretSync>>>;

async fn tick(ctx: Arc<Context>, manager: String) {
    let mut changed = ctx.stores.changes();
    let doubts = ctx.doubts.of(&manager);
    let mut number = ctx.stores.number(&manager);
    let mut asked: Option<Timestamp> = None;
    let mut doubted: Option<Instant> = None;
    let mut failures = 0;
    loop {
        let now = Timestamp::now();
        if doubted.is_some_and(|at| at <= Instant::now()) {
            (asked, doubted) = (None, None);
        }
        let mut wait = LAST_RETRY;
        if let Ok(store) = ctx.stores.get(&manager)
            && !matches!(store, Store::Kubernetes(_))
        {
            let entries = entries(&ctx, &manager);
            let due = due(&ctx, &store, &entries, asked.filter(|_| failures == 0), now);
            if !due.is_empty() {
                let answered = ask(&ctx, &manager, &store, &entries, &due, now).await;
                failures = if answered { 0 } else { failures + 1 };
            }
            asked = Some(now);
            wait = if failures > 0 { retry_after(failures) } else { until_next(&ctx, &store, &entries) };
            // Before the store wants to be asked again it is asked for nothing.
            wait = wait.max(store.pause().unwrap_or_default());
            if failures == 0 {
                wait = store.keep().await.map_or(wait, |due| wait.min(due));
            }
        }
        let wake = doubted.map_or(Instant::now() + wait, |at| at.min(Instant::now() + wait));
        tokio::select! {
            () = tokio::time::sleep_until(wake) => {}
            // A store that was made anew, with another credential perhaps, is asked at once.
            () = made_anew(&ctx, &manager, &mut changed, &mut number) => (asked, failures) = (None, 0),
            // A read failed for now: whoever else reads this store is told soon, and it is asked until it is back.
            () = doubts.notified(), if failures == 0 && doubted.is_none() => {
                doubted = Some(Instant::now() + FIRST_RETRY);
            }
        }
    }
}

/// Waits until the store of this `SecretManager` is another one; those of others do not matter.
async fn made_anew(ctx: &Context, manager: &str, changed: &mut watch::Receiver<u64>, number: &mut Option<u64>) {
    while ctx.stores.number(manager) == *number {
        // The sender lives as long as the context.
        let _ = changed.changed().await;
    }
    *number = ctx.stores.number(manager);
}

fn retry_after(failures: u32) -> Duration {
    FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LAST_RETRY)
}

fn entries(ctx: &Context, manager: &str) -> Entries {
    let mut entries = Entries::new();
    for space in ctx.caches.spaces.all() {
        if space.spec.secret_manager_ref.name != manager {
            continue;
        }
        for namespace in &space.spec.namespaces {
            let held =
                binding::holder_of(ctx, namespace).is_some_and(|holder| holder.metadata.uid == space.metadata.uid);
            let syncs = if held { ctx.caches.syncs.in_namespace(namespace) } else { Vec::new() };
            if !syncs.is_empty() {
                entries.entry(gather::entry_of(&space)).or_default().extend(syncs);
            }
        }
    }
    entries
}

/// Entries with a sync whose due instant lies between the last look and now; all of them at the first look.
fn due(ctx: &Context, store: &Store, entries: &Entries, asked: Option<Timestamp>, now: Timestamp) -> Vec<EntryId> {
    let is_due = |id: &EntryId, sync: &SpaceSecretSync| {
        let schedule = auto_sync(sync);
        let phase = gather::phase_of(ctx, store, id, sync);
        !sync.spec.is_suspended()
            && schedule::last_due(schedule, phase, now).is_some_and(|at| asked.is_none_or(|asked| at > asked))
    };
    let due = entries.iter().filter(|(id, syncs)| syncs.iter().any(|sync| is_due(id, sync)));
    due.map(|(id, _)| id.clone()).collect()
}

/// Its own schedule; but what has nothing yet, or says that its store fails, is looked at each minute.
fn auto_sync(sync: &SpaceSecretSync) -> AutoSync {
    let is_unsettled = |status: &SpaceSecretSyncStatus| status.source.is_none() || says_that_its_store_fails(status);
    if sync.status.as_ref().is_none_or(is_unsettled) { AutoSync::Every1m } else { sync.spec.effective_auto_sync() }
}

fn says_that_its_store_fails(status: &SpaceSecretSyncStatus) -> bool {
    let synced = find(&status.conditions, "Synced").filter(|condition| condition.status == "False");
    synced.and_then(|condition| Reason::parse(&condition.reason)).is_some_and(Reason::is_of_source)
}

fn until_next(ctx: &Context, store: &Store, entries: &Entries) -> Duration {
    let now = Timestamp::now();
    // In bulk all have one phase, so one sync tells the minute.
    let one_each = entries.iter().filter_map(|(id, syncs)| syncs.first().map(|sync| (id, sync)));
    let waits = one_each
        .take(if store.is_bulk() { 1 } else { usize::MAX })
        .filter_map(|(id, sync)| schedule::until_next(AutoSync::Every1m, gather::phase_of(ctx, store, id, sync), now));
    let grain = if store.is_bulk() { Duration::from_millis(1) } else { GRAIN };
    // A sync that is new within the minute is found at the next instant after it.
    waits.min().unwrap_or(Duration::from_secs(1)).clamp(grain, LAST_RETRY)
}

/// Asks, notes what was heard, and wakes whom it concerns. Says whether the store answered at all.
async fn ask(
    ctx: &Arc<Context>,
    manager: &str,
    store: &Store,
    entries: &Entries,
    due: &[EntryId],
    now: Timestamp,
) -> bool {
    let (heads, outcome) = if store.is_bulk() {
        in_bulk(ctx, manager, store, due).await
    } else {
        one_by_one(ctx, manager, store, due).await
    };
    for (id, head) in heads {
        let Some(syncs) = entries.get(&id) else { continue };
        let news = ctx.book.note(&id, head.clone(), now);
        for sync in syncs.iter().filter(|sync| news || differs(sync, &head)) {
            ctx.queues.syncs.add(sync.key(), Lane::Normal);
        }
    }
    let answered = outcome.is_ok();
    if ctx.reach.note(manager, outcome, Timestamp::now()) {
        ctx.queues.managers.add(manager.to_owned(), Lane::Normal);
    }
    answered
}

type Answers = Vec<(EntryId, Result<Head, StoreError>)>;

async fn in_bulk(ctx: &Context, manager: &str, store: &Store, due: &[EntryId]) -> (Answers, Result<(), StoreError>) {
    let paths: Vec<_> = due.iter().map(|id| id.path.clone()).collect();
    let heads = store.heads(&paths).await;
    ctx.count_store(manager, "heads", heads.as_ref().err());
    match heads {
        Ok(mut heads) => {
            for error in heads.values().filter_map(|head| head.as_ref().err()) {
                ctx.count_store(manager, "head", Some(error));
            }
            let mut head = |id: &EntryId| heads.remove(&id.path).unwrap_or(Err(StoreError::NotFound(id.path.clone())));
            (due.iter().map(|id| (id.clone(), head(id))).collect(), Ok(()))
        }
        Err(error) => (due.iter().map(|id| (id.clone(), Err(error.clone()))).collect(), Err(error)),
    }
}

async fn one_by_one(ctx: &Context, manager: &str, store: &Store, due: &[EntryId]) -> (Answers, Result<(), StoreError>) {
    let ask = |id: EntryId| async move {
        let head = store.head(&id.path).await;
        ctx.count_store(manager, "head", head.as_ref().err());
        (id, head)
    };
    let answers: Answers = stream::iter(due.to_vec()).map(ask).buffer_unordered(AT_ONCE).collect().await;
    // An entry that is missing or forbidden is an answer; only a store that gave no answer to anybody is away.
    let answered = answers.iter().any(|(_, head)| head.as_ref().err().is_none_or(StoreError::is_of_entry));
    let error = answers.iter().find_map(|(_, head)| head.as_ref().err()).cloned();
    let outcome = if answered { Ok(()) } else { error.map_or(Ok(()), Err) };
    (answers, outcome)
}

/// Whether a sync has something to do about a head that is no news.
fn differs(sync: &SpaceSecretSync, head: &Result<Head, StoreError>) -> bool {
    let source = sync.status.as_ref().and_then(|status| status.source.as_ref());
    head.as_ref().is_ok_and(|head| source.is_none_or(|source| source.head != *head))
}
