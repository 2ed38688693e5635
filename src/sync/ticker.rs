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

use super::{
    gather,
    rhythm::{FIRST_RETRY, Rhythm, Wish, Wishes},
    schedule::{self, Phase},
    wake,
};
use crate::{
    cluster::{cache::Item, queue::Lane},
    operator::Context,
    resources::{AutoSync, SpaceSecretSync},
    space::{self, binding},
    store::{Head, Store, StoreError, book::EntryId},
};

/// A store whose look panicked is looked at again after this.
const AFTER_PANIC: Duration = Duration::from_secs(5);

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
            stays && !task.is_finished()
        });
        for name in names {
            running.entry(name.clone()).or_insert_with(|| tasks.spawn(tick(ctx.clone(), name)));
        }
        tokio::select! {
            // The sender lives as long as the context.
            _ = changed.changed() => {}
            Some(Err(ended)) = tasks.join_next() => if ended.is_panic() {
                tracing::error!("a look at the heads of a store panicked");
                tokio::time::sleep(AFTER_PANIC).await;
            },
        }
    }
}

/// The entries of one store: each with its wish, and the syncs that read it.
struct Entries {
    ids: Vec<EntryId>,
    wishes: Wishes,
    syncs: Vec<Vec<Arc<SpaceSecretSync>>>,
}

async fn tick(ctx: Arc<Context>, manager: String) {
    let mut changed = ctx.stores.changes();
    let doubts = ctx.doubts.of(&manager);
    let mut number = ctx.stores.number(&manager);
    let mut rhythm = Rhythm::default();
    let mut doubted: Option<Instant> = None;
    loop {
        if doubted.is_some_and(|at| at <= Instant::now()) {
            rhythm.begin_anew();
            doubted = None;
        }
        let mut wait = Duration::from_mins(1);
        for (key, lane) in ctx.turnstile.forgotten(&manager) {
            ctx.queues.syncs.add(key, lane);
        }
        if space::manager::note_watch(&ctx, &manager) {
            ctx.queues.managers.add(manager.clone(), Lane::Normal);
        }
        if let Ok(store) = ctx.stores.get(&manager)
            && !matches!(store, Store::Kubernetes(_))
        {
            let (bulk, now) = (store.is_bulk(), Timestamp::now());
            let mut entries = entries_of(&ctx, &manager, &store);
            let due = rhythm.due(bulk, &entries.wishes, now);
            let answered =
                due.is_empty() || ask(&ctx, &manager, &store, &entries, &due, rhythm.is_failing(), now).await;
            rhythm.looked(answered, bulk, now);
            let was_bulk = bulk;
            let bulk = store.is_bulk();
            if bulk != was_bulk {
                // It told nothing in bulk: from now on each entry has an instant of its own.
                entries = entries_of(&ctx, &manager, &store);
            }
            // Before the store wants to be asked again it is asked for nothing.
            wait = rhythm.wait(bulk, &entries.wishes, Timestamp::now()).max(store.pause().unwrap_or_default());
            if !rhythm.is_failing() {
                wait = store.keep().await.map_or(wait, |due| wait.min(due));
            }
        }
        let wake = doubted.map_or(Instant::now() + wait, |at| at.min(Instant::now() + wait));
        tokio::select! {
            () = tokio::time::sleep_until(wake) => {}
            // A store that was made anew, with another credential perhaps, is asked at once.
            () = made_anew(&ctx, &manager, &mut changed, &mut number) => rhythm.begin_anew(),
            // A read failed for now: whoever else reads this store is told soon, and it is asked until it is back.
            () = doubts.notified(), if !rhythm.is_failing() && doubted.is_none() => {
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

fn entries_of(ctx: &Context, manager: &str, store: &Store) -> Entries {
    let mut by_id = BTreeMap::<EntryId, Vec<Arc<SpaceSecretSync>>>::new();
    for space in ctx.caches.spaces.all() {
        if space.spec.secret_manager_ref.name != manager {
            continue;
        }
        for namespace in &space.spec.namespaces {
            let held =
                binding::holder_of(ctx, namespace).is_some_and(|holder| holder.metadata.uid == space.metadata.uid);
            let syncs = if held { ctx.caches.syncs.in_namespace(namespace) } else { Vec::new() };
            if !syncs.is_empty() {
                by_id.entry(gather::entry_of(&space)).or_default().extend(syncs);
            }
        }
    }
    let wish = |(id, syncs): (&EntryId, &Vec<Arc<SpaceSecretSync>>)| {
        // Spaces that share an entry share its instant: the first one's.
        let phase = syncs.first().map_or(Phase::of(""), |sync| gather::phase_of(ctx, store, id, sync));
        let awake = syncs.iter().filter(|sync| !sync.spec.is_suspended());
        Wish { phase, schedules: awake.map(|sync| auto_sync(sync)).collect() }
    };
    let wishes = by_id.iter().map(wish).collect();
    let (ids, syncs) = by_id.into_iter().unzip();
    Entries { ids, wishes, syncs }
}

/// Its own schedule; but what has nothing yet, or says that its store fails, is looked at each minute.
fn auto_sync(sync: &SpaceSecretSync) -> AutoSync {
    let has_source = sync.status.as_ref().is_some_and(|status| status.source.is_some());
    if has_source && !wake::says_that_its_store_fails(sync) {
        sync.spec.effective_auto_sync()
    } else {
        AutoSync::Every1m
    }
}

/// Asks, notes what was heard, and wakes whom it concerns. Says whether the store as a whole answered.
async fn ask(
    ctx: &Arc<Context>,
    manager: &str,
    store: &Store,
    entries: &Entries,
    due: &[usize],
    was_failing: bool,
    now: Timestamp,
) -> bool {
    let (heads, outcome) = if store.is_bulk() {
        let (heads, outcome) = in_bulk(ctx, manager, store, entries, due).await;
        (heads, Word::Of(outcome))
    } else {
        one_by_one(ctx, manager, store, entries, due, was_failing).await
    };
    for (at, head) in heads {
        let (id, syncs) = (&entries.ids[at], &entries.syncs[at]);
        let news = ctx.book.note(id, head, now);
        let Some(known) = ctx.book.get(id) else { continue };
        for sync in syncs {
            let phase = || gather::phase_of(ctx, store, id, sync);
            let is_due = || schedule::may_act(sync.spec.effective_auto_sync(), phase(), &known, now);
            if news || wake::differs(sync, &known.head, is_due, || ctx.queues.syncs.tries_again(&sync.key())) {
                ctx.queues.syncs.add(sync.key(), Lane::Normal);
            }
        }
    }
    let outcome = match outcome {
        Word::Of(outcome) => outcome,
        word => return word == Word::None,
    };
    if outcome.is_err() {
        // Who waits to ask is told why there is no answer, instead of waiting for it by itself.
        for key in ctx.turnstile.waiting(manager) {
            ctx.queues.syncs.add(key, Lane::Normal);
        }
    }
    let answered = outcome.as_ref().err().is_none_or(|error| !error.is_passing());
    if ctx.reach.note(manager, outcome, Timestamp::now()) {
        ctx.queues.managers.add(manager.to_owned(), Lane::Normal);
    }
    answered
}

/// Entries by their place, each with its head or why there is none.
type Answers = Vec<(usize, Result<Head, StoreError>)>;

async fn in_bulk(
    ctx: &Context,
    manager: &str,
    store: &Store,
    entries: &Entries,
    due: &[usize],
) -> (Answers, Result<(), StoreError>) {
    let paths: Vec<_> = due.iter().map(|at| entries.ids[*at].path.clone()).collect();
    let heads = store.heads(&paths).await;
    ctx.count_store(manager, "heads", heads.as_ref().err());
    match heads {
        Ok(mut heads) => {
            for error in heads.values().filter_map(|head| head.as_ref().err()) {
                ctx.count_store(manager, "head", Some(error));
            }
            let mut head = |path: &String| heads.remove(path).unwrap_or(Err(StoreError::NotFound(path.clone())));
            (due.iter().zip(&paths).map(|(at, path)| (*at, head(path))).collect(), Ok(()))
        }
        Err(error) => (shared(due, &error), Err(error)),
    }
}

/// What heads tell of their store as a whole.
#[derive(Debug, PartialEq)]
enum Word {
    /// Nothing.
    None,
    /// That it may be away. One entry alone, which may fail by itself, does not say so.
    Doubt,
    /// Whether it answers.
    Of(Result<(), StoreError>),
}

/// Besides the heads, what they tell of the store.
async fn one_by_one(
    ctx: &Context,
    manager: &str,
    store: &Store,
    entries: &Entries,
    due: &[usize],
    was_failing: bool,
) -> (Answers, Word) {
    let ask = |at: usize| async move {
        let head = store.head(&entries.ids[at].path).await;
        ctx.count_store(manager, "head", head.as_ref().err());
        (at, head)
    };
    let (first, rest) = due.split_at(AT_ONCE.min(due.len()));
    let mut answers: Answers = stream::iter(first.to_vec()).map(ask).buffer_unordered(AT_ONCE).collect().await;
    if let Some(error) = common(&answers, StoreError::is_outage) {
        // The others would wait for their answers in vain, each for as long as a request may take. One entry that fails
        // by itself speaks for all only when another one failed before it.
        let speaks_for_all = was_failing || first.len() == AT_ONCE || due.len() == entries.ids.len();
        let everybody: Vec<_> = (0..entries.ids.len()).collect();
        return if speaks_for_all {
            (shared(&everybody, &error), Word::Of(Err(error)))
        } else {
            (answers, Word::Doubt)
        };
    }
    answers.extend(stream::iter(rest.to_vec()).map(ask).buffer_unordered(AT_ONCE).collect::<Answers>().await);
    // An entry that is missing is an answer. That some are forbidden says nothing of the others.
    let outcome = match common(&answers, |error| !error.is_of_entry()) {
        None => Word::Of(Ok(())),
        Some(error) if due.len() == entries.ids.len() => Word::Of(Err(error)),
        Some(_) => Word::None,
    };
    (answers, outcome)
}

/// The first error, where all met one of this kind.
fn common(answers: &Answers, kind: impl Fn(&StoreError) -> bool) -> Option<StoreError> {
    let met = |(_, head): &(usize, Result<Head, StoreError>)| head.as_ref().is_err_and(&kind);
    answers.iter().all(met).then(|| answers.first()?.1.as_ref().err().cloned()).flatten()
}

fn shared(entries: &[usize], error: &StoreError) -> Answers {
    entries.iter().map(|at| (*at, Err(error.clone()))).collect()
}
