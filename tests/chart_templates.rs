//! What the chart makes of its values: the objects of deploy/, and nothing that an API server would refuse.

mod api_server;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use api_server::kubectl;
use clap::CommandFactory;
use devcluster::binaries::{self, Tool};
use serde_json::{Value as Json, json};

const NAMESPACE: &str = "spacesync-system";

/// Every value at another than its default.
const EVERYTHING: &str = include_str!("chart/everything.yaml");

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).expect(path)
}

/// What helm says: objects, or why there are none.
fn helm(action: &[&str], more: &[&str]) -> Result<String, String> {
    let mut helm = Command::new(binaries::find(Tool::Helm).expect("helm"));
    // It keeps caches and settings in the home of whoever calls it.
    helm.env("HELM_CACHE_HOME", env!("CARGO_TARGET_TMPDIR")).env("HELM_CONFIG_HOME", env!("CARGO_TARGET_TMPDIR"));
    let out = helm.args(action).arg(repository("charts/spacesync")).args(more).output().expect("helm starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr) + &text(&out.stdout)) }
}

fn template(namespace: &str, more: &[&str]) -> Result<Objects, String> {
    Ok(named(rendered(namespace, more)?))
}

fn rendered(namespace: &str, more: &[&str]) -> Result<Vec<Json>, String> {
    let text = helm(&["template", "spacesync"], &[&["--namespace", namespace], more].concat())?;
    Ok(parsed(&text))
}

/// By kind and name.
type Objects = BTreeMap<String, Json>;

fn objects(yaml: &str) -> Objects {
    named(parsed(yaml))
}

fn parsed(yaml: &str) -> Vec<Json> {
    let all: Vec<Json> = serde_saphyr::from_multiple(yaml).expect("YAML");
    all.into_iter().filter(Json::is_object).collect()
}

fn named(all: Vec<Json>) -> Objects {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let name = |object: &Json| format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]));
    all.into_iter().map(|object| (name(&object), object)).collect()
}

/// The same, with their namespaces: where some are served there is a role of one name in each.
fn placed(all: Vec<Json>) -> Objects {
    let place = |object: &Json| object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    let one = |object: Json| {
        let place = place(&object);
        named(vec![object]).into_iter().map(move |(name, object)| (format!("{name} {place}"), object))
    };
    all.into_iter().flat_map(one).collect()
}

/// The objects of a kustomization and of those that it names.
fn kustomized(folder: &Path) -> Objects {
    let file = fs::read_to_string(folder.join("kustomization.yaml")).expect("a kustomization");
    let kustomization: Json = serde_saphyr::from_str(&file).expect("YAML");
    let resources = kustomization["resources"].as_array().expect("resources").iter().filter_map(Json::as_str);
    let paths = resources.map(|name| folder.join(name));
    let read = |path: PathBuf| {
        if path.is_dir() { kustomized(&path) } else { objects(&fs::read_to_string(path).expect("a resource")) }
    };
    paths.flat_map(read).collect()
}

/// What Helm and a chart add to each object, which says nothing of what it does.
fn without_marks(mut objects: Objects) -> Objects {
    for object in objects.values_mut() {
        let metadata = object["metadata"].as_object_mut().expect("metadata");
        if let Some(labels) = metadata.get_mut("labels").and_then(Json::as_object_mut) {
            for part in ["instance", "version", "managed-by"] {
                labels.remove(&format!("app.kubernetes.io/{part}"));
            }
            labels.remove("helm.sh/chart");
        }
        if object["kind"] == "CustomResourceDefinition" {
            let metadata = object["metadata"].as_object_mut().expect("metadata");
            assert_eq!(metadata.remove("annotations"), Some(json!({"helm.sh/resource-policy": "keep"})));
            metadata.remove("labels");
        }
    }
    objects
}

fn everything() -> PathBuf {
    repository("tests/chart/everything.yaml")
}

#[test]
fn it_makes_the_objects_of_deploy() {
    let made = without_marks(template(NAMESPACE, &[]).expect("objects"));
    let mut wanted = kustomized(&repository("deploy"));
    // A chart cannot make the namespace that its release is kept in.
    wanted.remove(&format!("Namespace {NAMESPACE}")).expect("a namespace");
    assert_eq!(made.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    for (name, object) in &wanted {
        assert_eq!(&made[name], object, "{name}: deploy/ is right, the chart left");
    }
}

#[test]
fn for_some_namespaces_only_it_makes_the_objects_of_deploy_namespaced() {
    const WATCHED: &str = "newsroom-dev";
    // The operator's own is none of those that are served.
    let set = format!("--set=watchNamespaces={{{WATCHED},{NAMESPACE}}}");
    let mut made = without_marks(placed(rendered(NAMESPACE, &[&set]).expect("objects")));
    let mut wanted: Vec<Json> = kustomized(&repository("deploy")).into_values().collect();
    let replaced = parsed(&read("deploy/rbac.yaml"));
    wanted.retain(|object| object["kind"] != "Namespace" && !replaced.contains(object));
    wanted.extend(parsed(&read("deploy/namespaced/rbac.yaml")));
    let within = |mut object: Json| {
        object["metadata"]["namespace"] = json!(WATCHED);
        object
    };
    wanted.extend(parsed(&read("deploy/namespaced/watched.yaml")).into_iter().map(within));
    let env = made.get_mut(&format!("Deployment spacesync {NAMESPACE}")).expect("the operator");
    let env = env["spec"]["template"]["spec"]["containers"][0]["env"].as_array_mut().expect("its environment");
    let told =
        env.iter().position(|variable| variable["name"] == "SPACESYNC_WATCH_NAMESPACES").expect("what it watches");
    assert_eq!(env.remove(told)["value"], format!("{WATCHED},{NAMESPACE}"));
    let wanted = placed(wanted);
    assert_eq!(made.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    for (name, object) in &wanted {
        assert_eq!(&made[name], object, "{name}: deploy/namespaced/ is right, the chart left");
    }
}

#[test]
fn for_some_namespaces_only_tenants_have_the_roles_that_they_have_anyway() {
    let [all, some] = ["deploy/rbac.yaml", "deploy/namespaced/rbac.yaml"].map(|path| objects(&read(path)));
    for same in [
        "ServiceAccount spacesync",
        "ClusterRoleBinding spacesync-operator",
        "ClusterRole spacesync-edit",
        "ClusterRole spacesync-view",
    ] {
        assert_eq!(all[same], some[same], "{same}");
    }
}

#[test]
fn its_definitions_are_those_that_the_code_makes() {
    for (name, text) in spacesync::cli::crds::files().expect("definitions") {
        let path = format!("charts/spacesync/files/crds/{name}");
        assert!(read(&path) == text, "{path} is not what the code makes: run `make generate`");
    }
}

#[test]
fn a_namespace_may_have_a_name_that_reads_like_a_number() {
    for (name, object) in template("2024", &[]).expect("objects") {
        let namespace = &object["metadata"]["namespace"];
        assert!(namespace.is_null() || namespace == "2024", "{name}: {namespace}");
        for text in ["\"kubernetes.io/metadata.name\":2024", "\"values\":[2024]", "\"namespace\":2024"] {
            assert!(!object.to_string().contains(text), "{name}: {text}");
        }
    }
}

#[test]
fn in_another_namespace_nothing_names_the_usual_one() {
    let made = template("elsewhere", &[]).expect("objects");
    let some = placed(rendered("elsewhere", &["--set=watchNamespaces={newsroom-dev}"]).expect("objects"));
    for (name, object) in made.iter().chain(&some) {
        // Descriptions of fields may name it.
        if object["kind"] != "CustomResourceDefinition" {
            assert!(!object.to_string().contains(NAMESPACE), "{name}: {object}");
        }
    }
    let user = "request.userInfo.username == 'system:serviceaccount:elsewhere:spacesync'";
    let policies = made.values().filter(|object| object["kind"] == "ValidatingAdmissionPolicy");
    assert_eq!(policies.filter(|policy| policy["spec"]["matchConditions"][0]["expression"] == user).count(), 3);
}

#[test]
fn helm_finds_nothing_to_complain_of() {
    helm(&["lint", "--strict"], &[]).expect("no complaint");
    helm(&["lint", "--strict"], &["--values", &everything().to_string_lossy()]).expect("no complaint");
}

#[test]
fn an_api_server_takes_all_of_it_to_the_letter() {
    kubectl(&format!("create namespace {NAMESPACE}"), "").done();
    // Those of chart/everything.yaml.
    for watched in ["team-a", "team-b"] {
        kubectl(&format!("create namespace {watched}"), "").done();
    }
    kubectl(&format!("label namespace {NAMESPACE} pod-security.kubernetes.io/warn=restricted"), "").done();
    for values in [vec![], vec!["--values".to_owned(), everything().to_string_lossy().into_owned()]] {
        let more: Vec<&str> = values.iter().map(String::as_str).collect();
        let mut made = placed(rendered(NAMESPACE, &more).expect("objects"));
        // Of kinds that others define.
        made.retain(|name, _| !name.starts_with("ServiceMonitor") && !name.starts_with("Certificate "));
        let list = json!({"apiVersion": "v1", "kind": "List", "items": made.into_values().collect::<Vec<_>>()});
        let said = kubectl("apply --server-side --dry-run=server --validate=strict -f -", &list.to_string());
        assert!(said.ok && said.err.is_empty(), "{said:?}");
    }
}

/// As the README says of it.
#[test]
fn the_address_of_an_installed_service_cannot_be_changed_until_the_service_goes() {
    kubectl("create namespace kept", "").done();
    let applied = |address: &str| {
        let set = format!("--set=service.clusterIP={address}");
        let service = &template("kept", &[&set]).expect("objects")["Service spacesync"];
        kubectl("apply --server-side --force-conflicts -f -", &service.to_string())
    };
    applied("10.96.0.83").done();
    let said = applied("10.96.0.84");
    assert!(!said.ok && said.err.contains("spec.clusterIP"), "{said:?}");
    kubectl("delete service/spacesync -n kept", "").done();
    applied("10.96.0.84").done();
}

#[test]
fn every_value_arrives() {
    let made = template(NAMESPACE, &["--values", &everything().to_string_lossy()]).expect("objects");
    let all = serde_json::to_string(&made).expect("JSON");
    let mut missing = leaves(&serde_saphyr::from_str(EVERYTHING).expect("YAML"));
    // Those that leave something out or are left out themselves are looked for below.
    let others = [
        "crds.install",
        "crds.keep",
        "tenantRoles.create",
        "podDisruptionBudget.enabled",
        "serviceMonitor.enabled",
        "image.tag",
    ];
    missing.retain(|path, value| {
        !others.contains(&path.as_str()) && !all.contains(value.trim_matches(['{', '}', '[', ']']))
    });
    assert_eq!(missing, BTreeMap::new(), "values that are nowhere in what is made");
    let kinds: Vec<&str> = made.keys().filter_map(|name| name.split(' ').next()).collect();
    for absent in ["CustomResourceDefinition", "PodDisruptionBudget"] {
        assert!(!kinds.contains(&absent), "{absent}");
    }
    assert!(!made.contains_key("ClusterRole spacesync-edit") && !made.contains_key("ClusterRole spacesync-view"));
    let certificate = &made["Certificate spacesync-api"]["spec"];
    let names =
        json!(["spacesync.spacesync-system.svc", "spacesync.spacesync-system.svc.cluster.local", "secrets.example"]);
    assert_eq!((&certificate["dnsNames"], &certificate["secretName"]), (&names, &json!("spacesync-api-tls")));
    let pods = &made["Deployment spacesync"]["spec"]["template"];
    let image =
        "registry.example/mirror/spacesync@sha256:0000000000000000000000000000000000000000000000000000000000000001";
    assert_eq!(pods["spec"]["containers"][0]["image"], image);
    assert_eq!(pods["metadata"]["labels"]["team"], "platform");
    let monitor = &made["ServiceMonitor spacesync"]["metadata"]["labels"];
    assert_eq!((&monitor["release"], &monitor["team"]), (&json!("prometheus"), &json!("observability")));
}

#[test]
fn every_flag_of_the_operator_is_set_or_stands_at_its_port() {
    let made = template(NAMESPACE, &["--values", &everything().to_string_lossy()]).expect("objects");
    let container = &made["Deployment spacesync"]["spec"]["template"]["spec"]["containers"][0];
    let all = |list: &str, field: &str| -> Vec<String> {
        container[list].as_array().expect(list).iter().map(|one| one[field].to_string()).collect()
    };
    let (set, ports) = (all("env", "name"), all("ports", "containerPort"));
    let cli = spacesync::cli::Cli::command();
    let operator = cli.find_subcommand("operator").expect("a subcommand");
    for flag in operator.get_arguments().filter(|flag| flag.get_id() != "help") {
        let variable = flag.get_env().and_then(|name| name.to_str()).expect("a variable");
        // A pod has its network to itself, so where it listens need not be chosen.
        if variable.ends_with("_LISTEN") {
            let default = flag.get_default_values()[0].to_string_lossy();
            assert!(ports.iter().any(|port| default.ends_with(&format!(":{port}"))), "{variable}: {ports:?}");
        } else {
            assert!(set.contains(&format!("{variable:?}")), "{variable} is set by no value: {set:?}");
        }
    }
}

#[test]
fn definitions_stay_after_an_uninstall_unless_told_otherwise() {
    let made = template(NAMESPACE, &["--set=crds.keep=false"]).expect("objects");
    let definitions = made.values().filter(|object| object["kind"] == "CustomResourceDefinition");
    assert_eq!(definitions.filter(|definition| definition["metadata"]["annotations"].is_null()).count(), 4);
}

#[test]
fn a_given_address_is_an_address_of_the_certificate() {
    let set = ["--set=api.url=https://10.96.0.80:8443,api.certificate.issuerRef.name=internal"];
    let certificate = &template(NAMESPACE, &set).expect("objects")["Certificate spacesync-api"]["spec"];
    assert_eq!(certificate["ipAddresses"], json!(["10.96.0.80"]));
    assert_eq!(certificate["dnsNames"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_value_that_cannot_be_right_is_refused_by_its_name() {
    for (value, says) in [
        ("replica=3", "additional properties 'replica' not allowed"),
        ("replicas=0", "at '/replicas': minimum: got 0, want 1"),
        ("watchNamespaces={*}", "at '/watchNamespaces/0'"),
        ("watchNamespaces={a,a}", "at '/watchNamespaces'"),
        ("watchNamespaces={spacesync-system}", "watchNamespaces names only the operator's own namespace"),
        ("rolloutsAtOnce=0", "at '/rolloutsAtOnce': minimum: got 0, want 1"),
        ("image.digest=latest", "at '/image/digest'"),
        ("image.pullPolicy=Sometimes", "at '/image/pullPolicy'"),
        ("api.url=http://a.example", "at '/api/url'"),
        ("logFormat=yaml", "at '/logFormat'"),
        ("service.clusterIP=none", "at '/service/clusterIP'"),
        ("labels.app\\.kubernetes\\.io/name=other", "at '/labels/app.kubernetes.io~1name'"),
        ("api.certificate.issuerRef.kind=ClusterIssuer", "at '/api/certificate/issuerRef'"),
        ("imagePullSecrets[0]=pull", "at '/imagePullSecrets/0'"),
        ("serviceMonitor.interval=30", "at '/serviceMonitor/interval'"),
        ("tolerations[0].effect=NoScheduling", "at '/tolerations/0/effect'"),
    ] {
        let said = template(NAMESPACE, &["--set", value]).expect_err(value);
        assert!(said.contains(says), "{value}: {said}");
    }
}

#[test]
fn the_readme_tells_each_value_with_its_default_and_the_schema_knows_it_and_no_other() {
    let defaults: Json = serde_saphyr::from_str(&read("charts/spacesync/values.yaml")).expect("YAML");
    let readme = read("charts/spacesync/README.md");
    let table = readme.split("|---|---|---|").nth(1).expect("a table of three columns");
    let told: BTreeMap<String, String> = table.lines().filter_map(row).collect();
    assert_eq!(told, leaves(&defaults));
    let schema: Json = serde_json::from_str(&read("charts/spacesync/values.schema.json")).expect("JSON");
    let everything: Json = serde_saphyr::from_str(EVERYTHING).expect("YAML");
    for path in told.keys() {
        let pointer = path.replace('.', "/");
        assert_ne!(everything.pointer(&format!("/{pointer}")), None, "chart/everything.yaml leaves out {path}");
        let mut at = &schema;
        for name in path.split('.').filter(|name| !["cpu", "memory"].contains(name)) {
            at = &at["properties"][name];
            assert!(at.is_object(), "the schema does not know {path}");
        }
    }
    // What Helm hands on from a chart around this one.
    assert_eq!(unknown(&schema, &defaults, ""), ["/global"], "the schema knows what is no value");
}

/// What a schema allows below an object that has defaults, and has none.
fn unknown(schema: &Json, defaults: &Json, path: &str) -> Vec<String> {
    let known = schema["properties"].as_object().into_iter().flatten();
    let below = known.flat_map(|(name, schema)| {
        let path = format!("{path}/{name}");
        match &defaults[name] {
            Json::Null => vec![path],
            Json::Object(fields) if fields.is_empty() => Vec::new(),
            value => unknown(schema, value, &path),
        }
    });
    below.collect()
}

/// Value and default of a row.
fn row(line: &str) -> Option<(String, String)> {
    let mut cells = line.strip_prefix("| ")?.split(" | ").map(|cell| cell.trim_matches('`').to_owned());
    Some((cells.next()?, cells.next()?.trim_matches('"').to_owned()))
}

/// Each value that is no more than itself, by its path.
fn leaves(values: &Json) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![(String::new(), values)];
    while let Some((path, value)) = left.pop() {
        match value {
            Json::Object(fields) if !fields.is_empty() => {
                let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                left.extend(fields.iter().map(|(name, field)| (below(name), field)));
            }
            Json::String(text) => drop(found.insert(path, text.clone())),
            other => drop(found.insert(path, other.to_string())),
        }
    }
    found
}
