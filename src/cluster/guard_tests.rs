//! What leaves a replica that may not write.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use axum::{Router, extract::Request};
use http::{Method, header::CONTENT_TYPE};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::{
    secrets::{NewSecret, SecretMeta},
    *,
};

const OBJECT: &str = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "u"}}"#;

/// An API server that answers everything with one object, and remembers by which methods it was asked.
struct Server {
    config: Config,
    asked: Arc<Mutex<Vec<Method>>>,
}

impl Server {
    async fn start() -> Self {
        let asked = Arc::<Mutex<Vec<Method>>>::default();
        let heard = asked.clone();
        let answer = async move |request: Request| {
            heard.lock().unwrap().push(request.method().clone());
            ([(CONTENT_TYPE, "application/json")], OBJECT)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
        // Ends with the test's runtime.
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        Self { config, asked }
    }

    /// The methods since it was last asked for them.
    fn asked(&self) -> Vec<Method> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// Every way to write that there is, and how it ended.
async fn all_writes(cluster: &Cluster) -> Vec<(&'static str, Option<Error>)> {
    let (ns, body) = (Some("ns"), json!({}));
    let object: ConfigMap = serde_json::from_str(OBJECT).unwrap();
    let object = &object;
    let secret = NewSecret {
        namespace: "ns".into(),
        name: "a".into(),
        labels: [].into(),
        annotations: [].into(),
        data: [].into(),
        type_: "Opaque".into(),
        immutable: false,
    };
    let over = SecretMeta::default();
    vec![
        ("create", cluster.create(object).await.err()),
        ("replace", cluster.replace(object).await.err()),
        ("apply", cluster.apply::<ConfigMap>(ns, "a", "test", &body).await.err()),
        ("apply_ours", cluster.apply_ours::<ConfigMap>(ns, "a", "test", &body).await.err()),
        ("apply_field", cluster.apply_field(object, "data", Some(&body), false).await.err()),
        ("patch_json", cluster.patch_json::<ConfigMap>(ns, "a", &json!([])).await.err()),
        ("annotate", cluster.annotate(object, "a", "1").await.err()),
        ("patch_status", cluster.patch_status(object, None, &json!({"a": 1})).await.err()),
        ("patch_pod_status", cluster.patch_pod_status("ns", "a", &body).await.err()),
        ("delete", cluster.delete::<ConfigMap>(ns, "a", "u").await.err()),
        ("delete_seen", cluster.delete_seen::<ConfigMap>("ns", "a", "u", "1").await.err()),
        ("create_secret", cluster.create_secret(&secret).await.err()),
        ("replace_secret", cluster.replace_secret(&secret, &over).await.err()),
        // Whatever takes the client itself, as Events do.
        (
            "client",
            kube::Api::namespaced(cluster.client().clone(), "ns")
                .create(&PostParams::default(), object)
                .await
                .err()
                .map(|e| Error::from_kube(&e, true)),
        ),
    ]
}

#[tokio::test]
async fn a_replica_that_may_not_write_sends_reads_and_nothing_else_whatever_asks_for_it() {
    let server = Server::start().await;
    let may_write = Arc::new(AtomicBool::new(false));
    let asks = may_write.clone();
    let cluster = Cluster::new(&server.config, Arc::new(move || asks.load(Ordering::Relaxed))).unwrap();

    for (write, error) in all_writes(&cluster).await {
        assert_eq!(error, Some(Error::NotLeader), "{write}");
    }
    assert_eq!(server.asked(), Vec::<Method>::new());
    assert!(cluster.get::<ConfigMap>(Some("ns"), "a").await.unwrap().is_some());
    assert!(cluster.get_meta::<ConfigMap>(Some("ns"), "a").await.is_ok());
    assert!(cluster.get_secret("ns", "a").await.unwrap().is_some());
    assert_eq!(server.asked(), [Method::GET, Method::GET, Method::GET]);

    // One that may sends each of them once, so that what was refused above is what would have left.
    may_write.store(true, Ordering::Relaxed);
    let writes = all_writes(&cluster).await.len();
    let asked = server.asked();
    assert_eq!(asked.len(), writes);
    assert!(!asked.contains(&Method::GET), "{asked:?}");

    // It is asked each time.
    may_write.store(false, Ordering::Relaxed);
    assert_eq!(cluster.create(&ConfigMap::default()).await.err(), Some(Error::NotLeader));
    assert_eq!(server.asked(), Vec::<Method>::new());
}

#[tokio::test]
async fn a_write_that_waited_for_its_connection_until_the_lease_was_lost_does_not_leave_either() {
    let server = Server::start().await;
    // By turns: it may when the request is made, and may not when a connection takes it.
    let turn = AtomicBool::new(false);
    let may_write = move || !turn.fetch_xor(true, Ordering::Relaxed);
    let cluster = Cluster::new(&server.config, Arc::new(may_write)).unwrap();
    for (write, error) in all_writes(&cluster).await {
        assert_eq!(error, Some(Error::NotLeader), "{write}");
    }
    assert_eq!(server.asked(), Vec::<Method>::new());
}
