//! The steps of one look at a Space.

use std::sync::Arc;

use super::{apply, gather, plan, rush, status};
use crate::{
    cluster::{
        self,
        cache::{Item, Key},
        queue::Next,
    },
    operator::Context,
    resources::{Space, SpaceStatus},
};

/// Looks at one Space and does what there is to do. One that has gone leaves everything as it is: it may come back.
pub async fn look(ctx: &Arc<Context>, name: &str) -> Next {
    rush::give_way(ctx).await;
    let Some(space) = ctx.caches.spaces.get(&Key::cluster(name)) else { return Next::OnChange };
    let known = gather::known(ctx, space);
    let plan = plan::plan(&known);
    let applied = apply::apply(ctx, &known, &plan).await;
    let new = status::build(&known, &plan, &applied, jiff::Timestamp::now());
    match write_status(ctx, &known.space, new).await {
        Ok(()) => status::next(&plan, &applied),
        Err(error) => {
            tracing::debug!(space = name, %error, "a look failed and is tried again");
            Next::Failed(status::retry(&error))
        }
    }
}

async fn write_status(ctx: &Context, space: &Space, new: SpaceStatus) -> cluster::Result<()> {
    let old = space.status.as_ref();
    let written = ctx.cluster.patch_status(space, old, &new).await?;
    if let Some(written) = written {
        tracing::info!(space = %space.key(), bound = new.summary, "a space is as its status says");
        ctx.caches.spaces.put(written);
    }
    if let Some((reason, message)) = status::warning(old, &new) {
        tracing::warn!(space = %space.key(), %reason, message);
        ctx.events.warn(space, reason, message);
    }
    Ok(())
}
