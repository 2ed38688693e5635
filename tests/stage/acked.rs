//! A flow app of the operator's: how long a change takes until every pod has acknowledged it, and until the sync says so.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, stream::BoxStream, try_join};
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Pod, PodCondition, Secret},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use spacesync::resources::{FlowApp, SpaceSecretSync, SpaceSecretSyncStatus, condition::find, names};

use super::{
    SYSTEM, objects,
    pods::{self, PodRef},
    runtime::Runtime,
};

/// Its sync is `secrets`, its flow app `app`.
pub const NAMESPACE: &str = "flows";
const KEY: &str = "MY_API_TOKEN";
/// Generous: a round that is late is to be told by its time, and not to end the run.
const LIMIT: Duration = Duration::from_secs(30);

/// Running pods that have acknowledged what they began with.
pub struct Acked {
    runtime: Runtime,
    client: Client,
    pods: Vec<PodRef>,
    /// The space's. Each change adds one.
    version: u64,
}

/// How long one change took, from the write to the embedded store on.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Until the last pod was begun to be told, by the time on its signal.
    pub told: Duration,
    /// Until the last pod says that it has loaded it.
    pub acked: Duration,
    /// Until the sync says so of all.
    pub delivered: Duration,
}

impl Acked {
    /// Brings it up.
    pub async fn raise(client: Client, runtime: Runtime, limit: Duration) -> Result<Self> {
        objects::apply(&client, &objects_of(&runtime)).await?;
        objects::injected(&client, NAMESPACE, limit).await?;
        let pods = pods::running(&client, NAMESPACE, runtime.pods, limit).await?;
        let mut acked = Self { runtime, client, pods, version: 0 };
        acked.version = acked.delivered_to(runtime.pods, limit).await?;
        Ok(acked)
    }

    /// What its flows read.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// One change. Flows are asked after it: what was acknowledged is what they read.
    pub async fn round(&mut self) -> Result<Round> {
        let version = self.version + 1;
        let pods = Watch::<Pod>::open(&self.client, Some(pods::SELECTOR)).await?;
        let syncs = Watch::<SpaceSecretSync>::open(&self.client, None).await?;
        let loaded = pods.until(all_have_loaded(&self.pods, version));
        let delivered = syncs.until(|sync| {
            sync.status.as_ref().is_some_and(|status| status.version == Some(version) && is_delivered(status))
        });
        let (began, at) = (Instant::now(), jiff::Timestamp::now());
        let write = self.write(format!("value-{version}"));
        let ((), acked, delivered) =
            try_join!(write, loaded, delivered).with_context(|| format!("version {version}"))?;
        self.version = version;
        self.runtime.reads(&self.pods, version)?;
        let told = self.last_told().await?.duration_since(at).try_into().unwrap_or_default();
        Ok(Round { told, acked: acked.duration_since(began), delivered: delivered.duration_since(began) })
    }

    /// Waits until the flow app says so too: `Loaded`, and how many of its pods have.
    pub async fn is_loaded(&self) -> Result<()> {
        let (apps, began) = (Api::<FlowApp>::namespaced(self.client.clone(), NAMESPACE), Instant::now());
        let wanted = (Some("True"), Some(format!("{0}/{0}", self.runtime.pods)));
        loop {
            let status = apps.get("app").await?.status.unwrap_or_default();
            let loaded = find(&status.conditions, "Loaded").map(|condition| condition.status.as_str());
            if (loaded, status.summary.clone()) == wanted {
                return Ok(());
            }
            ensure!(began.elapsed() < LIMIT, "the flow app does not say that it is loaded: {status:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// One of its pods, and the revision that the sync brought last.
    pub async fn sample(&self) -> Result<(PodRef, String)> {
        let syncs: Api<SpaceSecretSync> = Api::namespaced(self.client.clone(), NAMESPACE);
        let revision = syncs.get("secrets").await?.status.and_then(|status| status.revision);
        Ok((self.pods.first().context("no pod")?.clone(), revision.context("no revision")?))
    }

    /// The same pods as at first, never restarted.
    pub async fn is_unharmed(&self) -> Result<()> {
        let now = pods::list(&self.client, NAMESPACE).await?;
        ensure!(now == self.pods, "pods were restarted: at first {:?}, now {now:?}", self.pods);
        Ok(())
    }

    async fn last_told(&self) -> Result<jiff::Timestamp> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let pods = api.list(&ListParams::default().labels(pods::SELECTOR)).await?;
        let at = |pod: &Pod| pod.annotations().get(names::SIGNAL)?.split_once('/')?.1.parse::<i64>().ok();
        let last = pods.iter().filter_map(at).max().context("no pod was told")?;
        Ok(jiff::Timestamp::from_millisecond(last)?)
    }

    async fn write(&self, value: String) -> Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), SYSTEM);
        let body = json!({"stringData": {KEY: value}});
        secrets.patch(&format!("space-{NAMESPACE}"), &PatchParams::default(), &Patch::Merge(&body)).await?;
        Ok(())
    }

    /// Waits until what the sync brought is delivered to so many pods; says which version that is.
    pub async fn delivered_to(&self, count: usize, limit: Duration) -> Result<u64> {
        let (syncs, began) = (Api::<SpaceSecretSync>::namespaced(self.client.clone(), NAMESPACE), Instant::now());
        loop {
            let status = syncs.get("secrets").await?.status.unwrap_or_default();
            let pods = status.delivery.as_ref().map_or(0, |delivery| delivery.pods);
            if pods == count && is_delivered(&status) {
                return status.version.context("it is delivered, and of no version");
            }
            if began.elapsed() > limit {
                bail!("not delivered after {limit:?}: {:?} {:?}", status.delivery, status.conditions);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The flow app before its Deployment: then its pods start once, with the volume.
fn objects_of(runtime: &Runtime) -> Vec<Json> {
    let mut objects = (runtime.objects)(NAMESPACE, runtime.pods);
    objects.splice(1..1, objects::served(NAMESPACE));
    objects.extend(objects::bound(NAMESPACE, KEY, "value-1"));
    objects
}

/// True once each of them has been seen with that version loaded.
fn all_have_loaded(pods: &[PodRef], version: u64) -> impl FnMut(&Pod) -> bool {
    let mut missing: BTreeSet<String> = pods.iter().map(|pod| pod.name.clone()).collect();
    let prefix = format!("{version}-");
    move |pod: &Pod| {
        let is_ack = |condition: &PodCondition| {
            condition.type_ == names::LOADED
                && condition.status == "True"
                && condition.message.as_ref().is_some_and(|revision| revision.starts_with(&prefix))
        };
        if pod.status.iter().flat_map(|status| status.conditions.iter().flatten()).any(is_ack) {
            missing.remove(&pod.name_any());
        }
        missing.is_empty()
    }
}

fn is_delivered(status: &SpaceSecretSyncStatus) -> bool {
    find(&status.conditions, "Delivered").is_some_and(|condition| condition.status == "True")
}

/// A watch that is open before the change.
struct Watch<K>(BoxStream<'static, kube::Result<WatchEvent<K>>>);

impl<K> Watch<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    async fn open(client: &Client, label: Option<&str>) -> Result<Self> {
        let api: Api<K> = Api::namespaced(client.clone(), NAMESPACE);
        let version = api.list_metadata(&ListParams::default().limit(1)).await?.metadata.resource_version;
        let params = WatchParams { label_selector: label.map(str::to_owned), ..WatchParams::default() };
        Ok(Self(api.watch(&params, &version.context("no resourceVersion")?).await?.boxed()))
    }

    /// When it was seen.
    async fn until(mut self, mut seen: impl FnMut(&K) -> bool) -> Result<Instant> {
        let looking = async {
            while let Some(event) = self.0.next().await {
                if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event?
                    && seen(&object)
                {
                    return Ok(Instant::now());
                }
            }
            bail!("the watch ended")
        };
        tokio::time::timeout(LIMIT, looking).await.with_context(|| format!("not within {LIMIT:?}"))?
    }
}
