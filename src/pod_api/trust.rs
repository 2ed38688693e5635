//! What is served and what pods are to trust, kept in step with two Secrets of the operator's namespace: the authority
//! of our own, and a certificate that was given. Every replica reads them when they move, and only then; only the
//! leader changes the first, and whoever makes it first makes it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, RwLock},
    time::Duration,
};

use jiff::Timestamp;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::sync::watch;

use super::{
    authority::{Authority, Step},
    certificate::{self, Given, Names, Serving},
};
use crate::{
    cluster::{
        Cluster, Error,
        cache::{Item, Key},
        queue::Lane,
        secrets::{FullSecret, NewSecret, SecretMeta},
    },
    operator::{Context, permissions::MEND},
    resources::names::{MANAGED_BY, MANAGER},
};

/// The authority of our own. `tls.crt` and `tls.key` sign; `next.crt` and `next.key` will; `previous.crt` did.
const CA_SECRET: &str = "spacesync-api-ca";
/// The certificate that was given, as cert-manager writes it.
const GIVEN_SECRET: &str = "spacesync-api-tls";

/// An API server that is away, or a leader that is to act, is waited for.
const AGAIN: Duration = Duration::from_secs(5);
/// However far the next instant is: clocks are set.
const LOOK: Duration = Duration::from_hours(1);

/// What is served and what pods are to trust.
pub struct Trust {
    names: Names,
    bundle: watch::Sender<String>,
    serving: RwLock<Option<Arc<CertifiedKey>>>,
    known: Mutex<Known>,
}

/// What the Secrets hold.
#[derive(Default)]
struct Known {
    ca: Option<(SecretMeta, Option<Authority>)>,
    given: Option<FullSecret>,
    own: Option<Serving>,
    problem: Option<String>,
    note: Option<String>,
    forbidden: Option<String>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("names", &self.names).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Trust {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.serving.read().expect("no code panics while it holds the lock").clone()
    }
}

impl Trust {
    /// Nothing is served yet.
    pub fn new(names: Names) -> Self {
        Self { names, bundle: watch::Sender::default(), serving: RwLock::default(), known: Mutex::default() }
    }

    /// What pods are to trust, in PEM.
    pub fn bundle(&self) -> String {
        self.bundle.borrow().clone()
    }

    /// What keeps the API from being served.
    pub fn problem(&self) -> Option<String> {
        self.known().problem.clone()
    }

    /// What somebody should mend, though the API is served. Not what keeps a replica from being ready: it would be asked
    /// no more, and never learn that it was mended.
    pub fn notes(&self) -> Vec<String> {
        let known = self.known();
        [&known.note, &known.forbidden].into_iter().flatten().cloned().collect()
    }

    /// What the API server last said of our asking who a pod is: nothing, where we may.
    pub fn may_ask(&self, forbidden: Option<&str>) {
        let forbidden = forbidden.map(|why| format!("pods' API: nobody can be let in; {MEND}: {why}"));
        let mut known = self.known();
        if let Some(why) = forbidden.as_ref().filter(|_| known.forbidden.is_none()) {
            tracing::warn!("{why}");
        }
        known.forbidden = forbidden;
    }

    /// Reads both Secrets, and makes the authority where there is none.
    pub async fn load(&self, cluster: &Cluster, namespace: &str) -> Result<(), Error> {
        for _ in 0..3 {
            if let Some(secret) = cluster.get_secret(namespace, CA_SECRET).await? {
                let given = cluster.get_secret(namespace, GIVEN_SECRET).await?;
                let mut known = self.known();
                known.take_ca(secret);
                known.given = given;
                drop(known);
                self.assess(Timestamp::now());
                return Ok(());
            }
            match self.begin(cluster, namespace).await {
                // Another replica was faster.
                Ok(()) | Err(Error::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::NotFound)
    }

    async fn begin(&self, cluster: &Cluster, namespace: &str) -> Result<(), Error> {
        let authority = Authority::begin(Timestamp::now()).map_err(|error| Error::Invalid(error.to_string()))?;
        cluster.create_secret(&secret(namespace, &authority)).await.map(drop)
    }

    /// Decides what is served now, and says until when that holds.
    fn assess(&self, now: Timestamp) -> Timestamp {
        let mut known = self.known();
        let given = known.given.as_ref().map(|secret| certificate::given(&secret.data, &self.names, now));
        let own = known.own(&self.names, now);
        let note = match &given {
            Some(Err(why)) => Some(format!(
                "Secret {GIVEN_SECRET} cannot be used, and a certificate of the operator's own is served: {why}"
            )),
            _ => None,
        };
        if let Some(note) = note.as_ref().filter(|note| known.note.as_ref() != Some(note)) {
            tracing::warn!("{note}");
        }
        known.note = note;
        let given = given.and_then(Result::ok);
        let serving = given.as_ref().map(|given| &given.serving).or(own.as_ref()).cloned();
        known.problem = serving.is_none().then(|| {
            format!("pods' API: Secret {CA_SECRET} has no usable tls.crt and tls.key; delete it to have new ones made")
        });
        let bundle = known.bundle(given.as_ref());
        drop(known);
        *self.serving.write().expect("no code panics while it holds the lock") =
            serving.as_ref().map(|serving| serving.key.clone());
        // Where there is nothing to trust, pods keep what they have.
        if !bundle.is_empty() {
            self.bundle.send_if_modified(|last| {
                let moved = *last != bundle;
                *last = bundle;
                moved
            });
        }
        [given.map(|given| given.serving), own].into_iter().flatten().map(|serving| serving.renew).min().unwrap_or(now)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().expect("no code panics while it holds the lock")
    }

    /// Reads again what moved since it was read.
    async fn read_what_moved(&self, ctx: &Context, cluster: &Cluster) -> Result<(), Error> {
        let namespace = &ctx.settings.namespace;
        let version = |name: &str| {
            let there = ctx.caches.own_secrets.get(&Key::new(namespace, name));
            there.map(|secret| secret.resource_version.clone())
        };
        let (ca, given) = {
            let known = self.known();
            let ca = known.ca.as_ref().map(|(meta, _)| meta.resource_version.clone());
            (ca, known.given.as_ref().map(|secret| secret.meta.resource_version.clone()))
        };
        if version(CA_SECRET) != ca {
            // One that was deleted is made anew by the leader; until then everything stays as it is.
            match cluster.get_secret(namespace, CA_SECRET).await? {
                Some(secret) => self.known().take_ca(secret),
                None => self.begin(&ctx.cluster, namespace).await?,
            }
        }
        if version(GIVEN_SECRET) != given {
            let read = cluster.get_secret(namespace, GIVEN_SECRET).await?;
            self.known().given = read;
        }
        Ok(())
    }

    /// Does what is due of the authority. Only the leader may write; the others see what it wrote.
    async fn renew(&self, ctx: &Context, now: Timestamp) -> Result<Timestamp, Error> {
        let Some((meta, authority)) = self.known().ca.clone() else { return Ok(now) };
        let Some(authority) = authority else { return Ok(Timestamp::MAX) };
        let step = authority.step(now);
        if let Step::Rest(until) = step {
            return Ok(until);
        }
        let next = authority.after(step, now).map_err(|error| Error::Invalid(error.to_string()))?;
        let written = ctx.cluster.replace_secret(&secret(&ctx.settings.namespace, &next), &meta).await?;
        tracing::info!(?step, "the authority of the pods' API took a step");
        self.known().take(written, Some(next));
        Ok(now)
    }
}

impl Known {
    fn take_ca(&mut self, secret: FullSecret) {
        let authority = Authority::read(&secret.data);
        self.take(secret.meta, authority);
    }

    fn take(&mut self, meta: SecretMeta, authority: Option<Authority>) {
        let signs = |authority: &Option<Authority>| authority.as_ref().map(|authority| authority.signing().clone());
        // What another certificate signed is issued anew.
        if self.ca.as_ref().is_some_and(|(_, last)| signs(last) != signs(&authority)) {
            self.own = None;
        }
        self.ca = Some((meta, authority));
    }

    /// A certificate of our own, renewed where it is due.
    fn own(&mut self, names: &Names, now: Timestamp) -> Option<Serving> {
        if self.own.as_ref().is_none_or(|own| own.renew <= now) {
            let (_, authority) = self.ca.as_ref()?;
            let authority = authority.as_ref().filter(|authority| now < authority.ends());
            let issued = authority.map(|by| certificate::issue(by.signing(), by.ends(), names, now));
            match issued {
                Some(Ok(serving)) => self.own = Some(serving),
                Some(Err(error)) => tracing::error!(%error, "no certificate could be issued"),
                None => {}
            }
        }
        self.own.clone().filter(|own| now < own.until)
    }

    /// Both, so that the way from one to the other and back asks nothing of a pod.
    fn bundle(&self, given: Option<&Given>) -> String {
        let own = self.ca.as_ref().and_then(|(_, authority)| authority.as_ref()).map(Authority::bundle);
        [given.map(|given| given.ca.clone()), own].into_iter().flatten().collect()
    }
}

fn secret(namespace: &str, authority: &Authority) -> NewSecret {
    NewSecret {
        namespace: namespace.to_owned(),
        name: CA_SECRET.to_owned(),
        labels: BTreeMap::from([(MANAGED_BY.to_owned(), MANAGER.to_owned())]),
        annotations: BTreeMap::new(),
        data: authority.data(),
        type_: "kubernetes.io/tls".to_owned(),
        immutable: false,
    }
}

/// Keeps what is served in step, for good. `cluster` is one that may always be asked; what is written goes by
/// `ctx.cluster`, which lets only the leader through.
pub async fn keep(ctx: Arc<Context>, cluster: Cluster) {
    let mut changes = ctx.caches.own_secrets.changes();
    ctx.caches.own_secrets.completed().await;
    loop {
        changes.mark_unchanged();
        let before = ctx.trust.bundle();
        let next = match step(&ctx, &cluster).await {
            Ok(next) => next,
            Err(Error::NotLeader | Error::Conflict(_)) => AGAIN,
            Err(error) => {
                tracing::warn!(%error, "the certificate of the pods' API could not be looked after");
                AGAIN
            }
        };
        if ctx.trust.bundle() != before {
            tracing::info!("pods are to trust other certificates");
            for space in ctx.caches.spaces.all() {
                ctx.queues.spaces.add(space.key().name, Lane::Normal);
            }
        }
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep(next) => {}
        }
    }
}

/// Reads, renews and decides; says when to look again.
async fn step(ctx: &Context, cluster: &Cluster) -> Result<Duration, Error> {
    let now = Timestamp::now();
    let read = ctx.trust.read_what_moved(ctx, cluster).await;
    let renewed = ctx.trust.renew(ctx, now).await;
    let until = ctx.trust.assess(now);
    read?;
    let until = until.min(renewed?).max(now);
    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    Ok(left.clamp(Duration::from_secs(1), LOOK))
}
