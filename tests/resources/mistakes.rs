//! What a user may get wrong, and in which words it is refused.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray};
use spacesync::resources::crds;

use crate::{
    bounds::schema_of,
    good::GOOD,
    paths::{FORBIDDEN_PATHS, NOT_A_PATH, mounted_at},
    sending::{Run, client, create},
};

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
    (
        "SecretManager",
        "{openBao: {pathPrefix: a//b, address: 'https://a.example', auth: {tokenSecret: {name: a, key: b}}}}",
        PREFIX,
    ),
    (
        "SecretManager",
        "{openBao: {address: 'https://a.example', auth: {kubernetes: {mount: ../x, role: r, audience: a}}}}",
        "must be a mount path without a slash at either end, such as kubernetes or teams/kubernetes",
    ),
    (
        "SecretManager",
        "{openBao: {address: 'https://a.example', auth: {appRole: {mount: a//b, roleId: r, secretIdSecret: {name: a, key: b}}}}}",
        "must be a mount path without a slash at either end, such as approle or teams/approle",
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

const OPENBAO_URL: &str = "spec.openBao.address: Invalid value: \"string\": must be a URL such as https://openbao.openbao.svc:8200, without user, query and fragment";
const HTTP_URL: &str = "spec.http.url: Invalid value: \"string\": must be an https URL such as https://secrets.example.org, without user, query and fragment";
const MOUNT: &str = "spec.openBao.mount: Invalid value: \"string\": must be a mount path without a slash at either end, such as secret or teams/kv";
const PREFIX: &str = "spec.openBao.pathPrefix: Invalid value: \"string\": must not begin with a slash, or hold //, or . or .. segments: write for example spaces/";
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
