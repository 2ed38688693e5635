//! When a Secret holds a value, seen by a watch that is open before the change.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{WatchEvent, WatchParams},
};

const LIMIT: Duration = Duration::from_secs(30);

/// How long it takes from the beginning of `change` until `key` of a Secret holds `value`.
pub async fn took(
    secrets: Api<Secret>,
    name: &str,
    (key, value): (&str, &str),
    change: impl Future<Output = Result<()>>,
) -> Result<Duration> {
    let version = secrets.get_metadata(name).await?.metadata.resource_version.context("no resourceVersion")?;
    let params = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut events = secrets.watch(&params, &version).await?.boxed();
    let holds = |secret: &Secret| {
        secret.data.as_ref().and_then(|data| data.get(key)).is_some_and(|seen| seen.0 == value.as_bytes())
    };
    let began = Instant::now();
    change.await?;
    let seen = async {
        while let Some(event) = events.next().await {
            if let WatchEvent::Added(secret) | WatchEvent::Modified(secret) = event?
                && holds(&secret)
            {
                return Ok(began.elapsed());
            }
        }
        bail!("the watch ended")
    };
    tokio::time::timeout(LIMIT, seen).await.with_context(|| format!("{name} does not hold it after {LIMIT:?}"))?
}
