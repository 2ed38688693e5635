//! `SecretManager`: where the secrets of spaces are kept.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{Timestamp, schema};

/// Where a space's secrets are kept. Exactly one kind of store.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "spacesync.dev",
    version = "v1alpha1",
    kind = "SecretManager",
    plural = "secretmanagers",
    singular = "secretmanager",
    shortname = "sm",
    status = "SecretManagerStatus",
    derive = "PartialEq",
    doc = "A SecretManager says where the secrets of spaces are kept: OpenBao or HashiCorp Vault, Spacesync's own manager over HTTPS, or Kubernetes Secrets. Cluster-scoped; for admins.",
    printcolumn(name = "Store", type_ = "string", json_path = ".status.store"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Spaces", type_ = "integer", json_path = ".status.spaces"),
    printcolumn(name = "Checked", type_ = "date", json_path = ".status.lastChecked"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("a SecretManager's name is used as a label: choose one of at most 63 characters")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.kubernetes), has(self.openBao), has(self.http)].filter(x, x).size() == 1")
    .message("set exactly one of kubernetes, openBao and http: a SecretManager is one store"))]
pub struct SecretManagerSpec {
    /// The embedded store: each space's entry is the Secret `space-<path>` in the operator's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<EmbeddedStore>,
    /// OpenBao or HashiCorp Vault with the KV version 2 engine: one entry per space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_bao: Option<OpenBaoStore>,
    /// Spacesync's own manager over HTTPS, or any server of the same API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpStore>,
    /// How hard the store may be asked. Defaults to 16 at once and 100 a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// The embedded store has no settings.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EmbeddedStore {}

/// OpenBao or HashiCorp Vault, KV version 2.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenBaoStore {
    /// Where the server is, for example `https://openbao.openbao.svc:8200`.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new(r"isURL(self) && self.matches(r'^https?://[^/?#@\s]+(/[^?#@\s]*)?$')")
        .message("must be a URL such as https://openbao.openbao.svc:8200, without user, query and fragment"))]
    pub address: String,
    /// The namespace of the server that the mount and the auth method are in, such as `teams/media`. Defaults to its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[^/ ]+(/[^/ ]+)*$') && !self.split('/').exists(s, s == '.' || s == '..')")
        .message("must be the path of a namespace without a slash at either end, such as teams/media"))]
    pub namespace: Option<String>,
    /// The mount of the KV version 2 engine. Defaults to `secret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.endsWith('/') && !self.split('/').exists(s, s == '' || s == '.' || s == '..')")
        .message("must be a mount path without a slash at either end, such as secret or teams/kv"))]
    pub mount: Option<String>,
    /// What stands before each space's path: the entry is `<pathPrefix><path>`. Defaults to `spaces/`; may be empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.contains('//') && !self.split('/').exists(s, s == '.' || s == '..')")
        .message("must not begin with a slash, or hold //, or . or .. segments: write for example spaces/"))]
    pub path_prefix: Option<String>,
    /// The CA that signed the server's certificate. Defaults to the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
    /// How to log in. Exactly one way.
    pub auth: OpenBaoAuth,
}

/// How to log in at OpenBao.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.tokenSecret), has(self.kubernetes), has(self.appRole)].filter(x, x).size() == 1")
    .message("set exactly one of tokenSecret, kubernetes and appRole"))]
pub struct OpenBaoAuth {
    /// A token kept in a Secret of the operator's namespace. A rotated token is noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret: Option<KeyRef>,
    /// The operator's service account, with a token made for the store's audience.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesAuth>,
    /// A role ID and a secret ID kept in a Secret of the operator's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_role: Option<AppRoleAuth>,
}

/// Log in with a service account token made for the store.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KubernetesAuth {
    /// The mount of the auth method. Defaults to `kubernetes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.endsWith('/') && !self.split('/').exists(s, s == '' || s == '.' || s == '..')")
        .message("must be a mount path without a slash at either end, such as kubernetes or teams/kubernetes"))]
    pub mount: Option<String>,
    /// The role to log in as.
    #[schemars(length(min = 1, max = 253))]
    pub role: String,
    /// The audience that the token is made for: the store's, never the API server's own.
    #[schemars(length(min = 1, max = 253))]
    pub audience: String,
}

/// Log in with an `AppRole`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppRoleAuth {
    /// The mount of the auth method. Defaults to `approle`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.endsWith('/') && !self.split('/').exists(s, s == '' || s == '.' || s == '..')")
        .message("must be a mount path without a slash at either end, such as approle or teams/approle"))]
    pub mount: Option<String>,
    /// The role ID.
    #[schemars(length(min = 1, max = 253))]
    pub role_id: String,
    /// The Secret that holds the secret ID.
    pub secret_id_secret: KeyRef,
}

/// Spacesync's own manager over HTTPS.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpStore {
    /// Where the manager is.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new(r"isURL(self) && self.matches(r'^https://[^/?#@\s]+(/[^?#@\s]*)?$')")
        .message("must be an https URL such as https://secrets.example.org, without user, query and fragment"))]
    pub url: String,
    /// The CA that signed the server's certificate. Defaults to the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
    /// How to log in. Exactly one way.
    pub auth: HttpAuth,
}

/// How to log in at a manager.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.bearerSecret), has(self.clientCredentials)].filter(x, x).size() == 1")
    .message("set exactly one of bearerSecret and clientCredentials"))]
pub struct HttpAuth {
    /// A bearer token kept in a Secret of the operator's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_secret: Option<KeyRef>,
    /// OAuth 2.0 client credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_credentials: Option<ClientCredentials>,
}

/// OAuth 2.0 client credentials (RFC 6749, section 4.4).
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientCredentials {
    /// The token endpoint.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new(r"isURL(self) && self.matches(r'^https://[^/?#@\s]+(/[^#@\s]*)?$')")
        .message("must be an https URL such as https://login.example.org/token, without user and fragment"))]
    pub token_url: String,
    /// The client's ID.
    #[schemars(length(min = 1, max = 253))]
    pub client_id: String,
    /// The Secret that holds the client's secret.
    pub client_secret: KeyRef,
}

/// A CA bundle in PEM.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CaBundle {
    /// A key of a `ConfigMap` in the operator's namespace.
    pub config_map: KeyRef,
}

/// One key of a Secret or `ConfigMap` in the operator's namespace, and nowhere else.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeyRef {
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(schema::OBJECT_NAME)
        .message("must be the name of an object in the operator's namespace, such as bao-token"))]
    pub name: String,
    /// The key in its data.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._a-zA-Z0-9]+$')").message("must be a key of its data, such as token"))]
    pub key: String,
}

/// How hard the store may be asked.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Requests at once. Defaults to 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub concurrency: Option<u32>,
    /// Requests a second. Defaults to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub per_second: Option<u32>,
}

/// What was last seen of the store.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretManagerStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The kind of store: `Kubernetes`, `OpenBao` or `HTTP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// How many spaces are kept there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spaces: Option<usize>,
    /// When the store last answered; written at most once in 15 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_checked: Option<Timestamp>,
    /// `Ready`, and `Reconciling` or `Stalled` while they hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
