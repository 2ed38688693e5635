//! What is taken, and comes back as it was sent.

use serde_json::Value;

use crate::{
    paths::{FINE_PATHS, mounted_at},
    sending::{Run, client, create},
};

/// What is taken, and comes back as it was sent. Between them they set every field of every kind.
pub const GOOD: &[(&str, &str)] = &[
    ("SecretManager", "{kubernetes: {}}"),
    (
        "SecretManager",
        "{openBao: {address: 'https://openbao.openbao.svc:8200', mount: secret, pathPrefix: spaces/, caBundle: {configMap: {name: openbao-ca, key: ca.crt}}, auth: {tokenSecret: {name: bao-token, key: token}}}, limits: {concurrency: 16, perSecond: 100}}",
    ),
    (
        "SecretManager",
        "{openBao: {address: 'http://127.0.0.1:8200/', namespace: teams/media, mount: teams/kv, pathPrefix: '', auth: {kubernetes: {mount: kubernetes, role: spacesync, audience: openbao}}}}",
    ),
    (
        "SecretManager",
        "{openBao: {address: 'https://[::1]:8200/vault', auth: {appRole: {mount: approle, roleId: r, secretIdSecret: {name: a, key: b}}}}}",
    ),
    (
        "SecretManager",
        "{http: {url: 'https://secrets.example.org', caBundle: {configMap: {name: c.d, key: ca.crt}}, auth: {bearerSecret: {name: manager-token, key: token}}}}",
    ),
    (
        "SecretManager",
        "{http: {url: 'https://secrets.example.org:8443/spaces', auth: {clientCredentials: {tokenUrl: 'https://login.example.org/token?tenant=x', clientId: c, clientSecret: {name: a, key: b}}}}}",
    ),
    ("Space", "{secretManagerRef: {name: central}}"),
    (
        "Space",
        "{displayName: Newsroom DEV, namespaces: [newsroom-dev, '1'], secretManagerRef: {name: central}, path: teams/news.room_dev, onUnbind: Retain}",
    ),
    ("SpaceSecretSync", "{}"),
    (
        "SpaceSecretSync",
        "{autoSync: 1m, suspend: false, flowApps: {selector: {matchLabels: {a: b}, matchExpressions: [{key: a, operator: In, values: [b]}, {key: c, operator: DoesNotExist}]}}, keys: {include: ['*'], exclude: [PRODUCT_A_*]}, target: {name: se.crets, deletionPolicy: Delete, type: kubernetes.io/tls, labels: {example.org/team: newsroom, empty: ''}, annotations: {a: 'b c'}}, onSourceGone: Retain}",
    ),
    ("SpaceSecretSync", "{autoSync: Live, flowApps: {selector: {}}, keys: {include: ['*'], exclude: []}, target: {}}"),
    ("FlowApp", "{version: 5.3.0, workloadRef: {kind: Deployment, name: ingest}}"),
    (
        "FlowApp",
        "{version: v5.3.0-rc.1+build.7, workloadRef: {kind: StatefulSet, name: in.gest}, container: node-red, mountPath: /var/run/spacesync, reload: Hot, syncOnSave: true}",
    ),
    ("FlowApp", "{version: 0.0.1, workloadRef: {kind: Deployment, name: ingest}, reload: None, syncOnSave: false}"),
];

#[tokio::test]
async fn what_is_good_comes_back_as_it_was_sent() {
    let api = client().await;
    for (number, (kind, spec)) in GOOD.iter().enumerate() {
        let made = create(&api, kind, &format!("good-{number}"), spec, Run::Real).await;
        let object: Value = serde_json::from_str(&made.unwrap_or_else(|m| panic!("{kind} {spec}: {m}"))).expect("JSON");
        let sent: Value = serde_saphyr::from_str(spec).expect("YAML");
        assert_eq!(object["spec"], sent, "{kind}: something was defaulted or lost");
        assert_eq!(object["metadata"].get("finalizers"), None);
    }
    for path in FINE_PATHS {
        let answer = create(&api, "FlowApp", "fine", &mounted_at(path), Run::Dry).await;
        assert!(answer.is_ok(), "{path}: {answer:?}");
    }
}
