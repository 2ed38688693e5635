//! What all replicas share and nobody may lose: the key of the fingerprints, and the CA of the pods' API. Each is a
//! Secret of the operator's namespace, made once by whichever replica comes first.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};

use crate::{
    cluster::{Cluster, Error, secrets::NewSecret},
    resources::names::{MANAGED_BY, MANAGER},
    secret::{FingerprintKey, Value},
};

const FINGERPRINT_SECRET: &str = "spacesync-fingerprint-key";
const CA_SECRET: &str = "spacesync-api-ca";

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

/// The CA of the pods' API, as the PEM that pods are given.
pub async fn api_ca(cluster: &Cluster, namespace: &str) -> anyhow::Result<String> {
    let data = shared(cluster, namespace, CA_SECRET, "kubernetes.io/tls", || {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "Spacesync pods' API");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Ok(BTreeMap::from([
            ("tls.crt".to_owned(), Value::from(certificate.pem().as_str())),
            ("tls.key".to_owned(), Value::from(key.serialize_pem().as_str())),
        ]))
    })
    .await?;
    let pem = data.get("tls.crt").and_then(|pem| String::from_utf8(pem.expose().to_vec()).ok());
    pem.with_context(|| format!("Secret {namespace}/{CA_SECRET} has no tls.crt; delete it to have a new one made"))
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
        };
        match cluster.create_secret(&secret).await {
            Ok(_) => return Ok(secret.data),
            Err(Error::Conflict(_)) => {}
            Err(error) => return Err(error).with_context(|| format!("create Secret {namespace}/{name}")),
        }
    }
    bail!("Secret {namespace}/{name} comes and goes")
}
