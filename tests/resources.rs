//! The four custom resources on a real API server: what it refuses and in which words, what it takes, what it shows.

mod api_server;

use std::collections::BTreeSet;

use api_server::{kubectl, plane, served};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioExecutor};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use spacesync::resources::crds;

/// What a user may get wrong, and what the answer says. Each rule of the definitions has a row, which
/// `each_rule_is_seen_to_refuse_something` checks.
const BAD: &[(&str, &str, &str)] = &[
    // --- a SecretManager is exactly one store
    ("SecretManager", "{}", "spec: Invalid value: \"object\": set exactly one of kubernetes, openBao and http"),
    (
        "SecretManager",
        "{kubernetes: {}, http: {url: 'https://a.example', auth: {bearerSecret: {name: a, key: b}}}}",
        "set exactly one of kubernetes, openBao and http",
    ),
    (
        "SecretManager",
        "{kubernetes: {}, openBao: {address: 'https://a.example', auth: {tokenSecret: {name: a, key: b}}}}",
        "set exactly one of kubernetes, openBao and http",
    ),
    ("SecretManager", "{limits: {concurrency: 4}}", "set exactly one of kubernetes, openBao and http"),
    // --- with exactly one way to log in
    ("SecretManager", "{openBao: {address: 'https://a.example'}}", "spec.openBao.auth: Required value"),
    (
        "SecretManager",
        "{openBao: {address: 'https://a.example', auth: {}}}",
        "spec.openBao.auth: Invalid value: \"object\": set exactly one of tokenSecret, kubernetes and appRole",
    ),
    (
        "SecretManager",
        "{openBao: {address: 'https://a.example', auth: {tokenSecret: {name: a, key: b}, kubernetes: {role: r, audience: a}}}}",
        "set exactly one of tokenSecret, kubernetes and appRole",
    ),
    (
        "SecretManager",
        "{openBao: {address: 'https://a.example', auth: {kubernetes: {role: r}}}}",
        "spec.openBao.auth.kubernetes.audience: Required value",
    ),
    ("SecretManager", "{http: {url: 'https://a.example'}}", "spec.http.auth: Required value"),
    (
        "SecretManager",
        "{http: {url: 'https://a.example', auth: {}}}",
        "set exactly one of bearerSecret and clientCredentials",
    ),
    (
        "SecretManager",
        "{http: {url: 'https://a.example', auth: {bearerSecret: {name: a, key: b}, clientCredentials: {tokenUrl: 'https://a.example', clientId: c, clientSecret: {name: a, key: b}}}}}",
        "set exactly one of bearerSecret and clientCredentials",
    ),
    // --- whose credentials are named as objects are
    (
        "SecretManager",
        "{openBao: {address: 'https://a.example', auth: {tokenSecret: {name: ../../default/secrets/x, key: b}}}}",
        "spec.openBao.auth.tokenSecret.name: Invalid value: \"string\": must be the name of an object in the operator's namespace",
    ),
    (
        "SecretManager",
        "{openBao: {address: 'https://a.example', auth: {tokenSecret: {name: other/token, key: b}}}}",
        "must be the name of an object in the operator's namespace",
    ),
    (
        "SecretManager",
        "{openBao: {address: 'https://a.example', auth: {tokenSecret: {name: a, key: 'a/b'}}}}",
        "spec.openBao.auth.tokenSecret.key: Invalid value: \"string\": must be a key of its data",
    ),
    (
        "SecretManager",
        "{openBao: {address: 'https://a.example', auth: {tokenSecret: {name: a, key: b, namespace: other}}}}",
        "unknown field \"spec.openBao.auth.tokenSecret.namespace\"",
    ),
    // --- at an address
    (
        "SecretManager",
        "{openBao: {address: 'https://a.example', namespace: teams/, auth: {tokenSecret: {name: a, key: b}}}}",
        "must be the path of a namespace without a slash at either end, such as teams/media",
    ),
    (
        "SecretManager",
        "{openBao: {address: 'https://a.example', namespace: teams/.., auth: {tokenSecret: {name: a, key: b}}}}",
        "must be the path of a namespace without a slash at either end, such as teams/media",
    ),
    ("SecretManager", "{openBao: {address: openbao:8200, auth: {tokenSecret: {name: a, key: b}}}}", OPENBAO_URL),
    ("SecretManager", "{openBao: {address: 'ftp://a.example', auth: {tokenSecret: {name: a, key: b}}}}", OPENBAO_URL),
    ("SecretManager", "{openBao: {address: 'https://', auth: {tokenSecret: {name: a, key: b}}}}", OPENBAO_URL),
    ("SecretManager", "{openBao: {address: 'https:///x', auth: {tokenSecret: {name: a, key: b}}}}", OPENBAO_URL),
    (
        "SecretManager",
        "{openBao: {address: 'https://u:p@a.example', auth: {tokenSecret: {name: a, key: b}}}}",
        OPENBAO_URL,
    ),
    (
        "SecretManager",
        "{openBao: {address: 'https://a.example?x', auth: {tokenSecret: {name: a, key: b}}}}",
        OPENBAO_URL,
    ),
    (
        "SecretManager",
        "{openBao: {address: 'https://a.example#x', auth: {tokenSecret: {name: a, key: b}}}}",
        OPENBAO_URL,
    ),
    (
        "SecretManager",
        "{openBao: {address: \"https://a.example\\n\", auth: {tokenSecret: {name: a, key: b}}}}",
        OPENBAO_URL,
    ),
    ("SecretManager", "{http: {url: 'http://a.example', auth: {bearerSecret: {name: a, key: b}}}}", HTTP_URL),
    ("SecretManager", "{http: {url: 'a.example', auth: {bearerSecret: {name: a, key: b}}}}", HTTP_URL),
    ("SecretManager", "{http: {url: 'https://u@a.example', auth: {bearerSecret: {name: a, key: b}}}}", HTTP_URL),
    (
        "SecretManager",
        "{http: {url: 'https://a.example', auth: {clientCredentials: {tokenUrl: 'http://a.example', clientId: c, clientSecret: {name: a, key: b}}}}}",
        "must be an https URL such as https://login.example.org/token",
    ),
    // --- below a mount and a prefix
    (
        "SecretManager",
        "{openBao: {mount: /secret, address: 'https://a.example', auth: {tokenSecret: {name: a, key: b}}}}",
        MOUNT,
    ),
    (
        "SecretManager",
        "{openBao: {mount: secret/, address: 'https://a.example', auth: {tokenSecret: {name: a, key: b}}}}",
        MOUNT,
    ),
    (
        "SecretManager",
        "{openBao: {mount: a/../b, address: 'https://a.example', auth: {tokenSecret: {name: a, key: b}}}}",
        MOUNT,
    ),
    (
        "SecretManager",
        "{openBao: {mount: a//b, address: 'https://a.example', auth: {tokenSecret: {name: a, key: b}}}}",
        MOUNT,
    ),
    (
        "SecretManager",
        "{openBao: {pathPrefix: /a, address: 'https://a.example', auth: {tokenSecret: {name: a, key: b}}}}",
        PREFIX,
    ),
    (
        "SecretManager",
        "{openBao: {pathPrefix: a/../, address: 'https://a.example', auth: {tokenSecret: {name: a, key: b}}}}",
        PREFIX,
    ),
    (
        "SecretManager",
        "{openBao: {pathPrefix: ./a, address: 'https://a.example', auth: {tokenSecret: {name: a, key: b}}}}",
        PREFIX,
    ),
    ("SecretManager", "{kubernetes: {namespace: other}}", "unknown field \"spec.kubernetes.namespace\""),
    // --- a Space names its namespaces one by one
    ("Space", "{namespaces: [a]}", "spec.secretManagerRef: Required value"),
    ("Space", "{namespaces: ['*'], secretManagerRef: {name: c}}", NAMESPACE),
    ("Space", "{namespaces: [newsroom-*], secretManagerRef: {name: c}}", NAMESPACE),
    ("Space", "{namespaces: [News], secretManagerRef: {name: c}}", NAMESPACE),
    ("Space", "{namespaces: [-a], secretManagerRef: {name: c}}", NAMESPACE),
    ("Space", "{namespaces: [a.b], secretManagerRef: {name: c}}", NAMESPACE),
    ("Space", "{namespaces: [a/b], secretManagerRef: {name: c}}", NAMESPACE),
    ("Space", "{namespaces: [''], secretManagerRef: {name: c}}", NAMESPACE),
    ("Space", "{namespaces: [a, b, a], secretManagerRef: {name: c}}", "spec.namespaces[2]: Duplicate value: \"a\""),
    (
        "Space",
        "{namespaces: {selector: {}}, secretManagerRef: {name: c}}",
        "unknown field \"spec.namespaces.selector\"",
    ),
    ("Space", "{namespaceSelector: {}, secretManagerRef: {name: c}}", "unknown field \"spec.namespaceSelector\""),
    ("Space", "{secretManagerRef: {name: a/b}}", "must be the name of a SecretManager, such as central"),
    ("Space", "{secretManagerRef: {name: Central}}", "must be the name of a SecretManager, such as central"),
    ("Space", "{path: /a, secretManagerRef: {name: c}}", PATH),
    ("Space", "{path: a/, secretManagerRef: {name: c}}", PATH),
    ("Space", "{path: a//b, secretManagerRef: {name: c}}", PATH),
    ("Space", "{path: a/../b, secretManagerRef: {name: c}}", PATH),
    ("Space", "{path: a/./b, secretManagerRef: {name: c}}", PATH),
    ("Space", "{path: .., secretManagerRef: {name: c}}", PATH),
    ("Space", "{path: 'a b', secretManagerRef: {name: c}}", PATH),
    ("Space", "{path: 'a%2fb', secretManagerRef: {name: c}}", PATH),
    ("Space", "{path: 'a?b', secretManagerRef: {name: c}}", PATH),
    ("Space", "{path: \"a\\n\", secretManagerRef: {name: c}}", PATH),
    ("Space", "{onUnbind: Keep, secretManagerRef: {name: c}}", "supported values: \"Retain\", \"Delete\""),
    // --- a SpaceSecretSync
    (
        "SpaceSecretSync",
        "{autoSync: 5m}",
        "supported values: \"Live\", \"1m\", \"30m\", \"60m\", \"12h\", \"24h\", \"Manual\"",
    ),
    ("SpaceSecretSync", "{autoSync: live}", "spec.autoSync: Unsupported value: \"live\""),
    ("SpaceSecretSync", "{autoSync: Off}", "spec.autoSync in body must be of type string: \"boolean\""),
    ("SpaceSecretSync", "{autoSync: 60}", "spec.autoSync in body must be of type string: \"integer\""),
    ("SpaceSecretSync", "{suspend: 'yes'}", "spec.suspend in body must be of type boolean"),
    ("SpaceSecretSync", "{space: other}", "unknown field \"spec.space\""),
    ("SpaceSecretSync", "{target: {namespace: other}}", "unknown field \"spec.target.namespace\""),
    ("SpaceSecretSync", "{target: {name: My_Secret}}", TARGET),
    ("SpaceSecretSync", "{target: {name: a/b}}", TARGET),
    ("SpaceSecretSync", "{target: {name: ../../other/secrets/x}}", TARGET),
    ("SpaceSecretSync", "{target: {name: a..b}}", TARGET),
    ("SpaceSecretSync", "{target: {name: a-}}", TARGET),
    ("SpaceSecretSync", "{target: {name: \"a\\n\"}}", TARGET),
    ("SpaceSecretSync", "{target: {type: ''}}", "spec.target.type in body should be at least 1 chars long"),
    (
        "SpaceSecretSync",
        "{target: {type: kubernetes.io/}}",
        "must be the type of a Secret, such as Opaque or kubernetes.io/tls",
    ),
    ("SpaceSecretSync", "{target: {type: kubernetes.io/service-account-token}}", TAKES_CREDENTIALS),
    ("SpaceSecretSync", "{target: {type: bootstrap.kubernetes.io/token}}", TAKES_CREDENTIALS),
    ("SpaceSecretSync", "{target: {labels: {spacesync.dev/sync: other}}}", OURS),
    ("SpaceSecretSync", "{target: {labels: {app.kubernetes.io/managed-by: me}}}", OURS),
    ("SpaceSecretSync", "{target: {annotations: {spacesync.dev/adopt: other}}}", OURS),
    (
        "SpaceSecretSync",
        "{target: {labels: {'a b': c}}}",
        "spec.target.labels: Invalid value: \"object\": must have names such as team or example.org/team",
    ),
    (
        "SpaceSecretSync",
        "{target: {annotations: {/a: c}}}",
        "spec.target.annotations: Invalid value: \"object\": must have names such as team or example.org/team",
    ),
    (
        "SpaceSecretSync",
        "{target: {labels: {a: 'b c'}}}",
        "must have values of letters, digits, -, _ and ., such as newsroom",
    ),
    ("SpaceSecretSync", "{target: {labels: {a: 1}}}", "spec.target.labels.a in body must be of type string"),
    ("SpaceSecretSync", "{target: {deletionPolicy: Orphan}}", "supported values: \"Retain\", \"Delete\""),
    ("SpaceSecretSync", "{onSourceGone: Keep}", "supported values: \"Retain\", \"Delete\""),
    ("SpaceSecretSync", "{keys: {include: PRODUCT_*}}", "spec.keys.include in body must be of type array"),
    ("SpaceSecretSync", "{keys: {exclude: ['']}}", "spec.keys.exclude[0] in body should be at least 1 chars long"),
    ("SpaceSecretSync", "{flowApps: {selector: {matchExpressions: [{key: a, operator: In}]}}}", SELECTOR),
    (
        "SpaceSecretSync",
        "{flowApps: {selector: {matchExpressions: [{key: a, operator: NotIn, values: []}]}}}",
        SELECTOR,
    ),
    (
        "SpaceSecretSync",
        "{flowApps: {selector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}}",
        SELECTOR,
    ),
    (
        "SpaceSecretSync",
        "{flowApps: {selector: {matchExpressions: [{key: a, operator: Gt, values: ['1']}]}}}",
        SELECTOR,
    ),
    ("SpaceSecretSync", "{flowApps: {selector: {app: a}}}", "unknown field \"spec.flowApps.selector.app\""),
    // --- a FlowApp has a version
    ("FlowApp", "{workloadRef: {kind: Deployment, name: a}}", "spec.version: Required value"),
    ("FlowApp", "{version: '5', workloadRef: {kind: Deployment, name: a}}", VERSION),
    ("FlowApp", "{version: '5.3', workloadRef: {kind: Deployment, name: a}}", VERSION),
    ("FlowApp", "{version: latest, workloadRef: {kind: Deployment, name: a}}", VERSION),
    ("FlowApp", "{version: 05.3.0, workloadRef: {kind: Deployment, name: a}}", VERSION),
    ("FlowApp", "{version: 5.3.0.1, workloadRef: {kind: Deployment, name: a}}", VERSION),
    ("FlowApp", "{version: V5.3.0, workloadRef: {kind: Deployment, name: a}}", VERSION),
    ("FlowApp", "{version: 5.3.0-, workloadRef: {kind: Deployment, name: a}}", VERSION),
    ("FlowApp", "{version: 5.3.0-rc..1, workloadRef: {kind: Deployment, name: a}}", VERSION),
    ("FlowApp", "{version: ' 5.3.0', workloadRef: {kind: Deployment, name: a}}", VERSION),
    ("FlowApp", "{version: \"5.3.0\\n\", workloadRef: {kind: Deployment, name: a}}", VERSION),
    (
        "FlowApp",
        "{version: 5.3, workloadRef: {kind: Deployment, name: a}}",
        "spec.version in body must be of type string",
    ),
    // --- a workload of its own namespace
    ("FlowApp", "{version: 5.3.0}", "spec.workloadRef: Required value"),
    ("FlowApp", "{version: 5.3.0, workloadRef: {kind: DaemonSet, name: a}}", WORKLOAD),
    ("FlowApp", "{version: 5.3.0, workloadRef: {kind: Rollout, name: a}}", WORKLOAD),
    ("FlowApp", "{version: 5.3.0, workloadRef: {kind: Job, name: a}}", WORKLOAD),
    ("FlowApp", "{version: 5.3.0, workloadRef: {kind: Pod, name: a}}", WORKLOAD),
    ("FlowApp", "{version: 5.3.0, workloadRef: {kind: deployment, name: a}}", WORKLOAD),
    ("FlowApp", "{version: 5.3.0, workloadRef: {kind: '', name: a}}", WORKLOAD),
    ("FlowApp", "{version: 5.3.0, workloadRef: {kind: Deployment}}", "spec.workloadRef.name: Required value"),
    (
        "FlowApp",
        "{version: 5.3.0, workloadRef: {kind: Deployment, name: a, namespace: b}}",
        "unknown field \"spec.workloadRef.namespace\"",
    ),
    ("FlowApp", "{version: 5.3.0, workloadRef: {kind: Deployment, name: ../../other/deployments/a}}", WORKLOAD_NAME),
    ("FlowApp", "{version: 5.3.0, workloadRef: {kind: Deployment, name: 'a?b'}}", WORKLOAD_NAME),
    ("FlowApp", "{version: 5.3.0, workloadRef: {kind: Deployment, name: A}}", WORKLOAD_NAME),
    ("FlowApp", "{version: 5.3.0, container: node_red, workloadRef: {kind: Deployment, name: a}}", CONTAINER),
    ("FlowApp", "{version: 5.3.0, container: a.b, workloadRef: {kind: Deployment, name: a}}", CONTAINER),
    (
        "FlowApp",
        "{version: 5.3.0, reload: hot, workloadRef: {kind: Deployment, name: a}}",
        "supported values: \"Hot\", \"Restart\", \"None\"",
    ),
    (
        "FlowApp",
        "{version: 5.3.0, reload: Off, workloadRef: {kind: Deployment, name: a}}",
        "spec.reload in body must be of type string: \"boolean\"",
    ),
    (
        "FlowApp",
        "{version: 5.3.0, syncOnSave: 'true', workloadRef: {kind: Deployment, name: a}}",
        "spec.syncOnSave in body must be of type boolean",
    ),
    (
        "FlowApp",
        "{version: 5.3.0, space: other, workloadRef: {kind: Deployment, name: a}}",
        "unknown field \"spec.space\"",
    ),
];

/// Mount paths that are no absolute path.
const NOT_A_PATH: &[&str] = &[
    "a",
    "./a",
    "../etc",
    "~/a",
    " /a",
    "/a/../etc",
    "/..",
    "/../",
    "/a/..",
    "/.",
    "/a/./b",
    "/./etc",
    "/a:b",
    "/a:ro",
    "/a\\nb",
    "/etc\\n",
    "/a\\tb",
    "/a\\u0000",
    "\\\\etc",
];

/// Mount paths that would take something from the container that it needs, in every spelling.
const FORBIDDEN_PATHS: &[&str] = &[
    "/",
    "//",
    "///",
    "/etc",
    "/etc/",
    "//etc",
    "///etc//",
    "/etc/ssl",
    "/etc//ssl",
    "/proc",
    "/proc/1",
    "//proc//1/root",
    "/sys",
    "/sys/fs/cgroup",
    "/dev",
    "/dev/shm",
    "/dev/",
    "/var/run/secrets",
    "/var/run/secrets/",
    "/var/run/secrets/x",
    "//var/run/secrets",
    "/var//run///secrets/kubernetes.io",
    "/run/secrets",
    "/run/secrets/x",
    "//run//secrets",
    "/var",
    "/var/",
    "//var",
    "/var/run",
    "/var/run/",
    "/var//run",
    "/run",
    "/run/",
];

/// Mount paths that only look alike.
const FINE_PATHS: &[&str] = &[
    "/var/run/spacesync",
    "/etcetera",
    "/data/etc",
    "/process",
    "/system",
    "/devel",
    "/var/run/secretsync",
    "/var/run/secrets.d",
    "/var/lib/x",
    "/running",
    "/data/..x",
    "/data/x..",
    "/data/...",
    "/data/a b",
    "/srv/größe",
    "/opt/",
];

const OPENBAO_URL: &str = "spec.openBao.address: Invalid value: \"string\": must be a URL such as https://openbao.openbao.svc:8200, without user, query and fragment";
const HTTP_URL: &str = "spec.http.url: Invalid value: \"string\": must be an https URL such as https://secrets.example.org, without user, query and fragment";
const MOUNT: &str = "spec.openBao.mount: Invalid value: \"string\": must be a mount path without a slash at either end, such as secret or teams/kv";
const PREFIX: &str = "spec.openBao.pathPrefix: Invalid value: \"string\": must not begin with a slash or hold . or .. segments: write for example spaces/";
const NAMESPACE: &str = "spec.namespaces: Invalid value: \"array\": each must be the name of a namespace, such as newsroom-dev; patterns and selectors are not supported";
const PATH: &str = "spec.path: Invalid value: \"string\": must be a path such as newsroom-dev or teams/newsroom: letters, digits, - . _ and single slashes, no . or .. segments";
const TARGET: &str = "spec.target.name: Invalid value: \"string\": must be the name of a Secret: lower-case letters, digits, - and ., such as secrets";
const SELECTOR: &str = "spec.flowApps.selector: Invalid value: \"object\": each of matchExpressions needs an operator In or NotIn with values, or Exists or DoesNotExist without";
const VERSION: &str = "spec.version: Invalid value: \"string\": must be a semantic version such as 5.3.0";
const TAKES_CREDENTIALS: &str = "spec.target.type: Invalid value: \"string\": must not be a type by which Kubernetes gives out or takes credentials of its own; use Opaque";
const OURS: &str = "must not hold spacesync.dev/... or app.kubernetes.io/managed-by: those are Spacesync's own";
const WORKLOAD: &str = "spec.workloadRef.kind: Invalid value: \"string\": must be Deployment or StatefulSet: no flow app runs as a DaemonSet, Job or Argo Rollout";
const WORKLOAD_NAME: &str = "spec.workloadRef.name: Invalid value: \"string\": must be the name of a workload of this namespace, such as ingest";
const CONTAINER: &str = "spec.container: Invalid value: \"string\": must be the name of a container, such as node-red";
const NOT_A_PATH_SAYS: &str = "spec.mountPath: Invalid value: \"string\": must be an absolute path without . and .. segments, colons and control characters, such as /var/run/spacesync";
const FORBIDDEN_PATH_SAYS: &str = "spec.mountPath: Invalid value: \"string\": must not be /, /etc, /proc, /sys, /dev or /var/run/secrets nor below them, and not hide /var/run; use for example /var/run/spacesync";

/// What is taken, and comes back as it was sent. Between them they set every field of every kind.
const GOOD: &[(&str, &str)] = &[
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
async fn each_mistake_is_refused_in_words_that_help() {
    let api = client().await;
    let mut failures = Vec::new();
    let mut check = async |kind: &str, spec: &str, says: &str| {
        let answer = create(&api, kind, "row", spec, Run::Dry).await;
        if !answer.as_ref().is_err_and(|message| message.contains(says)) {
            failures.push(format!("{kind} {spec}\n   expected: {says}\n   answered: {answer:?}"));
        }
    };
    for (kind, spec, says) in BAD {
        check(kind, spec, says).await;
    }
    for path in NOT_A_PATH {
        check("FlowApp", &mounted_at(path), NOT_A_PATH_SAYS).await;
    }
    for path in FORBIDDEN_PATHS {
        check("FlowApp", &mounted_at(path), FORBIDDEN_PATH_SAYS).await;
    }
    println!("{} mistakes", BAD.len() + NOT_A_PATH.len() + FORBIDDEN_PATHS.len());
    assert!(failures.is_empty(), "{} rows:\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test]
async fn each_rule_is_seen_to_refuse_something() {
    let long = "a".repeat(64);
    let rows = BAD.iter().map(|(.., says)| *says).chain([NOT_A_PATH_SAYS, FORBIDDEN_PATH_SAYS]);
    let seen: Vec<&str> = rows.collect();
    let api = client().await;
    let mut names = Vec::new();
    for (kind, spec) in GOOD {
        names.push(create(&api, kind, &long, spec, Run::Dry).await.expect_err("a name that is too long for a label"));
    }
    for crd in crds() {
        let (kind, mut rules) = (crd.spec.names.kind.clone(), Vec::new());
        messages(schema_of(&crd), &mut rules);
        for rule in rules {
            let by_row = seen.iter().any(|says| rule.contains(says.rsplit("\": ").next().unwrap_or(says)));
            assert!(
                by_row || names.iter().any(|said| said.contains(&rule)),
                "no row is refused by this rule of {kind}: {rule}"
            );
        }
    }
}

#[tokio::test]
async fn a_name_that_does_not_fit_a_label_is_refused() {
    let api = client().await;
    for (kind, spec) in GOOD {
        let refused = create(&api, kind, &"a".repeat(64), spec, Run::Dry).await;
        let says = format!("a {kind}'s name is used as a label: choose one of at most 63 characters");
        assert!(refused.as_ref().is_err_and(|message| message.contains(&says)), "{kind}: {refused:?}");
        assert!(create(&api, kind, &"a".repeat(63), spec, Run::Dry).await.is_ok(), "{kind}");
    }
}

/// Breaks each bound of each field of each good object, one at a time: none is forgotten, whatever is added.
#[tokio::test]
async fn each_bound_of_each_field_holds() {
    let api = client().await;
    let mut broken = BTreeSet::new();
    for (kind, spec) in GOOD {
        let crd = crds().into_iter().find(|crd| crd.spec.names.kind == *kind).expect("a definition");
        let schema = schema_of(&crd).properties.as_ref().expect("fields")["spec"].clone();
        let spec: Value = serde_saphyr::from_str(spec).expect("YAML");
        let mut breaks = Vec::new();
        break_each(&schema, "/spec", &spec, &mut breaks);
        for Break { at, value, says } in breaks {
            let mut object = json!({ "spec": spec });
            *object.pointer_mut(&at).expect("a field") = value;
            let answer = create(&api, kind, "bound", &object["spec"].to_string(), Run::Dry).await;
            assert!(
                answer.as_ref().is_err_and(|m| m.contains(&says)),
                "{kind} {at}\nexpected: {says}\nanswered: {answer:?}"
            );
            broken.insert(format!("{kind}{at} {says}"));
        }
    }
    println!("{} bounds", broken.len());
    assert!(broken.len() > 150, "only {} bounds were found to break", broken.len());
}

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

#[test]
fn kubectl_shows_how_a_sync_stands() {
    install();
    apply(&[("SpaceSecretSync", "columns", "{}")]);
    let status = r#"{"status":{"space":"newsroom-dev","version":41,"autoSync":"Live","delivery":{"flowApps":1,"pods":7,"loaded":7,"summary":"7/7"},"conditions":[{"type":"Synced","status":"True","reason":"Synced","message":"","lastTransitionTime":"2026-11-01T00:00:00Z"}]}}"#;
    kubectl(&format!("patch sss columns --subresource=status --type=merge -p {status}"), "").done();
    let shown = kubectl("get sss columns", "").done();
    let columns = ["NAME", "SPACE", "VERSION", "SYNCED", "DELIVERED", "AUTO", "SYNC", "AGE"];
    let values = ["columns", "newsroom-dev", "41", "True", "7/7", "Live"];
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], columns, "{shown}");
    assert_eq!(lines[1][..values.len()], values, "{shown}");
}

#[test]
fn the_other_kinds_have_their_columns() {
    install();
    apply(&[
        ("SecretManager", "columns", "{kubernetes: {}}"),
        ("Space", "columns", "{secretManagerRef: {name: columns}}"),
        ("FlowApp", "columns", "{version: 5.3.0, workloadRef: {kind: Deployment, name: a}}"),
    ]);
    for (resource, columns) in [
        ("sm", "NAME STORE READY REASON SPACES CHECKED AGE"),
        ("spaces", "NAME DISPLAY NAME MANAGER BOUND READY REASON AGE"),
        ("fa", "NAME VERSION SYNC INJECTED LOADED RELOAD AGE"),
    ] {
        let shown = kubectl(&format!("get {resource} columns"), "").done();
        let first: Vec<&str> = shown.lines().next().unwrap_or_default().split_whitespace().collect();
        assert_eq!(first.join(" "), columns);
    }
}

#[test]
fn the_category_holds_the_namespaced_kinds_and_no_others() {
    install();
    let listed = kubectl("api-resources --categories=spacesync -o name --no-headers", "").done();
    let mut names: Vec<&str> = listed.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["flowapps.spacesync.dev", "spacesecretsyncs.spacesync.dev"]);
    apply(&[
        ("SpaceSecretSync", "category", "{}"),
        ("FlowApp", "category", "{version: 5.3.0, workloadRef: {kind: Deployment, name: a}}"),
    ]);
    let shown = kubectl("get spacesync -o name", "").done();
    for name in ["spacesecretsync.spacesync.dev/category", "flowapp.spacesync.dev/category"] {
        assert!(shown.lines().any(|line| line == name), "{shown}");
    }
}

#[tokio::test]
async fn kubectl_explain_describes_every_field() {
    let api = client().await;
    install();
    // The document that `kubectl explain` prints from; asking it for each field would take a minute.
    let request = http::Request::get("/openapi/v3/apis/spacesync.dev/v1alpha1").body(Vec::new()).expect("a request");
    let document: Value = serde_json::from_str(&api.request_text(request).await.expect("the document")).expect("JSON");
    let mut fields = 0;
    for kind in ["SecretManager", "Space", "SpaceSecretSync", "FlowApp"] {
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        let (_, schema) = schemas.iter().find(|(name, _)| name.ends_with(&format!(".{kind}"))).expect("the kind");
        for part in ["spec", "status"] {
            described(&format!("{kind}.{part}"), &schema["properties"][part], &mut fields);
        }
    }
    assert!(fields > 100, "only {fields} fields were looked at");
    for (field, words) in [
        ("sss.spec.autoSync", "Defaults to Live"),
        ("fa.spec.mountPath", "Defaults to `/var/run/spacesync`"),
        ("spaces.spec.onUnbind", "Defaults to Retain"),
        ("sm.spec.openBao.auth.tokenSecret", "operator's namespace"),
        ("sss", "brings the secrets of the space"),
    ] {
        let explained = kubectl(&format!("explain {field}"), "").done();
        let explained = explained.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(explained.contains(words), "{field}: {explained}");
    }
}

#[test]
fn status_is_written_apart_from_spec() {
    install();
    let forged = manifest("SpaceSecretSync", "apart", "{autoSync: 1m}") + "status: {space: forged}\n";
    kubectl("apply -f -", &forged).done();
    let read = |path: &str| kubectl(&format!("get sss apart -o jsonpath={{{path}}}"), "").done();
    assert_eq!(read(".status.space"), "", "whoever may write a sync must not write its status");
    let patch = r#"{"status":{"space":"told"},"spec":{"autoSync":"24h"}}"#;
    kubectl(&format!("patch sss apart --subresource=status --type=merge -p {patch}"), "").done();
    assert_eq!(
        (read(".status.space"), read(".spec.autoSync"), read(".metadata.generation")),
        ("told".into(), "1m".into(), "1".into())
    );
}

#[test]
fn installing_them_warns_of_nothing() {
    let said = kubectl("apply --server-side --force-conflicts -f -", &spacesync::cli::crds::stream().expect("YAML"));
    assert!(said.ok && !said.err.contains("Warning"), "{said:?}");
}

// ---------------------------------------------------------------------------------------------------------------------

/// A client of the cluster's admin. One for each test, since it lives on that test's runtime.
async fn client() -> Client {
    let kubeconfig = Kubeconfig::read_from(plane().kubeconfig()).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a config");
    // kube's own connector leaves Nagle's algorithm on: each request with a body then waits 40 ms for the delayed
    // acknowledgement of its head.
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let tls = config.rustls_https_connector_with_connector(tcp).expect("TLS");
    let service = tower::ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().expect("a token"))
        .map_err(tower::BoxError::from)
        .service(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(tls));
    Client::new(service, config.default_namespace)
}

#[derive(Clone, Copy, PartialEq)]
enum Run {
    Dry,
    Real,
}

/// The definitions, served.
fn install() {
    static INSTALLED: std::sync::Once = std::sync::Once::new();
    INSTALLED.call_once(|| {
        let yaml = spacesync::cli::crds::stream().expect("the definitions as YAML");
        kubectl("apply --server-side --force-conflicts -f -", &yaml).done();
        kubectl("wait --for=condition=Established --timeout=30s -f -", &yaml).done();
        served("sss");
    });
}

fn manifest(kind: &str, name: &str, spec: &str) -> String {
    format!("---\napiVersion: spacesync.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

fn apply(objects: &[(&str, &str, &str)]) {
    let text: String = objects.iter().map(|(kind, name, spec)| manifest(kind, name, spec)).collect();
    kubectl("apply -f -", &text).done();
}

/// Sends an object as kubectl does (YAML read by the server's own parser, unknown fields refused); the answer's message
/// is what kubectl prints.
async fn create(api: &Client, kind: &str, name: &str, spec: &str, run: Run) -> Result<String, String> {
    install();
    let crd = crds().into_iter().find(|crd| crd.spec.names.kind == kind).expect("a definition");
    let namespace = if crd.spec.scope == "Namespaced" { "namespaces/default/" } else { "" };
    let dry = if run == Run::Dry { "&dryRun=All" } else { "" };
    let path = format!("/apis/spacesync.dev/v1alpha1/{namespace}{}?fieldValidation=Strict{dry}", crd.spec.names.plural);
    let body =
        format!("{{apiVersion: spacesync.dev/v1alpha1, kind: {kind}, metadata: {{name: {name}}}, spec: {spec}}}");
    let request = http::Request::post(path).header("content-type", "application/yaml").body(body.into_bytes());
    match api.request_text(request.expect("a request")).await {
        Ok(object) => Ok(object),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(error) => panic!("{kind} {spec}: {error}"),
    }
}

fn mounted_at(path: &str) -> String {
    format!("{{version: 5.3.0, workloadRef: {{kind: Deployment, name: a}}, mountPath: \"{path}\"}}")
}

fn schema_of(
    crd: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
) -> &JSONSchemaProps {
    let schema = crd.spec.versions[0].schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
    schema.expect("a schema")
}

/// The message of every rule below here.
fn messages(schema: &JSONSchemaProps, found: &mut Vec<String>) {
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        found.push(rule.message.clone().expect("each rule has a message"));
    }
    schema.properties.iter().flatten().for_each(|(_, property)| messages(property, found));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        messages(items, found);
    }
}

/// One field made wrong.
struct Break {
    at: String,
    value: Value,
    says: String,
}

fn break_each(schema: &JSONSchemaProps, at: &str, value: &Value, found: &mut Vec<Break>) {
    let field = at.trim_start_matches('/').replace("/0", "[0]").replace('/', ".");
    let mut add = |value: Value, says: String| found.push(Break { at: at.to_owned(), value, says });
    match schema.type_.as_deref() {
        Some("string") => {
            add(json!(7), "in body must be of type string: \"integer\"".into());
            if let Some(max) = schema.max_length {
                add(
                    json!("a".repeat(usize::try_from(max).expect("small") + 1)),
                    format!("Too long: may not be more than {max} bytes"),
                );
            }
            if let Some(min) = schema.min_length.filter(|min| *min > 0) {
                add(json!(""), format!("should be at least {min} chars long"));
            }
            if schema.enum_.is_some() {
                add(json!("Bogus"), format!("{field}: Unsupported value: \"Bogus\": supported values"));
            }
        }
        Some("integer") => {
            add(json!("7"), "in body must be of type integer: \"string\"".into());
            if let Some(max) = schema.maximum {
                add(json!(max + 1.0), "should be less than or equal to".into());
            }
            if let Some(min) = schema.minimum {
                add(json!(min - 1.0), "should be greater than or equal to".into());
            }
        }
        Some("boolean") => add(json!("true"), "in body must be of type boolean: \"string\"".into()),
        Some("array") => {
            add(json!({}), "in body must be of type array: \"object\"".into());
            if let Some(max) = schema.max_items {
                let one = value.get(0).cloned().unwrap_or(json!("a"));
                add(
                    Value::Array(vec![one; usize::try_from(max).expect("small") + 1]),
                    format!("must have at most {max} items"),
                );
            }
        }
        _ => {
            add(json!("text"), "in body must be of type object: \"string\"".into());
            if let Some(max) = schema.max_properties {
                let many = (0..=max).map(|n| (format!("k{n}"), json!("v"))).collect();
                add(Value::Object(many), format!("must have at most {max} items"));
            }
        }
    }
    for name in schema.required.iter().flatten() {
        let mut without = value.clone();
        without.as_object_mut().expect("an object").remove(name);
        found.push(Break { at: at.to_owned(), value: without, says: format!("{field}.{name}: Required value") });
    }
    for (name, part) in value.as_object().into_iter().flatten() {
        if let Some(property) = schema.properties.as_ref().and_then(|properties| properties.get(name)) {
            break_each(property, &format!("{at}/{name}"), part, found);
        } else if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
            break_each(values, &format!("{at}/{}", name.replace('/', "~1")), part, found);
        }
    }
    if let (Some(JSONSchemaPropsOrArray::Schema(items)), Some(first)) = (&schema.items, value.get(0)) {
        break_each(items, &format!("{at}/0"), first, found);
    }
}

fn described(path: &str, schema: &Value, fields: &mut usize) {
    *fields += 1;
    let description = schema["description"].as_str().unwrap_or_default();
    assert!(!description.is_empty(), "kubectl explain has no word on {path}");
    let inner = if schema.get("items").is_some() { &schema["items"] } else { schema };
    for (name, property) in inner["properties"].as_object().into_iter().flatten() {
        described(&format!("{path}.{name}"), property, fields);
    }
}
