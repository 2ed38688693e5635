//! Everything that is known of one Space. It all stands in the caches: nothing is asked.

use std::{collections::BTreeMap, sync::Arc};

use kube::ResourceExt;
use sha2::{Digest, Sha256};

use super::binding::{self, Claim};
use crate::{
    cluster::{cache::Key, secrets::SecretMeta},
    operator::{Context, caches::ObjectView},
    resources::{
        Space,
        names::API_CONFIG_MAP,
        space::{BindingState, NamespaceStatus},
    },
};

/// What is known.
#[derive(Debug)]
pub struct Known {
    /// The Space.
    pub space: Arc<Space>,
    /// Whether its `SecretManager` exists.
    pub has_manager: bool,
    /// A digest of what each `ConfigMap` is to tell.
    pub content: String,
    /// The namespaces of its spec, and those that its status remembers.
    pub namespaces: Vec<KnownNamespace>,
}

/// What is known of one namespace.
#[derive(Debug)]
pub struct KnownNamespace {
    /// Its name.
    pub name: String,
    /// What the space has of it; `None` where the spec does not list it any more.
    pub claim: Option<Claim>,
    /// Whether any space has it.
    pub is_held: bool,
    /// Whether it is one of those that are served. Nothing is known of another.
    pub watched: bool,
    /// Whether something can be written there.
    pub exists: bool,
    /// What is called `spacesync-api` there.
    pub config_map: Option<Arc<ObjectView>>,
    /// What the status says of it.
    pub recorded: Option<NamespaceStatus>,
    /// Managed Secrets there with content of this space; looked for only where the space lost the namespace.
    pub secrets: Vec<Arc<SecretMeta>>,
}

impl KnownNamespace {
    /// Whether the space had the namespace, has it no longer, and did not finish its removal.
    pub fn is_lost(&self) -> bool {
        let had = |entry: &NamespaceStatus| matches!(entry.state, BindingState::Bound | BindingState::Unbinding);
        self.claim != Some(Claim::Bound) && self.recorded.as_ref().is_some_and(had)
    }
}

/// Looks it all up.
pub fn known(ctx: &Context, space: Arc<Space>) -> Known {
    let mut recorded: BTreeMap<String, NamespaceStatus> = BTreeMap::new();
    for entry in space.status.iter().flat_map(|status| &status.namespaces) {
        recorded.insert(entry.name.clone(), entry.clone());
    }
    let listed = &space.spec.namespaces;
    let mut namespaces: Vec<_> =
        listed.iter().map(|name| namespace(ctx, &space, name, true, recorded.remove(name))).collect();
    namespaces.extend(recorded.into_iter().map(|(name, entry)| namespace(ctx, &space, &name, false, Some(entry))));
    let manager = Key::cluster(&space.spec.secret_manager_ref.name);
    Known {
        has_manager: ctx.caches.managers.get(&manager).is_some(),
        content: digest(&ctx.settings.api_url, &ctx.trust.bundle()),
        namespaces,
        space,
    }
}

fn namespace(
    ctx: &Context,
    space: &Space,
    name: &str,
    listed: bool,
    recorded: Option<NamespaceStatus>,
) -> KnownNamespace {
    let resolution = binding::resolution(ctx, name);
    let exists = ctx.caches.namespaces.get(&Key::cluster(name)).is_some_and(|namespace| !namespace.terminating);
    let mut known = KnownNamespace {
        name: name.to_owned(),
        claim: resolution.claims.get(&space.name_any()).filter(|_| listed).cloned(),
        is_held: resolution.holder.is_some(),
        watched: ctx.settings.scope.serves(name),
        exists,
        config_map: ctx.caches.api_config_maps.get(&Key::new(name, API_CONFIG_MAP)),
        recorded,
        secrets: Vec::new(),
    };
    if known.is_lost() {
        known.secrets = ctx.caches.managed.in_namespace(name);
        known.secrets.retain(|secret| secret.space.as_deref() == space.metadata.name.as_deref() && !secret.terminating);
    }
    known
}

fn digest(url: &str, ca: &str) -> String {
    let digest = Sha256::new().chain_update(url).chain_update([0]).chain_update(ca).finalize();
    hex::encode(&digest[..8])
}
