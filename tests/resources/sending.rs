//! How objects are sent, as kubectl does it.

use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioExecutor};
use kube::{
    Client, Config,
    client::{Body, ConfigExt},
    config::{KubeConfigOptions, Kubeconfig},
};
use spacesync::resources::crds;

use crate::api_server::{kubectl, plane, served};

/// A client of the cluster's admin. One for each test, since it lives on that test's runtime.
pub async fn client() -> Client {
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
pub enum Run {
    Dry,
    Real,
}

/// The definitions, served.
pub fn install() {
    static INSTALLED: std::sync::Once = std::sync::Once::new();
    INSTALLED.call_once(|| {
        let yaml = spacesync::cli::crds::stream().expect("the definitions as YAML");
        kubectl("apply --server-side --force-conflicts -f -", &yaml).done();
        kubectl("wait --for=condition=Established --timeout=30s -f -", &yaml).done();
        served("sss");
    });
}

pub fn manifest(kind: &str, name: &str, spec: &str) -> String {
    format!("---\napiVersion: spacesync.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

pub fn apply(objects: &[(&str, &str, &str)]) {
    let text: String = objects.iter().map(|(kind, name, spec)| manifest(kind, name, spec)).collect();
    kubectl("apply -f -", &text).done();
}

/// Sends an object as kubectl does (YAML read by the server's own parser, unknown fields refused); the answer's message
/// is what kubectl prints.
pub async fn create(api: &Client, kind: &str, name: &str, spec: &str, run: Run) -> Result<String, String> {
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
