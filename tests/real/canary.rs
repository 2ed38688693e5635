//! A value goes through everything the operator does, at the highest log level there is, and comes out in Secrets only.
//!
//! The scan first finds what was planted in each place where it looks, in each form; then it must find nothing real.

use std::{collections::BTreeMap, io::Write};

use devcluster::{AuditLevel, OpenBao, OpenBaoOptions};
use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        apps::v1::Deployment,
        core::v1::{ConfigMap, Event, Pod, ResourceQuota, Secret},
        events::v1::Event as NewEvent,
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value as Json, json};
use spacesync::resources::{SpaceSecretSync, SpaceSecretSyncStatus, Trigger};

use crate::{
    scan::{Canary, Channel, channel_of, leaks, name_of, objects},
    tenant::{PATIENCE, Tenant, condition, merge, message, until, until_gone, values},
    workload::template,
    world::{OPERATOR_USER, Operator, SYSTEM, World},
};

/// The kinds of places where a value could come out; each has one planted in it.
const PLACES: [&str; 9] = [
    "operator log",
    "Event",
    "Event of events.k8s.io",
    "annotation",
    "status",
    "ConfigMap",
    "metrics",
    "audit: another kind",
    "audit: metadata of a Secret",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_went_through_everything_is_in_secrets_only() {
    let world = tokio::task::spawn_blocking(|| World::start(AuditLevel::RequestResponse)).await.unwrap();
    let trace = [("RUST_LOG", "trace")];
    let mut operators = vec![world.operator(&trace)];
    let canary = Canary::new();
    let tenant = world.tenant(&[]).await;

    versions_come_and_are_put_right(&tenant, &canary).await;
    flow_apps_are_told(&tenant, &canary).await;
    what_cannot_be_delivered_is_refused(&tenant, &canary).await;
    foreign_secrets_are_refused_and_adopted(&tenant, &canary).await;
    a_policy_quotes_what_it_refuses(&tenant).await;
    // The next one starts with all of that there.
    operators[0].kill();
    world.forget_lease().await;
    operators.push(world.operator(&trace));
    what_is_retained_stays(&tenant, &canary).await;
    let in_vault = Tenant::unbound(&world).await;
    let token = through_a_vault(&in_vault, &canary).await;
    tenant.entry(&[("TEXT", &format!("last {}", canary.text()))]).await;
    until_text(&tenant, "secrets", &format!("last {}", canary.text())).await;

    let planted = plant(&world, &tenant, operators[1].log_file()).await;
    let mut channels = everything(&world, &tenant.client, &operators).await;
    plant_in_text(&mut channels, &planted);
    let bytes: usize = channels.iter().map(|channel| channel.text.len()).sum();
    for (place, form, planted) in &planted {
        assert_ne!(leaks(planted, &channels), "", "the scan does not see {form} in {place}");
    }
    println!("{} planted ones found; {bytes} bytes in {} channels", planted.len(), channels.len());
    for secret in [&canary, &token, &Canary::of(&world.token_of_operator())] {
        assert_eq!(leaks(secret, &channels), "");
    }

    // It was there to be found.
    for tenant in [&tenant, &in_vault] {
        let secrets: Vec<_> = objects(&tenant.client, Some(&tenant.name)).await.iter().map(channel_of).collect();
        assert!(leaks(&canary, &secrets).contains("Secret "), "the canary reached no Secret");
    }
}

async fn until_text(tenant: &Tenant<'_>, secret: &str, text: &str) {
    until(tenant.api::<Secret>(), secret, "it has the canary", |secret| {
        values(secret).get("TEXT").is_some_and(|value| value == text)
    })
    .await;
}

/// First sync, change, JSON, drift, *Sync now*.
async fn versions_come_and_are_put_right(tenant: &Tenant<'_>, canary: &Canary) {
    let (first, second) = (format!("first {}", canary.text()), format!("second {}", canary.text()));
    let json_keys = json!({"spacesync.dev/json-keys": "DOC"});
    tenant.entry_with(&[("TEXT", &first), ("DOC", &canary.json())], json_keys.clone()).await;
    tenant.sync(json!({})).await;
    until_text(tenant, "secrets", &first).await;
    tenant.entry_with(&[("TEXT", &second), ("DOC", &canary.json())], json_keys).await;
    until_text(tenant, "secrets", &second).await;
    tenant.until_status("version 2", |status| status.version == Some(2)).await;

    let drifted = |status: &SpaceSecretSyncStatus| status.history[0].trigger == Trigger::Drift;
    let edited = json!({"stringData": {"TEXT": format!("edited {}", canary.text()), ".spacesync.json": canary.text()}});
    tenant.patch::<Secret>("secrets", edited).await;
    until_text(tenant, "secrets", &second).await;
    tenant.until_status("drift", drifted).await;
    let before = tenant.api::<Secret>().get("secrets").await.unwrap().metadata.uid;
    tenant.delete::<Secret>("secrets").await;
    until(tenant.api::<Secret>(), "secrets", "a new one", |secret| secret.metadata.uid != before).await;
    tenant.patch::<Secret>("secrets", json!({"immutable": true})).await;
    until(tenant.api::<Secret>(), "secrets", "not immutable", |secret| secret.immutable != Some(true)).await;

    tenant.request("manual/1").await;
    tenant.until_status("handled", |s| s.last_handled_sync_request.as_deref() == Some("manual/1")).await;
}

/// Injection, signals and acknowledgements of pods that no kubelet runs.
async fn flow_apps_are_told(tenant: &Tenant<'_>, canary: &Canary) {
    tenant.workload::<Deployment>("ingest", template()).await;
    tenant.ingest(json!({})).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
    tenant.running("pod", "ingest").await;
    let revision = tenant.until_status("in step", |s| s.revision.is_some()).await.revision.unwrap();
    tenant.until_told("pod", &revision).await;
    tenant.ack("pod", &revision).await;
    tenant.until_condition("Delivered", "True/Delivered").await;
    let third = format!("third {}", canary.text());
    tenant.entry(&[("TEXT", &third)]).await;
    until_text(tenant, "secrets", &third).await;
    let revision = tenant.until_status("version 3", |s| s.version == Some(3)).await.revision.unwrap();
    tenant.until_told("pod", &revision).await;
    tenant.ack_as("pod", "False", "LoadFailed", &revision).await;
    tenant
        .flow_app(
            "ingest",
            json!({"version": "5.3.0", "reload": "None", "workloadRef": {"kind": "Deployment", "name": "gone"}}),
        )
        .await;
    tenant.until_app("ingest", "Injected", "False/WorkloadNotFound").await;
}

/// Refused keys, an entry that is too large, one that is gone.
async fn what_cannot_be_delivered_is_refused(tenant: &Tenant<'_>, canary: &Canary) {
    let bytes = |bytes: &[u8]| ByteString(bytes.to_vec());
    let text = canary.text();
    let data = BTreeMap::from([
        ("TEXT".to_owned(), bytes(format!("fourth {text}").as_bytes())),
        ("BINARY".to_owned(), bytes(&[text.as_bytes(), &[0xff, 0xfe]].concat())),
        ("HALF".to_owned(), bytes(&canary.json().as_bytes()[..canary.json().len() - 1])),
        ("WORSE".to_owned(), bytes(text.as_bytes())),
        (".spacesync.json".to_owned(), bytes(text.as_bytes())),
    ]);
    let metadata = json!({"annotations": {"spacesync.dev/json-keys": "HALF,WORSE"}});
    let entry = format!("space-{}", tenant.name);
    tenant.apply(&tenant.own(), &entry, json!({"data": data, "metadata": metadata})).await;
    until_text(tenant, "secrets", &format!("fourth {text}")).await;
    tenant.until_condition("KeysComplete", "False/KeysRefused").await;

    tenant.entry(&[("TEXT", &format!("{text}{}", "x".repeat(1024 * 1024 - 200)))]).await;
    tenant.until_condition("Synced", "False/TooLarge").await;
    tenant.own().delete(&entry, &DeleteParams::default()).await.unwrap();
    tenant.until_condition("Synced", "False/SourceNotFound").await;
    tenant.request("save/2").await;
    tenant.until_status("handled", |s| s.last_handled_sync_request.as_deref() == Some("save/2")).await;
    tenant.entry(&[("TEXT", &format!("fifth {text}"))]).await;
    until_text(tenant, "secrets", &format!("fifth {text}")).await;
}

/// A foreign Secret that holds the value itself, a target that is taken, a write that a quota refuses.
async fn foreign_secrets_are_refused_and_adopted(tenant: &Tenant<'_>, canary: &Canary) {
    let body = json!({"stringData": {"TEXT": format!("foreign {}", canary.text())}, "type": "example.com/theirs"});
    tenant.apply(&tenant.api::<Secret>(), "foreign", body).await;
    tenant.sync_named("foreign", json!({})).await;
    until_ready(tenant, "foreign", "False/TargetConflict").await;
    tenant.annotate::<Secret>("foreign", "spacesync.dev/adopt", Some("foreign")).await;
    tenant.annotate::<SpaceSecretSync>("foreign", "spacesync.dev/sync-requested", Some("manual/1")).await;
    until_ready(tenant, "foreign", "True/Synced").await;
    tenant.sync_named("rival", json!({"target": {"name": "foreign"}})).await;
    until_ready(tenant, "rival", "False/TargetTaken").await;
    let quota: Api<ResourceQuota> = tenant.api();
    tenant.apply(&quota, "none", json!({"spec": {"hard": {"secrets": "0"}}})).await;
    until(quota.clone(), "none", "counted", |q| q.status.as_ref().is_some_and(|s| s.used.is_some())).await;
    tenant.sync_named("over-quota", json!({})).await;
    until_ready(tenant, "over-quota", "False/TargetWriteFailed").await;
    quota.delete("none", &DeleteParams::default()).await.unwrap();
}

/// A policy of the cluster that refuses a Secret and quotes what is in it.
async fn a_policy_quotes_what_it_refuses(tenant: &Tenant<'_>) {
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"], "operations": ["CREATE"]});
    let quote = "'not ' + string(object.data['TEXT'])";
    let refuse = json!({
        "expression": "object.metadata.name != 'quoted'", "reason": "Forbidden", "messageExpression": quote,
    });
    let spec = json!({"matchConstraints": {"resourceRules": [rule]}, "validations": [refuse]});
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(tenant.client.clone());
    tenant.apply(&policies, "quoting", json!({"spec": spec})).await;
    let spec = json!({"policyName": "quoting", "validationActions": ["Deny"]});
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(tenant.client.clone());
    tenant.apply(&bindings, "quoting", json!({"spec": spec})).await;
    let secret = serde_json::from_value(json!({"metadata": {"name": "quoted"}, "stringData": {"TEXT": "x"}})).unwrap();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let began = std::time::Instant::now();
    // Nothing tells when a policy is in force.
    while tenant.api::<Secret>().create(&dry_run, &secret).await.is_ok() {
        assert!(began.elapsed() < PATIENCE, "the policy refuses nothing");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    tenant.sync_named("quoted", json!({})).await;
    until(tenant.api::<SpaceSecretSync>(), "quoted", "refused", |sync| {
        condition(sync, "Ready") == "False/TargetWriteFailed" && message(sync, "Ready").contains("'quoting'")
    })
    .await;
}

async fn until_ready(tenant: &Tenant<'_>, sync: &str, expected: &str) {
    until(tenant.api::<SpaceSecretSync>(), sync, expected, |sync| condition(sync, "Ready") == expected).await;
}

/// What is let go, what is deleted, what moves.
async fn what_is_retained_stays(tenant: &Tenant<'_>, canary: &Canary) {
    tenant.sync_named("kept", json!({"target": {"deletionPolicy": "Retain"}})).await;
    until_text(tenant, "kept", &format!("fifth {}", canary.text())).await;
    tenant.delete::<SpaceSecretSync>("kept").await;
    until(tenant.api::<Secret>(), "kept", "let go", |secret| {
        secret.metadata.labels.as_ref().is_none_or(|labels| !labels.contains_key("spacesync.dev/sync"))
    })
    .await;
    tenant.delete::<SpaceSecretSync>("foreign").await;
    until(tenant.api::<Secret>(), "foreign", "the rival's", |secret| {
        secret.metadata.labels.as_ref().is_some_and(|labels| labels["spacesync.dev/sync"] == "rival")
    })
    .await;
    tenant.sync_named("rival", json!({"target": {"name": "moved"}})).await;
    until_gone(tenant.api::<Secret>(), "foreign").await;
}

/// OpenBao over TLS: all kinds of values, and every way in which it says no. Gives the token it is asked with.
async fn through_a_vault(tenant: &Tenant<'_>, canary: &Canary) -> Canary {
    let options = OpenBaoOptions { tls: true, ..OpenBaoOptions::default() };
    let store = tokio::task::spawn_blocking(move || OpenBao::start(options)).await.unwrap().expect("an OpenBao");
    let token = store.token_with_policy(r#"path "*" { capabilities = ["read", "list"] }"#).expect("a token");
    let maps: Api<ConfigMap> = Api::namespaced(tenant.client.clone(), SYSTEM);
    tenant.apply(&maps, "vault-ca", json!({"data": {"ca.crt": store.ca_pem().expect("a CA")}})).await;
    tenant.apply(&tenant.own(), "vault-token", json!({"stringData": {"token": token}})).await;
    let bao = json!({
        "address": store.url(), "auth": {"tokenSecret": {"name": "vault-token", "key": "token"}},
        "caBundle": {"configMap": {"name": "vault-ca", "key": "ca.crt"}},
    });
    tenant.manager("vault", json!({"openBao": bao})).await;
    tenant.space(json!({"secretManagerRef": {"name": "vault"}})).await;
    let (path, text) = (format!("spaces/{}", tenant.name), canary.text());
    let entry = |turn: &str| {
        let doc: Json = serde_json::from_str(&canary.json()).expect("JSON");
        json!({"TEXT": format!("{turn} {text}"), "DOC": {"deep": [doc, text]}, "no key ä": text, "..": text})
    };
    store.put(&path, entry("first")).expect("it is written");
    tenant.sync(json!({})).await;
    until_text(tenant, "secrets", &format!("first {text}")).await;
    tenant.until_condition("KeysComplete", "False/KeysRefused").await;
    let version = store.put(&path, entry("second")).expect("it is written");
    ask(tenant, "manual/1").await;
    until_text(tenant, "secrets", &format!("second {text}")).await;

    store.put(&path, json!({"TEXT": format!("{text}{}", "x".repeat(1024 * 1024 - 200))})).expect("it is written");
    ask(tenant, "manual/2").await;
    tenant.until_condition("Synced", "False/TooLarge").await;
    store.destroy(&path, &[version + 1]).expect("it is destroyed");
    ask(tenant, "manual/3").await;
    tenant.until_condition("Synced", "False/SourceDeleted").await;
    store.seal().expect("it is sealed");
    ask(tenant, "manual/4").await;
    tenant.until_condition("Synced", "False/SourceSealed").await;
    store.unseal().expect("it is unsealed");
    store.put(&path, entry("third")).expect("it is written");
    store.revoke(&token).expect("it is revoked");
    ask(tenant, "manual/5").await;
    tenant.until_condition("Synced", "False/SourceUnauthorized").await;
    store.suspend().expect("it is suspended");
    ask(tenant, "manual/6").await;
    store.resume().expect("it goes on");
    let fresh = json!({"stringData": {"token": store.root_token()}});
    tenant.apply(&tenant.own(), "vault-token", fresh).await;
    until_text(tenant, "secrets", &format!("third {text}")).await;
    Canary::of(&token)
}

/// *Sync now*, until it is answered.
async fn ask(tenant: &Tenant<'_>, value: &str) {
    tenant.request(value).await;
    tenant.until_status("handled", |s| s.last_handled_sync_request.as_deref() == Some(value)).await;
}

/// All that anybody may read who may not read Secrets.
async fn everything(world: &World, admin: &Client, operators: &[Operator]) -> Vec<Channel> {
    let mut channels: Vec<_> = operators.iter().map(|o| Channel::new("operator log", o.log())).collect();
    assert!(channels.iter().all(|log| log.text.contains("synced")), "the logs say nothing");
    for path in ["/metrics", "/readyz", "/healthz"] {
        let (_, text) = operators.last().and_then(|o| o.get(path)).expect("the operator answers");
        channels.push(Channel::new(path, text));
    }
    let mut all = objects(admin, None).await;
    all.iter_mut().for_each(without_data);
    let kinds: std::collections::BTreeSet<_> =
        all.iter().filter_map(|o| Some(o.types.as_ref()?.kind.clone())).collect();
    for kind in ["Secret", "SpaceSecretSync", "FlowApp", "Space", "SecretManager", "Event", "ConfigMap", "Pod", "Lease"]
    {
        assert!(kinds.contains(kind), "no {kind} among {kinds:?}");
    }
    channels.extend(all.iter().map(channel_of));
    channels.extend(audit(world));
    channels
}

/// A Secret without what may be in it.
fn without_data(object: &mut DynamicObject) {
    if name_of(object).starts_with("Secret ")
        && let Some(fields) = object.data.as_object_mut()
    {
        fields.remove("data");
    }
}

/// What the API server noted of requests and answers, the test's own aside. Of the operator's, a Secret's `data` is where
/// the value belongs.
fn audit(world: &World) -> Vec<Channel> {
    let entries = world.plane.audit_entries().expect("an audit log");
    let user = |entry: &Json| {
        let user = entry["impersonatedUser"]["username"].as_str().or(entry["user"]["username"].as_str());
        user.unwrap_or_default().to_owned()
    };
    let mut bodies = 0;
    let mut channels = Vec::new();
    for mut entry in entries {
        let user = user(&entry);
        if user == "admin" {
            continue;
        }
        if user == OPERATOR_USER && entry["objectRef"]["resource"] == "secrets" {
            for side in ["requestObject", "responseObject"] {
                let data = entry[side].as_object_mut().and_then(|object| object.remove("data"));
                bodies += usize::from(data.is_some());
            }
        }
        // The API server notes its own answer, with what a policy of the test quotes in it.
        let answer = entry["responseStatus"]["message"].as_str().unwrap_or_default();
        if answer.contains("'quoting' denied request") {
            (entry["responseStatus"], entry["responseObject"]) = (Json::Null, Json::Null);
        }
        let name = format!("audit {user} {} {}", entry["verb"], entry["requestURI"]);
        channels.push(Channel::new(name, entry.to_string()));
    }
    assert!(bodies > 10, "the audit log has bodies: {bodies}");
    channels
}

type Planted = Vec<(&'static str, &'static str, Canary)>;

/// Puts a value of its own into each place in each form.
async fn plant(world: &World, tenant: &Tenant<'_>, log: &std::path::Path) -> Planted {
    let operator = world.client_as(Some(OPERATOR_USER)).await;
    let mut planted = Vec::new();
    for place in PLACES {
        for number in 0..Canary::new().forms().len() {
            let canary = Canary::new();
            let (form, text) = canary.forms()[number].clone();
            plant_one(tenant, &operator, log, place, &format!("planted-{number}"), &text).await;
            planted.push((place, form, canary));
        }
    }
    planted
}

async fn plant_one(t: &Tenant<'_>, operator: &Client, log: &std::path::Path, place: &str, name: &str, text: &str) {
    let about = json!({"kind": "Pod", "namespace": t.name, "name": "pod", "apiVersion": "v1"});
    match place {
        "operator log" => {
            let mut file = std::fs::OpenOptions::new().append(true).open(log).expect("the log");
            writeln!(file, "TRACE planted {text:?}").expect("a line");
        }
        "Event" => {
            let event = json!({"metadata": {"name": name}, "involvedObject": about, "message": text});
            create(&t.api::<Event>(), event).await;
        }
        "Event of events.k8s.io" => {
            let event = json!({
                "metadata": {"name": format!("new-{name}")}, "regarding": about, "note": text, "reason": "Planted",
                "action": "Plant", "type": "Normal", "eventTime": MicroTime(jiff::Timestamp::now()),
                "reportingController": "example.com/test", "reportingInstance": "test",
            });
            create(&t.api::<NewEvent>(), event).await;
        }
        "annotation" => {
            let metadata = json!({"name": format!("annotated-{name}"), "annotations": {"planted": text}});
            create(&t.api::<Secret>(), json!({"metadata": metadata})).await;
        }
        // The operator would put right what stands in one of ours.
        "status" => {
            let spec = json!({"containers": [{"name": "node-red", "image": "node-red:5"}]});
            create(&t.api::<Pod>(), json!({"metadata": {"name": name}, "spec": spec})).await;
            let patch = Patch::Strategic(json!({"status": {"message": text}}));
            t.api::<Pod>().patch_subresource("status", name, &PatchParams::default(), &patch).await.unwrap();
        }
        "ConfigMap" => {
            create(&t.api::<ConfigMap>(), json!({"metadata": {"name": name}, "data": {"planted": text}})).await;
        }
        "metrics" => {}
        "audit: another kind" => {
            let map = json!({"metadata": {"name": format!("audited-{name}")}, "data": {"planted": text}});
            let api = Api::<ConfigMap>::namespaced(operator.clone(), &t.name);
            create(&api, map).await;
            // By the admin: of those of this name the operator may make one, and no more.
            t.api::<ConfigMap>().delete(&format!("audited-{name}"), &DeleteParams::default()).await.unwrap();
        }
        "audit: metadata of a Secret" => {
            let mut secret = json!({"metadata": {"name": format!("audited-{name}"), "annotations": {"planted": text}}});
            merge(&mut secret, json!({"metadata": {"labels": {"spacesync.dev/sync": "none"}}, "type": "Opaque"}));
            create(&Api::<Secret>::namespaced(operator.clone(), &t.name), secret).await;
            until_gone(t.api::<Secret>(), &format!("audited-{name}")).await;
        }
        other => panic!("nobody plants in {other}"),
    }
}

async fn create<K>(api: &Api<K>, object: Json)
where
    K: Clone + serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let object = serde_json::from_value(object).expect("an object");
    api.create(&PostParams::default(), &object).await.expect("it is planted");
}

/// What nobody can plant by writing it somewhere.
fn plant_in_text(channels: &mut [Channel], planted: &Planted) {
    for (_, form, canary) in planted.iter().filter(|(place, ..)| *place == "metrics") {
        let (_, text) = canary.forms().into_iter().find(|(name, _)| name == form).expect("the form");
        let metrics = channels.iter_mut().find(|channel| channel.name == "/metrics").expect("metrics");
        metrics.text.extend(["planted{text=\"", &text, "\"} 1\n"]);
    }
}
