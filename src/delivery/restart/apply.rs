//! The steps of one look at a restart: what is written, and whose turn it is.

use super::{Restarted, Step, body, step};
use crate::{
    cluster::{
        Error, Result,
        cache::{Item, Key},
        queue::Lane,
    },
    delivery::{
        apply::{self, By},
        gather::{self, Known},
        plan::Injected,
        restart::CONCERN,
    },
    operator::Context,
    resources::{Reason, flow_app::RestartPhase},
    secret::Content,
};

/// The annotations are ours alone: whoever took them over, as `rollout undo` does, need not be asked.
const BY: By = By { concern: CONCERN, force: true };

/// Rolls the workload where its pods lack what there is and a place is free, or sees how far it is.
pub async fn restart(ctx: &Context, known: &Known, injected: &mut Injected) -> Result<Restarted> {
    let restarted = match step(known, injected) {
        Step::Rest => Ok(Restarted::rest(known)),
        Step::Roll(content) if ctx.budget.ask(&known.key) => roll(ctx, known, injected, &content).await,
        Step::Roll(content) => return Ok(Restarted::waiting(known, &content.revision, ctx.budget.limit())),
        Step::Follow => follow(ctx, known).await,
    };
    let phase = restarted.as_ref().ok().and_then(|restarted| Some(restarted.status.as_ref()?.phase));
    match phase {
        Some(RestartPhase::Rolling) => ctx.budget.hold(&known.key),
        _ => leave(ctx, &known.key),
    }
    restarted
}

/// An app neither rolls nor waits; the next has its place.
pub fn leave(ctx: &Context, app: &Key) {
    if let Some(next) = ctx.budget.leave(app) {
        ctx.queues.flow_apps.add(next, Lane::Normal);
    }
}

async fn roll(ctx: &Context, known: &Known, injected: &mut Injected, content: &Content) -> Result<Restarted> {
    let Some(workload) = &known.workload else { return Ok(Restarted::rest(known)) };
    let revision = &content.revision;
    match apply::write(ctx, workload, BY, &body(workload, revision)).await {
        Ok(now) => {
            // Nobody else changed it in between: it need not be read again for the injection.
            if let Some(seen) = &mut injected.workload
                && now.generation == seen.generation + 1
            {
                seen.generation = now.generation;
            }
            let [(_, kind), (_, name)] = known.workload_args();
            tracing::info!(flow_app = %known.key, revision, workload = %workload.key(), "restarts");
            ctx.metrics.restarts.inc();
            let note = format!("{kind} {name} is rolled for revision {revision}");
            ctx.events.normal(&*known.app, Reason::Restarting, &format!("Restart{revision}"), &note);
            Ok(Restarted::rolling(revision))
        }
        Err(Error::Forbidden(why)) => Ok(Restarted::failed(known, revision, &why)),
        Err(Error::Invalid(why)) if !apply::has_gone(&Error::Invalid(why.clone())) => {
            Ok(Restarted::failed(known, revision, &why))
        }
        Err(error) => Err(error),
    }
}

async fn follow(ctx: &Context, known: &Known) -> Result<Restarted> {
    let Some(workload) = &known.workload else { return Ok(Restarted::rest(known)) };
    let read = gather::workload(ctx, workload).await?;
    Ok(match read {
        Some(read) => Restarted::followed(known, &read.meta, &read.rollout, jiff::Timestamp::now()),
        None => Restarted::rest(known),
    })
}
