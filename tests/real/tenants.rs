//! What a tenant may write, and that none of it reaches another space's secrets.
//!
//! The tenant is a user with the role `edit` in its own namespace, and nothing else. The walk sets every field that the
//! generated definitions have, and every label and annotation that means something to us, to every name that another
//! tenant's things have.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
};

use futures::{StreamExt, future::join_all, stream};
use k8s_openapi::api::{
    apps::v1::Deployment,
    authorization::v1::SelfSubjectAccessReview,
    core::v1::{ConfigMap, Namespace, Secret, ServiceAccount},
    rbac::v1::RoleBinding,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
    runtime::{WatchStreamExt, watcher},
};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use spacesync::resources::{FlowApp, Space, SpaceSecretSync, crds, space::BindingState};

use crate::{
    scan::{Canary, channel_of, leaks, name_of, objects},
    tenant::{PATIENCE, Tenant, condition, merge, until, values},
    workload::{app_condition, template},
    world::{SYSTEM, World},
};

/// Requests at once.
const AT_ONCE: usize = 12;

/// Fields of other people's operators, that ours must not have.
const TEMPTING: [&str; 8] = [
    "space",
    "namespace",
    "path",
    "secretManagerRef.name",
    "target.namespace",
    "workloadRef.namespace",
    "source.path",
    "spaceRef.namespace",
];

/// Two tenants: one whose secrets are wanted, and one that wants them.
struct Stage {
    other: Tenant<'static>,
    theirs: Canary,
    tenant: Tenant<'static>,
    mine: Canary,
    /// The tenant's own client.
    editor: Client,
}

impl Stage {
    async fn set() -> Self {
        let (theirs, mine) = (Canary::new(), Canary::new());
        let other = World::shared().tenant(&[("A", &theirs.text())]).await;
        other.sync_named("crown", json!({"target": {"name": "crown-jewels"}})).await;
        other.workload::<Deployment>("crown-work", template()).await;
        let reference = json!({"version": "5.3.0", "workloadRef": {"kind": "Deployment", "name": "crown-work"}});
        other.flow_app("crown-app", reference).await;
        // Its pods are counted a moment later.
        until(other.api::<FlowApp>(), "crown-app", "in order", |app| {
            app_condition(app, "Ready") == "True/Ready" && app_condition(app, "Loaded") == "True/NoPods"
        })
        .await;
        until(other.api::<SpaceSecretSync>(), "crown", "in order", |sync| {
            condition(sync, "Ready") == "True/Synced" && condition(sync, "Delivered") == "True/NoPods"
        })
        .await;

        let tenant = World::shared().tenant(&[("A", &mine.text())]).await;
        let editor = editor(&tenant).await;
        let stage = Self { other, theirs, tenant, mine, editor };
        stage.sent(sync("own", &json!({}))).await.expect("a tenant may have a sync");
        stage.until_own("").await;
        stage
    }

    /// Creates an object as the tenant does; gives the status code of a refusal.
    async fn sent(&self, object: Json) -> Result<(), u16> {
        create(&self.editor, &self.tenant.name, object).await
    }

    /// The control: what the tenant may have does arrive.
    async fn until_own(&self, suffix: &str) {
        let own = format!("{}{suffix}", self.mine.text());
        until(self.tenant.api::<Secret>(), "own", "it holds the tenant's own value", |s| values(s)["A"] == own).await;
    }

    /// All that names what is the other's.
    async fn hostile(&self) -> Vec<String> {
        let other = &self.other.name;
        let crown = self.other.api::<SpaceSecretSync>().get("crown").await.unwrap();
        let url = format!("{}/api/v1/namespaces/{SYSTEM}/secrets/space-{other}", World::shared().plane.url());
        vec![
            other.clone(),
            format!("space-{other}"),
            SYSTEM.to_owned(),
            "crown".to_owned(),
            "crown-jewels".to_owned(),
            "crown-app".to_owned(),
            crown.status.unwrap().revision.unwrap(),
            crown.metadata.uid.unwrap(),
            format!("{SYSTEM}/space-{other}"),
            format!("../../{SYSTEM}/secrets/space-{other}"),
            format!("secret/data/spaces/{other}"),
            format!("/var/run/spacesync/../../{other}"),
            url,
        ]
    }

    /// Everything of the other tenant, by resourceVersion.
    async fn of_the_other(&self) -> BTreeMap<String, String> {
        let admin = &self.other.client;
        let mut all = objects(admin, Some(&self.other.name)).await;
        all.retain(|object| object.types.as_ref().is_none_or(|types| types.kind != "Event"));
        let mut versions: BTreeMap<_, _> =
            all.iter().map(|object| (name_of(object), object.resource_version().unwrap_or_default())).collect();
        let space = Api::<Space>::all(admin.clone()).get(&self.other.name).await.unwrap();
        let entry = self.other.own().get(&format!("space-{}", self.other.name)).await.unwrap();
        let namespace = Api::<Namespace>::all(admin.clone()).get(&self.other.name).await.unwrap();
        versions.insert("the Space".into(), space.resource_version().unwrap_or_default());
        versions.insert("the entry".into(), entry.resource_version().unwrap_or_default());
        versions.insert("the Namespace".into(), namespace.resource_version().unwrap_or_default());
        versions
    }
}

/// A user with the role `edit` in a tenant's namespace, as an admin gives it.
async fn editor(tenant: &Tenant<'_>) -> Client {
    let user = format!("editor@{}", tenant.name);
    let body = json!({
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    tenant.apply(&tenant.api::<RoleBinding>(), "editors", body).await;
    let client = tenant.world.client_as(Some(&user)).await;
    let began = std::time::Instant::now();
    // Our part is aggregated into `edit` by a controller, and nothing tells when the authorizer has seen it.
    while !may(&client, &tenant.name, "create", "spacesecretsyncs").await {
        assert!(began.elapsed() < PATIENCE, "`edit` does not let a tenant make syncs");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // Pods need it.
    until(tenant.api::<ServiceAccount>(), "default", "it is there", |_| true).await;
    client
}

async fn may(client: &Client, namespace: &str, verb: &str, resource: &str) -> bool {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let attributes = json!({
        "group": "spacesync.dev", "resource": resource, "subresource": subresource, "verb": verb, "namespace": namespace,
    });
    let review = serde_json::from_value(json!({"spec": {"resourceAttributes": attributes}})).unwrap();
    let review: SelfSubjectAccessReview =
        Api::all(client.clone()).create(&PostParams::default(), &review).await.unwrap();
    review.status.unwrap().allowed
}

async fn create(client: &Client, namespace: &str, object: Json) -> Result<(), u16> {
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource_of(&object));
    let object = serde_json::from_value(object).expect("an object");
    code(api.create(&PostParams::default(), &object).await.map(drop))
}

/// The status code of a refusal. Anything else that goes wrong is none.
fn code<T>(answer: kube::Result<T>) -> Result<T, u16> {
    answer.map_err(|error| match error {
        kube::Error::Api(status) if (400..500).contains(&status.code) => status.code,
        other => panic!("neither accepted nor refused: {other}"),
    })
}

fn resource_of(object: &Json) -> ApiResource {
    let text = |field: &str| object[field].as_str().expect("every object has a kind").to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind))
}

fn object(api_version: &str, kind: &str, name: &str, body: Json) -> Json {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    merge(&mut object, body);
    object
}

fn sync(name: &str, spec: &Json) -> Json {
    object("spacesync.dev/v1alpha1", "SpaceSecretSync", name, json!({"spec": spec}))
}

/// A sync that has every field.
fn whole_sync(name: &str) -> Json {
    let selector = json!({
        "matchLabels": {"team": "a"},
        "matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}],
    });
    let spec = json!({
        "autoSync": "1m", "suspend": false, "flowApps": {"selector": selector},
        "keys": {"include": ["*"], "exclude": ["NONE"]},
        "target": {"name": name, "deletionPolicy": "Delete", "type": "Opaque", "labels": {"team": "a"},
                   "annotations": {"team": "a"}},
        "onSourceGone": "Retain",
    });
    sync(name, &spec)
}

/// A FlowApp that has every field.
fn whole_app(name: &str) -> Json {
    let spec = json!({
        "version": "5.3.0", "workloadRef": {"kind": "Deployment", "name": name}, "container": "node-red",
        "mountPath": "/var/run/spacesync", "reload": "Hot", "syncOnSave": true,
    });
    object("spacesync.dev/v1alpha1", "FlowApp", name, json!({"spec": spec}))
}

fn secret(name: &str) -> Json {
    object("v1", "Secret", name, json!({"stringData": {"A": "the tenant's own"}}))
}

fn config_map(name: &str) -> Json {
    object("v1", "ConfigMap", name, json!({"data": {"url": "https://the.tenant.example"}}))
}

fn pod(name: &str) -> Json {
    let containers = json!([{"name": "node-red", "image": "node-red:5"}]);
    object("v1", "Pod", name, json!({"spec": {"containers": containers, "automountServiceAccountToken": false}}))
}

/// Paused, so that no controller has work with it.
fn deployment(name: &str) -> Json {
    let selector = json!({"matchLabels": {"app": "ingest"}});
    let spec = json!({"replicas": 0, "paused": true, "selector": selector, "template": template()});
    object("apps/v1", "Deployment", name, json!({"spec": spec}))
}

/// A field of a definition. A list's item is `[]` in its path, a map's key and value are `{key}` and `{value}`.
#[derive(Clone, Debug)]
struct Leaf {
    path: Vec<String>,
    text: bool,
}

fn leaves(schema: &Json, path: &[String]) -> Vec<Leaf> {
    let below = |step: &str| [path, &[step.to_owned()]].concat();
    if let Some(fields) = schema["properties"].as_object() {
        return fields.iter().flat_map(|(name, field)| leaves(field, &below(name))).collect();
    }
    if schema["items"].is_object() {
        return leaves(&schema["items"], &below("[]"));
    }
    if schema["additionalProperties"].is_object() {
        return ["{key}", "{value}"].map(|step| Leaf { path: below(step), text: true }).into();
    }
    vec![Leaf { path: path.to_vec(), text: schema["type"] == "string" }]
}

/// The leaves of `spec` or `status` of one of our kinds, from the definition that is installed.
fn leaves_of(kind: &str, part: &str) -> Vec<Leaf> {
    let definition = crds().into_iter().find(|crd| crd.spec.names.kind == kind).expect("one of our kinds");
    let schema = json!(definition.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema);
    leaves(&schema["properties"][part], &[part.to_owned()])
}

fn set(object: &mut Json, path: &[String], value: &str) {
    match path {
        [] => *object = value.into(),
        [step, ..] if step == "{key}" => *object = json!({value: "a"}),
        [step, ..] if step == "{value}" => *object = json!({"team": value}),
        [step, rest @ ..] if step == "[]" => {
            if !object.is_array() {
                *object = json!([{}]);
            }
            set(&mut object[0], rest, value);
        }
        [step, rest @ ..] => {
            if !object.is_object() {
                *object = json!({});
            }
            set(&mut object[step.as_str()], rest, value);
        }
    }
}

/// Every label and annotation that means something to us, from the file where each stands once.
fn our_names() -> Vec<&'static str> {
    let text = include_str!("../../src/resources/names.rs");
    let quoted = text.lines().filter(|line| line.starts_with("pub const")).filter_map(|line| line.split('"').nth(1));
    quoted.filter(|name| name.contains('/') && !name.starts_with('/')).collect()
}

/// One object, and what is hostile about it.
struct Attempt {
    what: String,
    object: Json,
}

/// What is tried with one value.
struct Round<'v> {
    number: usize,
    value: &'v str,
    attempts: Vec<Attempt>,
}

impl<'v> Round<'v> {
    fn new(number: usize, value: &'v str) -> Self {
        let mut round = Self { number, value, attempts: Vec::new() };
        round.fields("SpaceSecretSync", whole_sync);
        round.fields("FlowApp", whole_app);
        round.marks("SpaceSecretSync", whole_sync);
        round.marks("Secret", secret);
        for make in [whole_app, config_map, pod, deployment] {
            round.all_marks(make);
        }
        round.all_marks(whole_sync);
        round.all_marks(secret);
        round.template_marks();
        round
    }

    /// The name is of the round, so that it is told apart and goes with it.
    fn add(&mut self, what: &str, make: impl Fn(&str) -> Json, change: impl Fn(&mut Json, &str)) {
        let name = format!("r{}-{}", self.number, self.attempts.len());
        let mut object = make(&name);
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        merge(&mut object, json!({"metadata": {"labels": {"round": self.number.to_string()}}}));
        change(&mut object, self.value);
        self.attempts.push(Attempt { what: format!("{kind} {what}"), object });
    }

    /// Each field of `spec`, fields that there are not, all of `status`, and who the object is.
    fn fields(&mut self, kind: &str, make: fn(&str) -> Json) {
        for leaf in leaves_of(kind, "spec") {
            self.add(&leaf.path.join("."), make, |object, value| set(object, &leaf.path, value));
        }
        for field in TEMPTING {
            let path: Vec<_> = format!("spec.{field}").split('.').map(str::to_owned).collect();
            self.add(&format!("{} (no field)", path.join(".")), make, |object, value| set(object, &path, value));
        }
        let status: Vec<_> = leaves_of(kind, "status").into_iter().filter(|leaf| leaf.text).collect();
        self.add("status, whole", make, |object, value| {
            for leaf in &status {
                set(object, &leaf.path, value);
            }
        });
        self.add("metadata.name", make, |object, value| object["metadata"]["name"] = value.into());
        self.add("metadata.namespace", make, |object, value| object["metadata"]["namespace"] = value.into());
    }

    /// Each of our labels and annotations by itself.
    fn marks(&mut self, kind: &str, make: fn(&str) -> Json) {
        debug_assert_eq!(make("x")["kind"], kind);
        for name in our_names() {
            for place in ["labels", "annotations"] {
                self.add(&format!("{place}[{name}]"), make, |object, value| {
                    object["metadata"][place][name] = value.into();
                });
            }
        }
    }

    /// All of our labels, and all of our annotations, at once.
    fn all_marks(&mut self, make: fn(&str) -> Json) {
        for place in ["labels", "annotations"] {
            self.add(&format!("all {place}"), make, |object, value| {
                for name in our_names() {
                    object["metadata"][place][name] = value.into();
                }
            });
        }
    }

    fn template_marks(&mut self) {
        for place in ["labels", "annotations"] {
            self.add(&format!("template, all {place}"), deployment, |object, value| {
                for name in our_names() {
                    object["spec"]["template"]["metadata"][place][name] = value.into();
                }
            });
        }
    }
}

/// How many of what were tried.
#[derive(Default)]
struct Tally {
    accepted: BTreeMap<String, usize>,
    refused: BTreeMap<String, usize>,
}

impl Tally {
    fn count(&mut self, attempt: &Attempt, answer: Result<(), u16>) {
        let side = if answer.is_ok() { &mut self.accepted } else { &mut self.refused };
        *side.entry(attempt.what.clone()).or_default() += 1;
    }

    fn totals(&self) -> (usize, usize) {
        (self.accepted.values().sum(), self.refused.values().sum())
    }
}

/// Every version that a kind's objects of a namespace have, as it comes.
fn watch<K>(api: Api<K>) -> Arc<Mutex<Vec<Json>>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + serde::Serialize + Send + 'static,
{
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = seen.clone();
    tokio::spawn(async move {
        let mut objects = std::pin::pin!(watcher(api, watcher::Config::default()).touched_objects());
        while let Some(object) = objects.next().await {
            if let Ok(object) = object {
                into.lock().unwrap().push(json!(object));
            }
        }
    });
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn no_field_label_or_annotation_that_a_tenant_writes_reaches_another_spaces_secrets() {
    let stage = Stage::set().await;
    let (secrets, config_maps) = (watch(stage.tenant.api::<Secret>()), watch(stage.tenant.api::<ConfigMap>()));
    let before = stage.of_the_other().await;
    let mut tally = Tally::default();
    for (number, value) in stage.hostile().await.iter().enumerate() {
        try_all(&stage, &Round::new(number, value), &mut tally).await;
        let suffix = format!("-{number}");
        stage.tenant.entry(&[("A", &format!("{}{suffix}", stage.mine.text()))]).await;
        stage.until_own(&suffix).await;
        scan(&stage, value).await;
        clear(&stage, number).await;
    }
    let (accepted, refused) = tally.totals();
    let never = tally.refused.keys().filter(|what| !tally.accepted.contains_key(*what)).cloned().collect::<Vec<_>>();
    println!("{accepted} objects were accepted, {refused} refused; always refused: {}", never.join(", "));
    assert!(accepted > 500 && refused > 200, "{accepted} accepted, {refused} refused");
    assert_eq!(stage.of_the_other().await, before);
    for seen in [secrets, config_maps] {
        let seen = seen.lock().unwrap();
        println!("{} versions were watched", seen.len());
        for object in seen.iter() {
            assert_eq!(stage.theirs.find(&object.to_string()), None);
        }
    }
}

/// Sends all of a round, and waits until the operator has looked at what was accepted.
async fn try_all(stage: &Stage, round: &Round<'_>, tally: &mut Tally) {
    // Flow apps find their workloads there.
    let apps = round.attempts.iter().filter(|attempt| attempt.object["kind"] == "FlowApp");
    let names = apps.filter_map(|attempt| attempt.object["spec"]["workloadRef"]["name"].as_str());
    let mut workloads: Vec<_> = names.filter(|name| name.starts_with('r')).map(deployment).collect();
    for workload in &mut workloads {
        merge(workload, json!({"metadata": {"labels": {"round": round.number.to_string()}}}));
    }
    let sends = stream::iter(workloads).map(|workload| stage.sent(workload)).buffer_unordered(AT_ONCE);
    sends.for_each(|answer| async move { answer.expect("a tenant may have workloads") }).await;

    let sends = round.attempts.iter().map(|attempt| async move { (attempt, stage.sent(attempt.object.clone()).await) });
    let answers: Vec<_> = stream::iter(sends).buffer_unordered(AT_ONCE).collect().await;
    let mut looked = Vec::new();
    for (attempt, answer) in answers {
        tally.count(attempt, answer);
        let kind = attempt.object["kind"].as_str().unwrap_or_default();
        if answer.is_ok() && ["SpaceSecretSync", "FlowApp"].contains(&kind) {
            looked.push(attempt);
        }
    }
    join_all(looked.into_iter().map(|attempt| until_looked_at(stage, attempt))).await;
}

async fn until_looked_at(stage: &Stage, attempt: &Attempt) {
    let api = Api::<DynamicObject>::namespaced_with(
        stage.tenant.client.clone(),
        &stage.tenant.name,
        &resource_of(&attempt.object),
    );
    let name = attempt.object["metadata"]["name"].as_str().unwrap_or_default();
    // The status that the tenant wrote has not come through, so this is the operator's.
    let said = |object: &DynamicObject| object.data["status"]["observedGeneration"].as_i64().is_some();
    let object = tokio::time::timeout(
        PATIENCE,
        kube::runtime::wait::await_condition(api, name, |object: Option<&DynamicObject>| object.is_some_and(said)),
    )
    .await;
    assert!(matches!(object, Ok(Ok(_))), "nobody looked at {} {name}: {object:?}", attempt.what);
}

async fn scan(stage: &Stage, value: &str) {
    let channels: Vec<_> =
        objects(&stage.tenant.client, Some(&stage.tenant.name)).await.iter().map(channel_of).collect();
    assert_eq!(leaks(&stage.theirs, &channels), "", "with {value:?}");
    let mine = leaks(&stage.mine, &channels);
    assert!(mine.contains("Secret ") && mine.contains("/own: "), "the scan sees what is there: {mine}");
}

async fn clear(stage: &Stage, number: usize) {
    let (all, params) = (ListParams::default().labels(&format!("round={number}")), DeleteParams::default());
    join_all([whole_sync, whole_app, secret, config_map, pod, deployment].map(async |make| {
        let resource = resource_of(&make("x"));
        let api = Api::<DynamicObject>::namespaced_with(stage.editor.clone(), &stage.tenant.name, &resource);
        api.delete_collection(&params, &all).await.expect("a tenant may delete what is its own");
    }))
    .await;
}

#[tokio::test]
async fn the_walk_sets_fields_that_there_are() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    for (whole, kind) in [(whole_sync("whole"), "SpaceSecretSync"), (whole_app("whole"), "FlowApp")] {
        create(&tenant.client, &tenant.name, whole.clone()).await.expect("it is valid");
        let api = Api::<DynamicObject>::namespaced_with(tenant.client.clone(), &tenant.name, &resource_of(&whole));
        assert_eq!(api.get("whole").await.unwrap().data["spec"], whole["spec"]);
        for leaf in leaves_of(kind, "spec") {
            let steps = leaf.path.iter().filter(|step| !step.starts_with('{'));
            let pointer = steps.fold(String::new(), |at, step| at + "/" + if step == "[]" { "0" } else { step });
            assert!(whole.pointer(&pointer).is_some(), "no {pointer} in the whole {kind}");
        }
    }
    assert!(our_names().len() > 10, "{:?}", our_names());
}

#[tokio::test]
async fn a_tenant_cannot_write_a_status() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    let editor = editor(&tenant).await;
    create(&editor, &tenant.name, sync("secrets", &json!({"suspend": true}))).await.expect("a sync");
    create(&editor, &tenant.name, whole_app("app")).await.expect("a FlowApp");
    for (kind, name) in [("SpaceSecretSync", "secrets"), ("FlowApp", "app")] {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("spacesync.dev", "v1alpha1", kind));
        let api = Api::<DynamicObject>::namespaced_with(editor.clone(), &tenant.name, &resource);
        for leaf in leaves_of(kind, "status") {
            let mut patch = json!({});
            set(&mut patch, &leaf.path, "x");
            let answer = api.patch_subresource("status", name, &PatchParams::default(), &Patch::Merge(&patch)).await;
            assert_eq!(code(answer).err(), Some(403), "{kind} {}", leaf.path.join("."));
        }
        assert!(!may(&editor, &tenant.name, "update", &format!("{}/status", resource.plural)).await);
    }
}

#[tokio::test]
async fn a_tenant_has_no_rights_beyond_its_namespace() {
    let (tenant, other) = (World::shared().tenant(&[]).await, World::shared().tenant(&[("A", "1")]).await);
    let editor = editor(&tenant).await;
    for namespace in [&other.name, SYSTEM] {
        for make in [whole_sync, whole_app, secret, config_map, pod, deployment] {
            assert_eq!(create(&editor, namespace, make("planted")).await, Err(403), "in {namespace}");
        }
        let secrets = Api::<Secret>::namespaced(editor.clone(), namespace);
        assert_eq!(code(secrets.list(&ListParams::default()).await).err(), Some(403));
        assert_eq!(code(secrets.get(&format!("space-{}", other.name)).await).err(), Some(403));
    }
    for kind in ["Space", "SecretManager"] {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("spacesync.dev", "v1alpha1", kind));
        let api = Api::<DynamicObject>::all_with(editor.clone(), &resource);
        assert_eq!(code(api.list(&ListParams::default()).await).err(), Some(403), "list {kind}");
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"spacesync.dev/take-over": tenant.name}}}));
        let patched = api.patch(&other.name, &PatchParams::default(), &patch).await;
        assert_eq!(code(patched).err(), Some(403), "patch {kind}");
        let planted = DynamicObject::new("planted", &resource);
        assert_eq!(code(api.create(&PostParams::default(), &planted).await).err(), Some(403), "create {kind}");
    }
}

#[tokio::test]
async fn a_tenants_secret_does_not_move_the_version_of_another_space() {
    let other = Tenant::unbound(World::shared()).await;
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    // Suspended, so that it leaves the Secret that it would put right.
    tenant.sync(json!({"suspend": true})).await;
    let marks = json!({
        "labels": {"spacesync.dev/sync": "secrets", "spacesync.dev/space": other.name},
        "annotations": {"spacesync.dev/revision": "9000-0123456789abcdef"},
    });
    tenant.apply(&tenant.api::<Secret>(), "secrets", json!({"metadata": marks})).await;
    tenant.sync_named("seen", json!({})).await;
    until(tenant.api::<SpaceSecretSync>(), "seen", "synced", |sync| condition(sync, "Ready") == "True/Synced").await;

    other.manager("embedded", json!({"kubernetes": {}})).await;
    other.entry(&[("A", "1")]).await;
    other.space(json!({})).await;
    other.sync(json!({})).await;
    let status = other.until_status("synced", |status| status.version.is_some()).await;
    assert_eq!(status.version, Some(1));
}

#[tokio::test]
async fn a_space_cannot_have_the_operators_own_namespace() {
    let tenant = Tenant::unbound(World::shared()).await;
    tenant.manager("embedded", json!({"kubernetes": {}})).await;
    tenant.entry(&[("A", "1")]).await;
    tenant.space(json!({"namespaces": [SYSTEM, tenant.name]})).await;
    let syncs = Api::<SpaceSecretSync>::namespaced(tenant.client.clone(), SYSTEM);
    tenant.apply(&syncs, &tenant.name, json!({"spec": {}})).await;
    let sync =
        until(syncs.clone(), &tenant.name, "refused", |sync| condition(sync, "Ready") == "False/NamespaceNotBound");
    assert_eq!(sync.await.status.unwrap().target, None);
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "1")]).await;
    let space = until(Api::<Space>::all(tenant.client.clone()), &tenant.name, "it is said", |space| {
        space.status.as_ref().is_some_and(|status| status.namespaces.len() == 2)
    });
    for namespace in space.await.status.unwrap().namespaces {
        let expected = if namespace.name == SYSTEM { BindingState::Refused } else { BindingState::Bound };
        assert_eq!(namespace.state, expected, "{}", namespace.name);
    }
    assert!(tenant.own().get_opt(&tenant.name).await.unwrap().is_none());
    syncs.delete(&tenant.name, &DeleteParams::default()).await.unwrap();
}
