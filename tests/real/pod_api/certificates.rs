//! Which certificate is served, and that nobody who reads the bundle in time ever notices that it changes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use devcluster::AuditLevel;
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::api::{DeleteParams, Patch, PatchParams};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::json;

use super::client::{HOST, Pod, https};
use crate::{
    tenant::{PATIENCE, Tenant, until},
    world::{Operator, World},
};

const AUTHORITY: &str = "spacesync-api-ca";

/// A certificate authority that was made so many days ago and holds for so many more.
fn authority(name: &str, key: &KeyPair, made: i64, holds: i64) -> String {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = time::OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - time::Duration::days(made), now + time::Duration::days(holds));
    params.self_signed(key).unwrap().pem()
}

async fn write(tenant: &Tenant<'_>, name: &str, data: &[(&str, &str)]) {
    let data: BTreeMap<_, _> = data.iter().map(|(k, v)| (*k, ByteString(v.as_bytes().to_vec()))).collect();
    let body = json!({"type": "kubernetes.io/tls", "data": data});
    tenant.apply(&tenant.own(), name, body).await;
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    Some(String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).unwrap())
}

/// Has the operator make the next authority, for the one that it has then ends in 80 days.
pub async fn renew(tenant: &Tenant<'_>) {
    let key = KeyPair::generate().unwrap();
    let old = authority("old", &key, 285, 80);
    write(tenant, AUTHORITY, &[("tls.crt", &old), ("tls.key", &key.serialize_pem())]).await;
    until_authority(tenant, "the next is made", |secret| text(secret, "next.crt").is_some()).await;
}

async fn until_authority(tenant: &Tenant<'_>, what: &str, holds: impl Fn(&Secret) -> bool) -> Secret {
    until(tenant.own(), AUTHORITY, what, holds).await
}

/// Waits until pods are told these certificates, and gives the bundle.
async fn until_told(tenant: &Tenant<'_>, certificates: &[&str]) -> String {
    let holds = |told: &ConfigMap| {
        let bundle = &told.data.as_ref().unwrap()["ca.crt"];
        certificates.iter().all(|certificate| bundle.contains(certificate.trim()))
            && bundle.matches("BEGIN CERTIFICATE").count() == certificates.len()
    };
    until(tenant.api(), "spacesync-api", "the certificates are told", holds).await.data.unwrap()["ca.crt"].clone()
}

/// Whether somebody who trusts this bundle can connect, over a connection of its own.
async fn connects(bundle: &str, operator: &Operator) -> bool {
    let url = format!("https://{HOST}:{}/v1/status", operator.api.port());
    https(bundle, operator.api).get(url).send().await.is_ok()
}

async fn until_connects(bundle: &str, operator: &Operator, wanted: bool) {
    let began = std::time::Instant::now();
    while connects(bundle, operator).await != wanted {
        assert!(began.elapsed() < PATIENCE, "{wanted} did not come:\n{bundle}\n{}", operator.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Somebody who connects anew all the time, and counts how often that failed.
struct Visitor {
    stop: Arc<AtomicBool>,
    counts: Arc<[AtomicUsize; 2]>,
    task: tokio::task::JoinHandle<()>,
}

impl Visitor {
    fn start(bundle: &str, operator: &Operator) -> Self {
        let (stop, counts) = (Arc::new(AtomicBool::default()), Arc::<[AtomicUsize; 2]>::default());
        let (bundle, at) = (bundle.to_owned(), operator.api);
        let task = tokio::spawn({
            let (stop, counts) = (stop.clone(), counts.clone());
            async move {
                while !stop.load(Ordering::Relaxed) {
                    let sent = https(&bundle, at).get(format!("https://{HOST}:{}/v1/status", at.port())).send().await;
                    counts[usize::from(sent.is_err())].fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        });
        Self { stop, counts, task }
    }

    /// After a few more.
    async fn end(self) -> (usize, usize) {
        let seen = self.counts[0].load(Ordering::Relaxed);
        while self.counts[0].load(Ordering::Relaxed) < seen + 10 && self.counts[1].load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        let [good, bad] = [0, 1].map(|index| self.counts[index].load(Ordering::Relaxed));
        (good, bad)
    }
}

#[tokio::test]
async fn an_authority_is_followed_by_the_next_and_who_trusts_the_last_bundle_never_notices() {
    let world = World::start(AuditLevel::Metadata);
    let operator = world.operator(&[]);
    let follower = world.operator(&[]);
    let tenant = world.tenant(&[("A", "1")]).await;
    let first = tenant.bundle().await;
    assert!(connects(&first, &operator).await && connects(&first, &follower).await);

    // One that ends in 80 days: the next is made and told, and does not sign yet.
    let key = KeyPair::generate().unwrap();
    let old = authority("old", &key, 285, 80);
    write(&tenant, AUTHORITY, &[("tls.crt", &old), ("tls.key", &key.serialize_pem())]).await;
    let prepared = until_authority(&tenant, "the next is made", |secret| text(secret, "next.crt").is_some()).await;
    let next = text(&prepared, "next.crt").unwrap();
    let bundle = until_told(&tenant, &[&old, &next]).await;
    for replica in [&operator, &follower] {
        until_connects(&old, replica, true).await;
        assert!(!connects(&next, replica).await && !connects(&first, replica).await);
    }

    // A month later: the same key and name, made 31 days ago. It signs, and the old one is trusted still.
    let visitors = [Visitor::start(&bundle, &operator), Visitor::start(&bundle, &follower)];
    let next_key = text(&prepared, "next.key").unwrap();
    let name = {
        let (_, pem) = x509_parser::pem::parse_x509_pem(next.as_bytes()).unwrap();
        let certificate = pem.parse_x509().unwrap();
        certificate.subject().iter_common_name().next().unwrap().as_str().unwrap().to_owned()
    };
    let aged = authority(&name, &KeyPair::from_pem(&next_key).unwrap(), 31, 334);
    let data =
        [("tls.crt", old.as_str()), ("tls.key", &key.serialize_pem()), ("next.crt", &aged), ("next.key", &next_key)];
    write(&tenant, AUTHORITY, &data).await;
    let promoted =
        until_authority(&tenant, "the next signs", |secret| text(secret, "tls.crt").as_deref() == Some(aged.as_str()))
            .await;
    assert!(text(&promoted, "previous.crt").unwrap().contains(old.trim()) && text(&promoted, "next.crt").is_none());
    until_told(&tenant, &[&aged, &old]).await;
    for replica in [&operator, &follower] {
        until_connects(&next, replica, true).await;
        assert!(!connects(&old, replica).await, "it does not sign any more");
    }
    for visitor in visitors {
        let (good, bad) = visitor.end().await;
        println!("{good} connections while the authority changed, {bad} failed");
        assert!(good > 10 && bad == 0);
    }

    // One that is deleted is made anew.
    tenant.own().delete(AUTHORITY, &DeleteParams::default()).await.unwrap();
    let anew =
        until_authority(&tenant, "it is made anew", |secret| text(secret, "tls.crt").is_some_and(|pem| pem != aged))
            .await;
    let bundle = until_told(&tenant, &[&text(&anew, "tls.crt").unwrap()]).await;
    for replica in [&operator, &follower] {
        until_connects(&bundle, replica, true).await;
    }
}

#[tokio::test]
async fn a_certificate_that_was_given_is_served_until_it_is_no_good() {
    const GIVEN: &str = "spacesync-api-tls";
    let world = World::start(AuditLevel::Metadata);
    let operator = world.operator(&[]);
    let tenant = world.tenant(&[("A", "1")]).await;
    let own = tenant.bundle().await;
    let ready = || operator.get("/readyz").unwrap();
    assert_eq!(ready(), (200, "ok\n".into()));

    let ca_key = KeyPair::generate().unwrap();
    let ca = authority("company", &ca_key, 10, 100);
    let issuer = Issuer::from_ca_cert_pem(&ca, ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![HOST.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap().pem();
    let pem = key.serialize_pem();
    write(&tenant, GIVEN, &[("tls.crt", &certificate), ("tls.key", &pem), ("ca.crt", &ca)]).await;
    until_connects(&ca, &operator, true).await;
    let bundle = until_told(&tenant, &[&ca, &own]).await;
    tenant.with_ingest().await;
    tenant.running("a", "ingest").await;
    let pod = Pod::with(&bundle, tenant.token("a").await, &operator);
    assert_eq!(pod.ack("1-0123456789abcdef").await.status, 204);
    assert!(!connects(&own, &operator).await);

    // Another key: it is told, and ours is served, which every pod trusts still.
    write(&tenant, GIVEN, &[("tls.crt", &certificate), ("tls.key", &KeyPair::generate().unwrap().serialize_pem())])
        .await;
    until_connects(&own, &operator, true).await;
    let says = "ok\nSecret spacesync-api-tls cannot be used, and a certificate of the operator's own is served: tls.key \
                does not belong to the first certificate of tls.crt\n";
    assert_eq!(ready(), (200, says.into()));
    assert!(operator.log().contains("tls.key does not belong to the first certificate of tls.crt"));
    assert!(!operator.log().contains("PRIVATE"));
    assert!(connects(&bundle, &operator).await);

    // None at all: nothing to say.
    tenant.own().delete(GIVEN, &DeleteParams::default()).await.unwrap();
    let began = std::time::Instant::now();
    while ready() != (200, "ok\n".into()) {
        assert!(began.elapsed() < PATIENCE, "{:?}", ready());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until_told(&tenant, &[&own]).await;

    // And without any, it says why it cannot be served.
    let garbled = json!({"data": {"tls.crt": ByteString(b"garbled".to_vec())}});
    tenant.own().patch(AUTHORITY, &PatchParams::default(), &Patch::Merge(&garbled)).await.unwrap();
    let began = std::time::Instant::now();
    while ready().0 != 503 {
        assert!(began.elapsed() < PATIENCE, "{:?}", ready());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        ready().1.contains("Secret spacesync-api-ca has no usable tls.crt and tls.key; delete it"),
        "{:?}",
        ready()
    );
    tenant.own().delete(AUTHORITY, &DeleteParams::default()).await.unwrap();
    while ready() != (200, "ok\n".into()) {
        assert!(began.elapsed() < PATIENCE, "{:?}", ready());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
