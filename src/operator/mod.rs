//! Wiring: caches and their fan-out, the lease, telemetry, shutdown.

pub mod caches;
pub mod context;
pub mod events;
mod fanout;
mod keys;
pub mod lease;
pub mod memory;
pub mod metrics;
pub mod pace;
pub mod permissions;
pub mod scope;
mod slim;
mod standing;
pub mod telemetry;

use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use kube::Config;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
    task::JoinSet,
};

pub use context::Context;

use self::{
    caches::Caches,
    context::{Claims, Doubts, Paces, Queues, Settings, Stores},
    events::Events,
    lease::Lead,
    metrics::{Controller, LookLabels, LookResult, Metrics},
    permissions::Permissions,
    scope::Scope,
};
use crate::{
    cli::OperatorArgs,
    cluster::{
        Cluster,
        cache::{Item, Key},
        queue::{Lane, Next},
    },
    delivery::{self, restart::budget::Budget},
    pod_api::{
        PodApi,
        certificate::Names,
        server::{self, Server},
        trust::{self, Trust},
    },
    resources::reason::Retry,
    space::{self, reach::Reach, rush::Rush},
    store::book::Book,
    sync,
};

/// How many objects of a kind are looked at together. Each waits mostly for the API server or a store.
const WORKERS: usize = 16;

/// So few that the syncs, whose secrets flows wait for, come first where both have much to write: a namespace is its
/// space's by what the specs say, and its status tells it afterwards.
const SPACE_WORKERS: usize = 4;

/// More than one store lets in at a time (`sync::turnstile`), so that one which hangs leaves some for the others.
const SYNC_WORKERS: usize = 32;

/// The longest that one look may take. Every call in it has its own, shorter deadline.
const LOOK: Duration = Duration::from_mins(1);

/// Runs the operator until SIGTERM or Ctrl-C.
pub async fn run(args: OperatorArgs) -> anyhow::Result<()> {
    telemetry::init_logging(args.log_format);
    let scope = Scope::of(&args.watch_namespaces, &args.namespace).map_err(anyhow::Error::msg)?;
    let config =
        Config::infer().await.context("no cluster: neither a pod's service account nor a usable KUBECONFIG")?;
    let refused = Arc::<Notify>::default();
    let free = Cluster::new(&config, Arc::new(|| true))?.with_bell(refused.clone());
    let metrics = Arc::new(Metrics::default());
    let caches = Arc::new(Caches::default());
    let settings = settings(&args, &scope);
    let names = Names::new(&settings.api_url, &settings.namespace).context("--api-url names no host")?;
    let trust = Arc::new(Trust::new(names));
    let permissions = Arc::<Permissions>::default();
    let (seen, may) = ((caches.clone(), metrics.clone(), trust.clone()), permissions.clone());
    let _served = telemetry::serve(args.metrics_listen, seen.0, seen.1, seen.2, may).await?;
    let listener = server::bind(args.api_listen).await?;
    let mut asking = JoinSet::new();
    let asks = Cluster::new(&config, Arc::new(|| true))?;
    asking.spawn(permissions.watch(asks, settings.clone(), caches.clone(), refused.clone()));
    let lead = Lead::start(free.clone(), &args.namespace);
    let may_write = {
        let lead = lead.clone();
        Arc::new(move || lead.may_write())
    };
    let cluster = Cluster::new(&config, may_write.clone())?.with_bell(refused);
    let mut stop = std::pin::pin!(stop_signal()?);
    let ctx = tokio::select! {
        () = &mut stop => {
            lead.release().await;
            return Ok(());
        }
        ctx = context(settings, &free, cluster, caches, metrics, trust, may_write) => ctx,
    };
    fanout::connect(&ctx);
    let _watches = ctx.caches.watch(ctx.cluster.client(), &args.namespace, &scope);
    let mut server = Server::start(listener, PodApi::new(ctx.clone(), free.clone()));
    tracing::info!(namespace = args.namespace, serves = %scope, "started");
    tokio::select! {
        () = &mut stop => {}
        () = terms(&ctx, &lead) => {}
        () = trust::keep(ctx.clone(), free) => {}
        // A replica that does not serve is no replica: the next is started in its place.
        () = server.ended() => bail!("the pods' API is no longer served"),
    }
    tracing::info!("stopping");
    tokio::join!(lead.release(), server.stop());
    Ok(())
}

/// Leads whenever the lease is ours. A term that ends drops every worker where it stands.
async fn terms(ctx: &Arc<Context>, lead: &Lead) {
    ctx.caches.complete().await;
    lead.ready();
    loop {
        lead.acquired().await;
        ctx.metrics.leader.set(1);
        tracing::info!("leading");
        let mut tasks = JoinSet::new();
        tokio::select! {
            () = lead.lost() => tracing::warn!("the lease is lost; standing by"),
            () = term(ctx, &mut tasks) => {}
        }
        // Their own workers may end a moment later, and do nothing to the queues of the next term then.
        tasks.shutdown().await;
        ctx.metrics.leader.set(0);
        ctx.reach.rest();
    }
}

async fn term(ctx: &Arc<Context>, tasks: &mut JoinSet<()>) {
    ctx.book.clear();
    space::manager::begin(ctx);
    ctx.budget.begin(delivery::rolling(ctx));
    let names = |list: Vec<Key>| list.into_iter().map(|key| key.name).collect::<Vec<_>>();
    let (queues, caches) = (&ctx.queues, &ctx.caches);
    let managers = names(caches.managers.all().iter().map(|manager| manager.key()).collect());
    let look =
        looker(ctx, Controller::secret_manager, |ctx, name: String| async move { look_at_manager(&ctx, &name).await });
    tasks.spawn(queues.managers.clone().run(WORKERS, managers, look));
    let spaces = names(caches.spaces.all().iter().map(|space| space.key()).collect());
    let look =
        looker(ctx, Controller::space, |ctx, name: String| async move { space::controller::look(&ctx, &name).await });
    tasks.spawn(queues.spaces.clone().run(SPACE_WORKERS, spaces, look));
    let look = looker(ctx, Controller::sync, |ctx, key: Key| async move { sync::controller::look(&ctx, &key).await });
    tasks.spawn(queues.syncs.clone().run(SYNC_WORKERS, all_syncs(caches), look));
    let look =
        looker(ctx, Controller::flow_app, |ctx, key: Key| async move { delivery::controller::look(&ctx, &key).await });
    let apps = caches.flow_apps.all().iter().map(|app| app.key()).chain(delivery::orphans(ctx)).collect::<Vec<_>>();
    tasks.spawn(queues.flow_apps.clone().run(WORKERS, apps, look));
    tasks.spawn(sync::ticker::run(ctx.clone()));
    // None of them ends by itself.
    while let Some(ended) = tasks.join_next().await {
        ended.expect("what ends a term from outside ends this too");
    }
}

/// Every sync there is, and every one that a managed Secret remembers: what went while nobody led is swept up.
fn all_syncs(caches: &Caches) -> BTreeSet<Key> {
    let remembered = caches.managed.all().into_iter();
    let remembered = remembered.filter_map(|secret| Some(Key::new(&secret.namespace, secret.sync.as_deref()?)));
    caches.syncs.all().iter().map(|sync| sync.key()).chain(remembered).collect()
}

/// A store that was made anew wakes the syncs that read it.
async fn look_at_manager(ctx: &Arc<Context>, name: &str) -> Next {
    let before = *ctx.stores.changes().borrow();
    let next = space::manager::look(ctx, name).await;
    if before != *ctx.stores.changes().borrow() {
        for space in ctx.caches.spaces.all() {
            if space.spec.secret_manager_ref.name == name {
                ctx.add_syncs(&space);
            }
        }
    }
    next
}

/// One look with a deadline, counted.
fn looker<K, F, Fut>(
    ctx: &Arc<Context>,
    controller: Controller,
    look: F,
) -> impl Fn(K, Lane) -> LookFuture + use<K, F, Fut>
where
    K: Send + 'static,
    F: Fn(Arc<Context>, K) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Next> + Send + 'static,
{
    let ctx = ctx.clone();
    move |key, _| {
        let looking = look(ctx.clone(), key);
        let metrics = ctx.metrics.clone();
        Box::pin(async move {
            let start = std::time::Instant::now();
            let next = tokio::time::timeout(LOOK, looking).await.unwrap_or(Next::Failed(AFTER_TIMEOUT));
            let result = if matches!(next, Next::Failed(_)) { LookResult::failed } else { LookResult::ok };
            let took = metrics.look_seconds.get_or_create(&LookLabels { controller, result });
            took.observe(start.elapsed().as_secs_f64());
            next
        })
    }
}

type LookFuture = std::pin::Pin<Box<dyn Future<Output = Next> + Send>>;

const AFTER_TIMEOUT: Retry = Retry::Backoff(Duration::from_secs(1), Duration::from_secs(30));

/// Everything that a term needs. Waits for the API server as long as it takes, and says what it waits for.
async fn context(
    settings: Settings,
    free: &Cluster,
    cluster: Cluster,
    caches: Arc<Caches>,
    metrics: Arc<Metrics>,
    trust: Arc<Trust>,
    may_write: Arc<dyn Fn() -> bool + Send + Sync>,
) -> Arc<Context> {
    let fingerprints = patiently(&caches, async || keys::fingerprint_key(free, &settings.namespace).await).await;
    patiently(&caches, async || {
        let loaded = trust.load(free, &settings.namespace).await;
        loaded.context("read the certificates of the pods' API")
    })
    .await;
    Arc::new(Context {
        budget: Budget::new(settings.rollouts_at_once),
        settings,
        events: Events::start(cluster.client().clone(), may_write),
        cluster,
        caches,
        queues: Queues::default(),
        paces: Paces::default(),
        claims: Claims::default(),
        fingerprints,
        stores: Stores::default(),
        book: Book::default(),
        trust,
        reach: Reach::new(&metrics),
        doubts: Doubts::default(),
        turnstile: Arc::default(),
        last_words: sync::last_words::LastWords::default(),
        rush: Rush::default(),
        metrics,
    })
}

fn settings(args: &OperatorArgs, scope: &Scope) -> Settings {
    let service = || format!("https://spacesync.{}.svc:8443", args.namespace);
    let api_url = args.api_url.as_ref().map_or_else(service, |url| url.as_str().trim_end_matches('/').to_owned());
    let rollouts_at_once = usize::from(args.rollouts_at_once);
    Settings { namespace: args.namespace.clone(), scope: scope.clone(), api_url, rollouts_at_once }
}

async fn patiently<T>(caches: &Caches, attempt: impl AsyncFn() -> anyhow::Result<T>) -> T {
    let mut pause = Duration::from_millis(250);
    loop {
        match attempt().await {
            Ok(value) => {
                caches.hold_up(None);
                return value;
            }
            Err(error) => {
                tracing::warn!("not started yet: {error:#}");
                caches.hold_up(Some(format!("not started yet: {error:#}")));
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(10));
    }
}

/// Ends with the first SIGTERM or Ctrl-C.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
