//! What all replicas share and nobody may lose: the key of the fingerprints. A Secret of the operator's namespace, made
//! once by whichever replica comes first.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};

use crate::{
    cluster::{Cluster, Error, secrets::NewSecret},
    resources::names::{MANAGED_BY, MANAGER},
    secret::{FingerprintKey, Value},
};

const FINGERPRINT_SECRET: &str = "spacesync-fingerprint-key";

/// The key of every fingerprint.
pub async fn fingerprint_key(cluster: &Cluster, namespace: &str) -> anyhow::Result<FingerprintKey> {
    let data = shared(cluster, namespace, FINGERPRINT_SECRET, "Opaque", || {
        let mut key = vec![0; FingerprintKey::LEN];
        getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        Ok(BTreeMap::from([("key".to_owned(), Value::new(key))]))
    })
    .await?;
    let key = data.get("key").and_then(|key| FingerprintKey::new(key.expose().to_vec()));
    key.with_context(|| {
        format!("Secret {namespace}/{FINGERPRINT_SECRET} has no key of 32 bytes; delete it to have a new one made")
    })
}

/// Reads a Secret, or makes it: creating is atomic, so of two replicas that begin together one reads what the other made.
async fn shared(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    type_: &str,
    make: impl Fn() -> anyhow::Result<BTreeMap<String, Value>>,
) -> anyhow::Result<BTreeMap<String, Value>> {
    for _ in 0..3 {
        let read = cluster.get_secret(namespace, name).await;
        if let Some(secret) = read.with_context(|| format!("read Secret {namespace}/{name}"))? {
            return Ok(secret.data);
        }
        let secret = NewSecret {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            labels: BTreeMap::from([(MANAGED_BY.to_owned(), MANAGER.to_owned())]),
            annotations: BTreeMap::new(),
            data: make()?,
            type_: type_.to_owned(),
            immutable: false,
        };
        match cluster.create_secret(&secret).await {
            Ok(_) => return Ok(secret.data),
            Err(Error::Conflict(_)) => {}
            Err(error) => return Err(error).with_context(|| format!("create Secret {namespace}/{name}")),
        }
    }
    bail!("Secret {namespace}/{name} comes and goes")
}
