//! The stage of the story: cluster, vault and operator; and how the story acts on it and looks at it.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use devcluster::{
    BaoClient, Cluster, Node,
    binaries::{self, Tool},
    up::{self, Part},
};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Secret};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
    runtime::wait::await_condition,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};
use spacesync::resources::SpaceSecretSync;

use crate::{
    Args, editor,
    operator::Running,
    pods::FlowPods,
    samples::Samples,
    stage::{self, SYSTEM, node_red, operator_image},
    story,
};

/// How long anything may take that comes by itself.
const LIMIT: Duration = Duration::from_mins(1);

/// Everything that the chapters work with.
pub struct World {
    began: Instant,
    pub cluster: Cluster,
    /// Where there are pods.
    pub node: Option<Node>,
    pub bao: BaoClient,
    pub client: Client,
    pub operator: Running,
    pub samples: Samples,
}

impl World {
    /// Brings everything up.
    pub async fn raise(args: &Args) -> Result<Self> {
        let began = Instant::now();
        let root = fs::metadata("/proc/self")?.uid() == 0;
        let pods = root && !args.no_pods;
        story::chapter("The stage");
        if !root {
            story::say("Not root: there will be no node, so no pods. You see everything up to the managed Secret.");
        }
        let binary = operator_binary()?;
        let images = prepare(pods, &binary)?;
        if devcluster::attach().is_some() {
            story::step("what an earlier run has left is ended", async { up::down() }).await?;
        }
        let program = std::env::current_exe().context("where is this program?")?;
        let cluster = if pods { Part::Node { images } } else { Part::Plane };
        let vault = Part::OpenBao { tls: true };
        for (what, part) in [(cluster.describe(), &cluster), ("OpenBao with TLS", &vault)] {
            story::step(&format!("{what} is up"), async { up::up(&program, part) }).await?;
        }
        let up = devcluster::attach().context("what came up went down at once")?;
        let cluster = up.cluster.context("there is no cluster")?;
        let bao = up.openbao.context("there is no vault")?;
        let operator = match up.node {
            Some(_) => Running::in_cluster(&cluster).await?,
            None => Running::on_host(&cluster, &binary).await?,
        };
        let samples = Samples::read(&cluster, &vault_address(&bao, up.node.as_ref()))?;
        let client = stage::client(&cluster).await?;
        Ok(Self { began, cluster, node: up.node, bao, client, operator, samples })
    }

    /// Objects of a namespace.
    pub fn api<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// A key's new value in the embedded store.
    pub async fn put_embedded(&self, path: &str, key: &str, value: &str) -> Result<()> {
        let body = json!({"stringData": {key: value}});
        let own = self.api::<Secret>(SYSTEM);
        own.patch(&format!("space-{path}"), &PatchParams::default(), &Patch::Merge(&body)).await?;
        Ok(())
    }

    /// Waits until the managed Secret `secrets` holds exactly these values.
    pub async fn until_secret(&self, namespace: &str, wanted: &BTreeMap<String, String>) -> Result<Secret> {
        let what = format!("holds {wanted:?}");
        let secrets = self.api::<Secret>(namespace);
        let holds = |secret: &Secret| values(secret) == *wanted;
        match until(secrets, "secrets", &what, |secret| format!("{:?}", values(secret)), holds).await {
            Ok(secret) => Ok(secret),
            Err(error) => {
                let sync = self.api::<SpaceSecretSync>(namespace).get_opt("secrets").await?;
                bail!("{error:#}\nThe status of its sync: {}", status(&sync))
            }
        }
    }

    /// What to try now.
    pub fn next(&self, pods: &FlowPods) {
        let dir = binaries::folder();
        println!("\nAll of it came true in {:.1} s, and it stays up. Next:\n", self.began.elapsed().as_secs_f64());
        editor::addresses(pods);
        println!("  export KUBECONFIG={} PATH={}:$PATH", self.cluster.kubeconfig().display(), dir.display());
        println!("  kubectl get spacesync -A");
        println!("  kubectl describe sss secrets -n newsroom-dev");
        println!(
            "  kubectl patch secret space-newsroom-dev -n {SYSTEM} -p '{{\"stringData\": {{\"MY_API_TOKEN\": \"mine\"}}}}'"
        );
        if self.node.is_some() {
            println!("  kubectl exec -n newsroom-dev deploy/ingest -- cat /var/run/spacesync/MY_API_TOKEN");
            println!("  kubectl logs -n newsroom-dev deploy/ingest");
        }
        println!("  kubectl annotate --overwrite sss secrets -n newsroom-prod \\");
        println!("    spacesync.dev/sync-requested=\"manual/$(date +%s%N)\"");
        for hint in self.operator.hints() {
            println!("  {hint}");
        }
        println!("  make down");
    }
}

/// What is fetched and built once, with its own progress; before anything is started, so that what is missing is said
/// first.
fn prepare(pods: bool, binary: &Path) -> Result<Vec<PathBuf>> {
    binaries::find(Tool::KubeApiserver)?;
    binaries::find(Tool::Bao)?;
    if !pods {
        return Ok(Vec::new());
    }
    binaries::find(Tool::Helm)?;
    binaries::find(Tool::KubeProxy)?;
    binaries::ensure_container_runtime()?;
    Ok(vec![node_red::image()?, operator_image::archive(binary)?])
}

/// As the operator reaches it: from a pod, this machine has another address.
fn vault_address(bao: &BaoClient, node: Option<&Node>) -> String {
    let host = node.map(|node| node.host_address().to_string());
    host.map_or_else(|| bao.url().to_owned(), |host| bao.url().replace("127.0.0.1", &host))
}

/// Examples stand in a folder beside the binaries of the same build.
fn operator_binary() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let binary = this.parent().and_then(|examples| examples.parent()).map(|target| target.join("spacesync"));
    match binary.filter(|binary| binary.exists()) {
        Some(binary) => Ok(binary),
        None => bail!("the operator is not built: run `make demo`, or `cargo build --bin spacesync --example demo`"),
    }
}

/// Waits until an object is as wanted. Where that takes too long, the error says how it was instead.
pub async fn until<K>(
    api: Api<K>,
    name: &str,
    wanted: &str,
    show: impl Fn(&K) -> String,
    holds: impl Fn(&K) -> bool,
) -> Result<K>
where
    K: Resource<DynamicType: Default> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let waiting = await_condition(api.clone(), name, |object: Option<&K>| object.is_some_and(&holds));
    if let Ok(Ok(Some(object))) = tokio::time::timeout(LIMIT, Box::pin(waiting)).await {
        return Ok(object);
    }
    let seen = api.get_opt(name).await?.map_or_else(|| "nothing of that name".to_owned(), |object| show(&object));
    let type_ = K::DynamicType::default();
    let kind = K::kind(&type_);
    bail!("{kind} {name}: expected that it {wanted} within {} s, seen {seen}", LIMIT.as_secs())
}

/// The status of an object, for people who ask why.
pub fn status<K: Serialize>(object: &K) -> String {
    let object = serde_json::to_value(object).unwrap_or_default();
    serde_json::to_string_pretty(&object["status"]).unwrap_or_default()
}

/// Whether a condition says `wanted`, such as `False/TargetConflict`.
pub fn says<K: Serialize>(object: &K, condition: &str, wanted: &str) -> bool {
    let object = serde_json::to_value(object).unwrap_or_default();
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    conditions
        .iter()
        .filter(|c| c["type"] == condition)
        .any(|c| wanted == format!("{}/{}", text(&c["status"]), text(&c["reason"])))
}

/// The values of a managed Secret as text, without the reserved entry.
pub fn values(secret: &Secret) -> BTreeMap<String, String> {
    let data = secret.data.clone().unwrap_or_default();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    data.into_iter().filter(|(key, _)| key != ".spacesync.json").map(|(key, value)| (key, text(value.0))).collect()
}
