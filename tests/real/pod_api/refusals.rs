//! Who is refused, and how; and that nobody sees or touches another space.

use std::time::Duration;

use devcluster::AuditLevel;
use http::Method;
use k8s_openapi::api::core::v1::{Pod as CorePod, ServiceAccount};
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value as Json, json};

use super::{
    client::{Pod, Said, runtime},
    tokens,
};
use crate::{
    tenant::{Tenant, until},
    world::World,
};

const REVISION: &str = "1-0123456789abcdef";

/// Every endpoint with this token: all say the same.
async fn refused_everywhere(tenant: &Tenant<'_>, token: String) -> (u16, String) {
    let pod = Pod::with(&tenant.bundle().await, token, World::shared_operator());
    let said = [
        pod.status_if_none_match("").await,
        pod.sync(json!({"trigger": "manual"})).await,
        pod.settings(json!({"autoSync": "1m"})).await,
        pod.ack(REVISION).await,
    ];
    for one in &said {
        assert_eq!(one.problem(), said[0].problem(), "{said:#?}");
        assert_eq!(one.header("content-type"), "application/problem+json");
        assert_eq!(one.body["status"], one.status);
        assert!(!one.body["detail"].as_str().unwrap().is_empty());
        assert_eq!(one.header("www-authenticate"), if one.status == 401 { "Bearer" } else { "" });
    }
    (said[0].status, said[0].reason().to_owned())
}

fn is(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

/// With another first letter of the signature: of its last one not every bit counts.
fn changed(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').expect("a token");
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{message}.{other}{}", &signature[1..])
}

#[tokio::test]
async fn a_token_that_is_not_a_flow_apps_pods_own_is_refused_everywhere() {
    let world = World::shared();
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    tenant.running("a", "ingest").await;
    let good = tenant.token("a").await;
    let claims = tokens::claims(&good);
    let with = |name: &str, value: Json| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    // First that a token made here is as good as one of the API server.
    let ours = tokens::signed(world, &claims);
    let pod = Pod::with(&tenant.bundle().await, ours, World::shared_operator());
    assert_eq!(pod.status().await.status, 200);

    let an_hour_ago = json!(claims["exp"].as_i64().unwrap() - 2 * 3600);
    let unauthenticated = is(401, "Unauthenticated");
    for (what, token) in [
        ("nothing", String::new()),
        ("no token", "hunter2".to_owned()),
        ("a token for another audience", tenant.token_for(Some("a"), "https://kubernetes.default.svc").await),
        ("a token that has expired", tokens::signed(world, &with("exp", an_hour_ago))),
        ("a token that somebody else signed", tokens::forged(&claims)),
        ("a token of another issuer", tokens::signed(world, &with("iss", json!("https://example.org")))),
        ("a changed token", changed(&good)),
    ] {
        assert_eq!(refused_everywhere(&tenant, token).await, unauthenticated, "{what}");
    }
    let unbound = tenant.token_for(None, "spacesync.dev").await;
    assert_eq!(refused_everywhere(&tenant, unbound).await, is(403, "NotAPod"));

    // Pods of nobody's flow app: without the label, and with the label of an app that is not there.
    let plain = json!({"metadata": {"name": "plain"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let plain: CorePod = serde_json::from_value(plain).unwrap();
    tenant.api().create(&PostParams::default(), &plain).await.unwrap();
    tenant.pod("ghost", "no-such-app").await;
    for pod in ["plain", "ghost"] {
        assert_eq!(refused_everywhere(&tenant, tenant.token(pod).await).await, is(403, "NoFlowApp"), "{pod}");
    }
    let seen = tenant.api::<CorePod>().get("a").await.unwrap();
    assert!(!serde_json::to_string(&seen).unwrap().contains(REVISION), "{seen:?}");
}

#[tokio::test]
async fn the_token_of_a_deleted_pod_is_refused_at_once_also_when_another_has_its_name() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    tenant.running("a", "ingest").await;
    let gone = Pod::new(&tenant, "a", World::shared_operator()).await;
    // Another token of it, which is silent until its successor runs.
    let late = Pod::new(&tenant, "a", World::shared_operator()).await;
    for pod in [&gone, &late] {
        assert_eq!(pod.ack(REVISION).await.status, 204);
    }
    tenant.api::<CorePod>().delete("a", &DeleteParams::default().grace_period(0)).await.unwrap();
    // Until this replica has seen it, within milliseconds; the API server would accept the token for 10 s.
    let began = std::time::Instant::now();
    while gone.ack(REVISION).await.status == 204 {
        assert!(began.elapsed() < Duration::from_secs(1));
    }
    assert_eq!(gone.ack(REVISION).await.problem(), (401, "PodGone"));
    tenant.running("a", "ingest").await;
    let successor = Pod::new(&tenant, "a", World::shared_operator()).await;
    for pod in [&gone, &late] {
        assert_eq!(pod.ack("9-0123456789abcdef").await.problem(), (401, "PodGone"));
    }
    assert_eq!(successor.ack(REVISION).await.status, 204);
    let loaded = until(tenant.api::<CorePod>(), "a", "acknowledged", |pod| {
        serde_json::to_string(&pod.status).unwrap().contains("spacesync.dev/Loaded")
    });
    let text = serde_json::to_string(&loaded.await).unwrap();
    assert!(text.contains(REVISION) && !text.contains("9-0123456789abcdef"), "{text}");
}

#[tokio::test]
async fn a_pod_sees_and_touches_its_own_namespace_whatever_it_sends() {
    let world = World::shared();
    let (ours, theirs) = (world.tenant(&[("A", "1")]).await, world.tenant(&[("A", "2")]).await);
    for tenant in [&ours, &theirs] {
        tenant.with_ingest().await;
        tenant.running("a", "ingest").await;
    }
    let pod = Pod::new(&theirs, "a", World::shared_operator()).await;
    let status = pod.status().await.body.to_string();
    assert!(status.contains(&theirs.name) && !status.contains(&ours.name), "{status}");
    let names = json!({"namespace": ours.name, "space": ours.name, "sync": "secrets", "pod": "a", "uid": "x"});
    let over = |body: Json| {
        let mut all = names.clone();
        crate::tenant::merge(&mut all, body);
        all
    };
    let before = ours.requests().len();
    assert_eq!(pod.acks(over(json!({"revision": REVISION, "runtime": runtime()}))).await.status, 204);
    assert_eq!(pod.settings(over(json!({"autoSync": "12h", "syncOnSave": false}))).await.status, 200);
    assert_eq!(pod.sync(over(json!({"trigger": "manual", "wait": true}))).await.status, 200);
    let writes: Vec<_> = ours.requests().split_off(before);
    let touched = |line: &&String| !line.starts_with("get") && !line.contains("status") && !line.contains("pods/a");
    assert_eq!(writes.iter().filter(touched).collect::<Vec<_>>(), Vec::<&String>::new(), "{writes:?}");
    let seen = ours.api::<CorePod>().get("a").await.unwrap();
    assert!(!serde_json::to_string(&seen.status).unwrap().contains("spacesync.dev/Loaded"));
    assert_eq!(ours.api::<spacesync::resources::SpaceSecretSync>().get("secrets").await.unwrap().spec.auto_sync, None);
    let theirs_now = theirs.api::<spacesync::resources::SpaceSecretSync>().get("secrets").await.unwrap();
    assert_eq!(json!(theirs_now.spec.auto_sync), "12h");
}

#[tokio::test]
async fn what_is_sent_in_the_wrong_way_is_refused_by_its_own_code() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    tenant.running("a", "ingest").await;
    let pod = Pod::new(&tenant, "a", World::shared_operator()).await;
    let bearer = format!("Bearer {}", pod.token);
    let good = json!({"revision": REVISION, "runtime": runtime()}).to_string();
    let padded = |bytes: usize| format!("{}{good}", " ".repeat(bytes - good.len())).into_bytes();
    let as_type = |type_: &'static str, body: Vec<u8>| {
        let (pod, bearer) = (&pod, &bearer);
        async move { pod.send(Method::POST, "/v1/acks", &[("authorization", bearer), ("content-type", type_)], body).await }
    };
    let json_of = |body: Vec<u8>| as_type("application/json", body);
    let problem = |said: Said| (said.status, said.reason().to_owned());

    assert_eq!(json_of(padded(16 * 1024)).await.status, 204);
    assert_eq!(problem(json_of(padded(16 * 1024 + 1)).await), is(413, "TooLarge"));
    assert_eq!(problem(json_of(padded(1024 * 1024)).await), is(413, "TooLarge"));
    assert_eq!(problem(as_type("text/plain", good.clone().into_bytes()).await), is(415, "UnsupportedType"));
    assert_eq!(as_type("application/json; charset=utf-8", good.clone().into_bytes()).await.status, 204);
    for broken in [&b"{\"revision\": hunter2"[..], b"", b"[]", b"\xff\xfe", b"null"] {
        let said = json_of(broken.to_vec()).await;
        assert_eq!(said.problem(), (400, "Malformed"), "{broken:?}");
        assert!(!said.body.to_string().contains("hunter2"));
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(4000), "]".repeat(4000));
    assert_eq!(problem(json_of(deep.into_bytes()).await), is(400, "Malformed"));
    let said = pod.acks(json!({"revision": ["hunter2"], "runtime": runtime()})).await;
    assert_eq!((said.status, &said.body["field"]), (400, &json!("revision")));
    assert!(!said.body.to_string().contains("hunter2"), "{said:?}");
    let said = pod.settings(json!({"autoSync": "hunter2"})).await;
    assert_eq!((said.status, &said.body["field"]), (400, &json!("autoSync")));
    assert!(!said.body.to_string().contains("hunter2"), "{said:?}");

    let ask = async |method: Method, path: &str| pod.send(method, path, &[], Vec::new()).await;
    for path in ["/", "/v1", "/v1/status/", "/v2/status", "/v1/secrets", "/metrics", "/v1/../v1/statuses"] {
        assert_eq!(problem(ask(Method::GET, path).await), is(404, "NotFound"), "{path}");
    }
    for (method, path, allow) in [
        (Method::POST, "/v1/status", "GET"),
        (Method::HEAD, "/v1/status", "GET"),
        (Method::GET, "/v1/sync", "POST"),
        (Method::PUT, "/v1/settings", "PATCH"),
        (Method::DELETE, "/v1/acks", "POST"),
    ] {
        let said = ask(method, path).await;
        assert_eq!((said.status, said.header("allow")), (405, allow), "{path}");
    }
}

#[tokio::test]
async fn a_flood_of_bad_tokens_is_no_flood_of_reviews_and_harms_nobody_elsewhere() {
    let world = World::start(AuditLevel::Metadata);
    let operator = world.operator(&[]);
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    tenant.running("a", "ingest").await;
    tenant.running("b", "ingest").await;
    until(tenant.api::<ServiceAccount>(), "default", "it is there", |_| true).await;
    let (known, other) = (Pod::new(&tenant, "a", &operator).await, Pod::new(&tenant, "b", &operator).await);
    assert_eq!(known.ack(REVISION).await.status, 204);
    let reviews = || {
        let entries = world.plane.audit_entries().expect("an audit log");
        let of_tokens = |entry: &&Json| entry["objectRef"]["resource"] == "tokenreviews";
        let done = |entry: &&Json| entry["stage"] == "ResponseComplete";
        entries.iter().filter(of_tokens).filter(done).count()
    };
    let before = reviews();
    let claims = tokens::claims(&known.token);
    let bundle = tenant.bundle().await;
    let mut flood = tokio::task::JoinSet::new();
    for number in 0..200 {
        let mut claims = claims.clone();
        claims["jti"] = json!(format!("{number}"));
        let pod = Pod::from("127.0.0.2", &bundle, tokens::forged(&claims), &operator);
        flood.spawn(async move { pod.ack(REVISION).await.status });
    }
    let mut refused = [0, 0];
    while let Some(status) = flood.join_next().await {
        match status.unwrap() {
            401 => refused[0] += 1,
            429 => refused[1] += 1,
            status => panic!("{status}"),
        }
    }
    let asked = reviews() - before;
    println!("200 forged tokens: {asked} reviews, {} refused by name, {} as a flood", refused[0], refused[1]);
    assert!(refused[1] > 100 && asked <= 40, "{refused:?} {asked}");
    // Whoever is known is served also from there; whoever is not, from elsewhere.
    let same_place = Pod::from("127.0.0.2", &bundle, known.token.clone(), &operator);
    assert_eq!(same_place.ack(REVISION).await.status, 204);
    assert_eq!(other.ack(REVISION).await.status, 204);
    // The same bad token costs one review.
    let before = reviews();
    let bad = Pod::with(&bundle, tokens::forged(&claims), &operator);
    for _ in 0..20 {
        assert_eq!(bad.ack(REVISION).await.status, 401);
    }
    assert_eq!(reviews() - before, 1);
}
