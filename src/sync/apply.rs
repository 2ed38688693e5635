//! All that is written for one sync, besides its status.

use super::plan::{Plan, SecretPlan, Write};
use crate::{
    cluster::{self, Error, cache::Item, secrets::SecretMeta},
    operator::Context,
    resources::names::{CHANGE, CONTENT, DELETION_POLICY, MANAGED_BY, REVISION, SPACE, SYNC},
};
use k8s_openapi::api::core::v1::Secret;

/// What came of a plan.
#[derive(Debug)]
pub enum Applied {
    /// Nothing was to be written.
    Nothing,
    /// The managed Secret as it is now.
    Written(Box<SecretMeta>),
    /// The managed Secret was deleted.
    Deleted,
    /// It was to be created, and a Secret of that name is there that the caches do not know: it must be looked at.
    Exists,
    /// The API server refused it for good reasons.
    Refused(Error),
}

/// Writes what the plan says. An error is one that a retry mends.
pub async fn apply(ctx: &Context, plan: &Plan) -> cluster::Result<Applied> {
    let applied = match &plan.secret {
        SecretPlan::Leave => Applied::Nothing,
        SecretPlan::Delete(secret) => {
            delete(ctx, secret).await?;
            Applied::Deleted
        }
        SecretPlan::Write(write) => match self::write(ctx, write).await {
            Ok(meta) => {
                // At once, and not when the watch comes round: the flow apps are queued by this.
                ctx.caches.managed.put(meta.clone());
                Applied::Written(Box::new(meta))
            }
            Err(Error::Conflict(_)) if write.over.is_none() => Applied::Exists,
            Err(error @ (Error::Forbidden(_) | Error::Invalid(_) | Error::TooLarge)) => Applied::Refused(error),
            Err(error) => return Err(error),
        },
    };
    Ok(applied)
}

/// Parts with the Secrets of earlier target names, when the new one stands and is told of: one that cannot be parted with
/// keeps back nothing else.
pub async fn part_with_strays(ctx: &Context, plan: &Plan, applied: &Applied) -> cluster::Result<()> {
    let mut parted = Ok(());
    if !matches!(applied, Applied::Refused(_)) {
        for stray in &plan.strays {
            parted = parted.and(part_with(ctx, stray).await);
        }
    }
    parted
}

async fn write(ctx: &Context, write: &Write) -> cluster::Result<SecretMeta> {
    match &write.over {
        None => ctx.cluster.create_secret(&write.secret).await,
        Some(over) if write.anew => {
            // What a quota or a policy refuses would be refused when the last good has gone, too.
            ctx.cluster.try_secret(&write.secret).await.map_err(stays)?;
            ctx.cluster.delete::<Secret>(Some(&over.namespace), &over.name, &over.uid).await?;
            ctx.cluster.create_secret(&write.secret).await
        }
        Some(over) => ctx.cluster.replace_secret(&write.secret, over).await,
    }
}

fn stays(error: Error) -> Error {
    match error {
        Error::Forbidden(why) => {
            Error::Forbidden(format!("{why}; it has to be deleted and made anew, and stays until that is allowed"))
        }
        other => other,
    }
}

async fn delete(ctx: &Context, secret: &SecretMeta) -> cluster::Result<()> {
    ctx.cluster.delete::<Secret>(Some(&secret.namespace), &secret.name, &secret.uid).await?;
    ctx.caches.managed.remove(&secret.key());
    Ok(())
}

/// A managed Secret whose sync has gone, or has another target now: deleted, or let go where it is to be retained.
pub async fn part_with(ctx: &Context, secret: &SecretMeta) -> cluster::Result<()> {
    if !secret.retain {
        delete(ctx, secret).await?;
        tracing::info!(secret = %secret.key(), "deleted a managed Secret whose sync has gone");
        return Ok(());
    }
    let Some(mut full) = ctx.cluster.get_secret(&secret.namespace, &secret.name).await? else { return Ok(()) };
    // Without our marks it is not ours any more: a later sync of that name must be let in by its owner.
    let mut labels = full.object_meta.labels.take().unwrap_or_default();
    let mut annotations = full.object_meta.annotations.take().unwrap_or_default();
    labels.retain(|name, _| ![MANAGED_BY, SYNC, SPACE].contains(&name.as_str()));
    annotations.retain(|name, _| ![REVISION, CHANGE, CONTENT, DELETION_POLICY].contains(&name.as_str()));
    let released = cluster::secrets::NewSecret {
        namespace: secret.namespace.clone(),
        name: secret.name.clone(),
        labels,
        annotations,
        data: full.data,
        type_: full.type_,
        immutable: full.immutable,
    };
    ctx.cluster.replace_secret(&released, &full.meta).await?;
    ctx.caches.managed.remove(&secret.key());
    tracing::info!(secret = %secret.key(), "retained a managed Secret whose sync has gone; it is not ours any more");
    Ok(())
}
