//! All that is read for one sync: first what is known anyway, then what the plan says must be asked.

use std::sync::Arc;

use super::{
    build,
    look::{self, Look},
    request::Request,
    schedule::Phase,
};
use crate::{
    cluster::{self, cache::Key, secrets::FullSecret, secrets::SecretMeta},
    operator::Context,
    resources::{Space, SpaceSecretSync, Trigger, condition::Verdict},
    secret::Snapshot,
    space::binding,
    store::{
        Head, Store, StoreError,
        book::{self, EntryId},
    },
};

/// What is known of a sync without asking anybody.
#[derive(Clone, Debug)]
pub struct Known {
    /// The sync.
    pub sync: Arc<SpaceSecretSync>,
    /// The space that its namespace belongs to.
    pub space: Option<Arc<Space>>,
    /// Whether the `SecretManager` that the space names exists.
    pub manager_exists: bool,
    /// What keeps its store from being used.
    pub no_store: Option<Verdict>,
    /// Its entry in the store.
    pub entry: EntryId,
    /// The last head of the entry.
    pub head: Option<book::Known>,
    /// Where in its interval the sync is due.
    pub phase: Phase,
    /// A request that has not been dealt with.
    pub request: Option<Request>,
    /// The managed Secret by its metadata.
    pub target: Option<Arc<SecretMeta>>,
    /// Other Secrets that carry this sync's label, from an earlier `target.name`.
    pub strays: Vec<Arc<SecretMeta>>,
    /// The older sync that has the same target.
    pub taken_by: Option<String>,
}

/// What the store said, as far as it was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// It was not asked.
    NotAsked,
    /// Its head is the one that was read last.
    Unmoved,
    /// The entry was read.
    Read(Box<Snapshot>),
    /// It did not answer with what was asked.
    Failed(StoreError),
}

/// The Secret of the target's name, whosever it is.
#[derive(Debug)]
pub enum Target {
    /// It was not looked at.
    NotAsked,
    /// There is none.
    Absent,
    /// It is this.
    There(Box<FullSecret>),
}

impl Target {
    /// The Secret, if one was seen.
    pub fn there(&self) -> Option<&FullSecret> {
        match self {
            Self::There(secret) => Some(secret),
            Self::NotAsked | Self::Absent => None,
        }
    }
}

impl From<Option<FullSecret>> for Target {
    fn from(read: Option<FullSecret>) -> Self {
        read.map_or(Self::Absent, |secret| Self::There(Box::new(secret)))
    }
}

/// What was found by asking.
#[derive(Debug)]
pub struct Found {
    /// What the store said.
    pub source: Source,
    /// What is there already.
    pub target: Target,
    /// What made us ask.
    pub trigger: Option<Trigger>,
}

impl Found {
    fn nothing() -> Self {
        Self { source: Source::NotAsked, target: Target::NotAsked, trigger: None }
    }
}

/// What the caches know. Costs no request.
pub fn known(ctx: &Context, sync: Arc<SpaceSecretSync>) -> (Known, Option<Store>) {
    let namespace = sync.metadata.namespace.clone().unwrap_or_default();
    let name = sync.metadata.name.clone().unwrap_or_default();
    let target_name = sync.spec.target_name(&name).to_owned();
    let space = binding::holder_of(ctx, &namespace);
    let entry = space.as_deref().map(entry_of).unwrap_or_default();
    let store = ctx.stores.get(&entry.manager);
    // The watch is the embedded store's announcement; the book keeps since when it has been so.
    if let Ok(Store::Kubernetes(embedded)) = &store {
        ctx.book.note(&entry, embedded.head(&entry.path), jiff::Timestamp::now());
    }
    let mut strays: Vec<_> = ctx.caches.managed.in_namespace(&namespace);
    strays.retain(|secret| secret.sync.as_deref() == Some(&name) && secret.name != target_name);
    let target = ctx.caches.managed.get(&Key::new(&namespace, &target_name));
    let known = Known {
        phase: store.as_ref().map_or(Phase::of(""), |store| phase_of(ctx, store, &entry, &sync)),
        head: ctx.book.get(&entry),
        manager_exists: ctx.caches.managers.get(&Key::cluster(&entry.manager)).is_some(),
        request: Request::pending(&sync),
        target: target.filter(|secret| secret.sync.as_deref() == Some(&name)),
        strays,
        taken_by: look::taken_by(&sync, &ctx.caches.syncs.in_namespace(&namespace)),
        sync,
        space,
        no_store: store.as_ref().err().cloned(),
        entry,
    };
    (known, store.ok())
}

/// The entry of a space.
pub fn entry_of(space: &Space) -> EntryId {
    let name = space.metadata.name.clone().unwrap_or_default();
    EntryId { manager: space.spec.secret_manager_ref.name.clone(), path: space.spec.path.clone().unwrap_or(name) }
}

/// Where a sync is due in its interval: by the `SecretManager` where one request tells all heads, else by the space.
pub fn phase_of(ctx: &Context, store: &Store, entry: &EntryId, sync: &SpaceSecretSync) -> Phase {
    let uid = if store.is_bulk() {
        ctx.caches.managers.get(&Key::cluster(&entry.manager)).and_then(|manager| manager.metadata.uid.clone())
    } else {
        let namespace = sync.metadata.namespace.as_deref().unwrap_or_default();
        binding::holder_of(ctx, namespace).and_then(|space| space.metadata.uid.clone())
    };
    Phase::of(&uid.unwrap_or_default())
}

/// Asks what the plan wants to know.
pub async fn ask(ctx: &Context, known: &Known, store: Option<&Store>, look: &Look) -> cluster::Result<Found> {
    let Some(store) = store else { return Ok(Found::nothing()) };
    match look {
        Look::Rest | Look::Wait | Look::Stop(_) => Ok(Found::nothing()),
        Look::Ask(trigger) => {
            let source = if_moved(ctx, known, store).await;
            let target = match &source {
                Source::Read(_) => target(ctx, known).await?,
                _ => Target::NotAsked,
            };
            Ok(Found { source, target, trigger: Some(*trigger) })
        }
        Look::Read(trigger) => {
            let (source, target) = tokio::join!(read(ctx, known, store), target(ctx, known));
            Ok(Found { source, target: target?, trigger: Some(*trigger) })
        }
        Look::Inspect => {
            let target = inspect(ctx, known).await?;
            if build::is_as_written(known, target.there(), &ctx.fingerprints)
                && !build::is_untold(known, target.there())
            {
                return Ok(Found { source: Source::NotAsked, target, trigger: None });
            }
            let source = read(ctx, known, store).await;
            Ok(Found { source, target, trigger: Some(Trigger::Drift) })
        }
    }
}

/// The Secret of the target's name, whosever it is.
pub async fn inspect(ctx: &Context, known: &Known) -> cluster::Result<Target> {
    let namespace = known.sync.metadata.namespace.as_deref().unwrap_or_default();
    ctx.cluster.get_secret(namespace, look::target_name(&known.sync)).await.map(Target::from)
}

/// The managed Secret, where there is one by the cache: what it holds tells which keys changed. Where there is none,
/// creating it tells whether a foreign one is there, for one request less.
async fn target(ctx: &Context, known: &Known) -> cluster::Result<Target> {
    match known.target {
        Some(_) => inspect(ctx, known).await,
        None => Ok(Target::NotAsked),
    }
}

async fn read(ctx: &Context, known: &Known, store: &Store) -> Source {
    let space = known.space.as_ref().and_then(|space| space.metadata.name.clone()).unwrap_or_default();
    let read = store.read(&space, &known.entry.path).await;
    let now = jiff::Timestamp::now();
    ctx.count_asked(&known.entry.manager, "read", read.as_ref().err());
    match read {
        Ok(snapshot) => {
            ctx.book.note(&known.entry, Ok(snapshot.head.clone()), now);
            Source::Read(Box::new(snapshot))
        }
        Err(error) => Source::Failed(error),
    }
}

/// A request bypasses what is known, and reads only when the entry moved.
async fn if_moved(ctx: &Context, known: &Known, store: &Store) -> Source {
    // The watch may be a moment behind whoever asks right after a change, and a read costs what a head would.
    if matches!(store, Store::Kubernetes(_)) {
        return read(ctx, known, store).await;
    }
    let head = store.head(&known.entry.path).await;
    ctx.count_asked(&known.entry.manager, "head", head.as_ref().err());
    ctx.book.note(&known.entry, head.clone(), jiff::Timestamp::now());
    match head {
        Ok(head) if head.is_gone() => Source::Failed(StoreError::Deleted(known.entry.path.clone())),
        Ok(head) if Some(&head) == recorded_head(known) => Source::Unmoved,
        Ok(_) => read(ctx, known, store).await,
        Err(error) => Source::Failed(error),
    }
}

/// The head at which the managed Secret's content was read.
fn recorded_head(known: &Known) -> Option<&Head> {
    look::recorded(known).map(|source| &source.head)
}
