//! Builds the store that a `SecretManager` describes. The only place where credentials are read.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use secrecy::SecretString;

use super::{
    identity,
    plan::{Auth, Wanted, wanted},
};
use crate::{
    cluster::{self, Error, cache::Key},
    operator::Context,
    resources::{
        Reason, SecretManager,
        condition::Verdict,
        secret_manager::{self, KeyRef, OpenBaoStore},
    },
    space::reach::Inputs,
    store::{
        Store,
        embedded::Embedded,
        openbao::{Credential, Limits, Observer, OpenBao, Settings},
    },
};

/// Why a store cannot be built.
enum Unbuilt {
    /// Somebody has to write something else.
    Invalid(String),
    /// The operator may not read what it is to be built from.
    Refused(String),
    /// The API server did not say.
    Unknown(Error),
}

impl From<String> for Unbuilt {
    fn from(why: String) -> Self {
        Self::Invalid(why)
    }
}

impl From<Error> for Unbuilt {
    fn from(error: Error) -> Self {
        match error {
            Error::Forbidden(why) => Self::Refused(why),
            other => Self::Unknown(other),
        }
    }
}

/// What the store is to be built from, as the caches know it: costs nothing, and moves when a credential is rotated.
pub fn inputs(ctx: &Context, manager: &SecretManager) -> Inputs {
    let own = |name: &str| Key::new(&ctx.settings.namespace, name);
    let (secret, ca) = match wanted(&manager.spec) {
        Ok(Wanted::OpenBao { store, auth }) => {
            (auth.secret(), store.ca_bundle.as_ref().map(|bundle| &bundle.config_map))
        }
        _ => (None, None),
    };
    let credential = secret.and_then(|reference| ctx.caches.own_secrets.get(&own(&reference.name)));
    let ca = ca.and_then(|reference| ctx.caches.own_config_maps.get(&own(&reference.name)));
    Inputs {
        uid: manager.metadata.uid.clone(),
        generation: manager.metadata.generation,
        credential: credential.map(|object| object.resource_version.clone()),
        ca: ca.map(|object| object.resource_version.clone()),
    }
}

/// What came of building a store.
pub struct Built {
    /// The store, or what keeps it from being used.
    pub store: Result<Store, Verdict>,
    /// The operator may not read what it is to be built from: it is built again by itself, for nothing tells when it may.
    pub was_refused: bool,
}

/// Builds a store. An error is one that a retry mends.
pub async fn store(ctx: &Context, name: &str, manager: &SecretManager) -> cluster::Result<Built> {
    let built = match wanted(&manager.spec) {
        Ok(Wanted::Embedded) => Ok(embedded(ctx)),
        Ok(Wanted::OpenBao { store, auth }) => open_bao(ctx, name, manager, store, auth).await,
        Err(why) => Err(why.into()),
    };
    let was_refused = matches!(built, Err(Unbuilt::Refused(_)));
    let store = match built {
        Ok(store) => Ok(store),
        Err(Unbuilt::Unknown(error)) => return Err(error),
        Err(Unbuilt::Invalid(why) | Unbuilt::Refused(why)) => {
            Err(Verdict::new(false, Reason::SecretManagerInvalid, &[("manager", name), ("why", &why)]))
        }
    };
    Ok(Built { store, was_refused })
}

/// Whether a store costs no request to ask.
pub fn is_embedded(store: &Store) -> bool {
    matches!(store, Store::Kubernetes(_))
}

fn embedded(ctx: &Context) -> Store {
    Store::Kubernetes(Arc::new(Embedded::new(
        ctx.cluster.clone(),
        ctx.caches.clone(),
        ctx.fingerprints.clone(),
        ctx.settings.namespace.clone(),
    )))
}

async fn open_bao(
    ctx: &Context,
    name: &str,
    manager: &SecretManager,
    store: &OpenBaoStore,
    auth: Auth<'_>,
) -> Result<Store, Unbuilt> {
    let ca_pem = match &store.ca_bundle {
        Some(bundle) => Some(ca(ctx, &bundle.config_map).await?),
        None => None,
    };
    let settings = Settings {
        address: store.address.clone(),
        namespace: store.namespace.clone(),
        mount: store.mount.clone().unwrap_or_else(|| "secret".into()),
        path_prefix: store.path_prefix.clone().unwrap_or_else(|| "spaces/".into()),
        ca_pem,
        credential: credential(ctx, auth).await?,
        limits: limits(manager.spec.limits.as_ref()),
        observer: observer(ctx, name),
    };
    let client = OpenBao::new(&settings).map_err(|error| error.to_string())?;
    Ok(Store::OpenBao(Arc::new(client)))
}

async fn credential(ctx: &Context, auth: Auth<'_>) -> Result<Credential, Unbuilt> {
    let mount = |stated: &Option<String>, default: &str| stated.clone().unwrap_or_else(|| default.into());
    Ok(match auth {
        Auth::Token(reference) => Credential::Token(text(ctx, reference).await?),
        Auth::Kubernetes(auth) => Credential::Kubernetes {
            mount: mount(&auth.mount, "kubernetes"),
            role: auth.role.clone(),
            token: identity::tokens(ctx.cluster.clone(), auth.audience.clone()),
        },
        Auth::AppRole(auth) => Credential::AppRole {
            mount: mount(&auth.mount, "approle"),
            role_id: auth.role_id.clone(),
            secret_id: text(ctx, &auth.secret_id_secret).await?,
        },
    })
}

/// Counts logins, and tells of each: there are few.
fn observer(ctx: &Context, manager: &str) -> Observer {
    let (metrics, manager) = (ctx.metrics.clone(), manager.to_owned());
    Observer::new(move |what, error| {
        metrics.count_store(&manager, what, error);
        match error {
            None if what == "login" => tracing::info!(manager, "logged in"),
            None => tracing::debug!(manager, "renewed the login"),
            // What it means for the manager is said once, with its condition.
            Some(error) => tracing::debug!(manager, %error, "a {what} failed"),
        }
    })
}

fn limits(stated: Option<&secret_manager::Limits>) -> Limits {
    let default = Limits::default();
    Limits {
        concurrency: stated.and_then(|limits| limits.concurrency).unwrap_or(default.concurrency),
        per_second: stated.and_then(|limits| limits.per_second).unwrap_or(default.per_second),
        ..default
    }
}

async fn text(ctx: &Context, reference: &KeyRef) -> Result<SecretString, Unbuilt> {
    let KeyRef { name, key } = reference;
    let namespace = &ctx.settings.namespace;
    let secret = ctx.cluster.get_secret(namespace, name).await?;
    let secret = secret.ok_or_else(|| format!("Secret {name} does not exist in {namespace}"))?;
    let value = secret.data.get(key).ok_or_else(|| format!("Secret {name} has no key {key}"))?;
    let text = std::str::from_utf8(value.expose()).map_err(|_| format!("key {key} of Secret {name} is no text"))?;
    if text.trim().is_empty() {
        return Err(format!("key {key} of Secret {name} is empty").into());
    }
    Ok(SecretString::from(text))
}

async fn ca(ctx: &Context, reference: &KeyRef) -> Result<Vec<u8>, Unbuilt> {
    let KeyRef { name, key } = reference;
    let namespace = &ctx.settings.namespace;
    let config_map: Option<ConfigMap> = ctx.cluster.get(Some(namespace), name).await?;
    let config_map = config_map.ok_or_else(|| format!("ConfigMap {name} does not exist in {namespace}"))?;
    let pem = config_map.data.unwrap_or_default().remove(key);
    Ok(pem.ok_or_else(|| format!("ConfigMap {name} has no key {key}"))?.into_bytes())
}
