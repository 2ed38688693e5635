//! The steps of one look at a FlowApp.

use std::{sync::Arc, time::Duration};

use super::{
    apply,
    gather::{self, Known},
    plan::{self, Injected, Look},
    restart::{self, Restarted},
    status,
};
use crate::{
    cluster::{
        self,
        cache::Key,
        queue::{Lane, Next},
    },
    operator::{Context, pace::Weight},
    resources::{Reason, condition::has_reason, reason::Retry},
};

/// An API server that is away is waited for.
const AGAIN: Retry = Retry::Backoff(Duration::from_millis(500), Duration::from_secs(10));

/// Looks at one FlowApp and does what there is to do.
pub async fn look(ctx: &Arc<Context>, key: &Key) -> Next {
    let done = match gather::known(ctx, key) {
        Some(known) => reconcile(ctx, known).await,
        None => farewell(ctx, key).await,
    };
    done.unwrap_or_else(|error| {
        tracing::debug!(flow_app = %key, %error, "a look failed and is tried again");
        Next::Failed(AGAIN)
    })
}

async fn reconcile(ctx: &Context, mut known: Known) -> cluster::Result<Next> {
    let began = jiff::Timestamp::now();
    ctx.paces.farewells.settled(&known.key);
    // Before everything else: flows wait for it.
    let told = apply::tell(ctx, plan::tellings(&known, began)).await;
    let mut injected = inject(ctx, &known).await?;
    let given_up = apply::give_up_containers(ctx, &known).await;
    let restarted = restart::apply::restart(ctx, &known, &mut injected).await?;
    let mut withdrawn = Ok(());
    for stray in &known.strays {
        withdrawn = withdrawn.and(apply::withdraw(ctx, &known.key.name, stray).await);
    }
    known.pods = gather::pods(ctx, &known.key);
    let failed = [Some(&injected.verdict), restarted.hindrance.as_ref()].into_iter().flatten().find_map(|verdict| {
        let is_ours = matches!(verdict.reason, Reason::InjectionFailed | Reason::RestartFailed);
        is_ours.then(|| verdict.reason.retry())
    });
    let again = restarted.again;
    write_status(ctx, &known, injected, restarted).await?;
    told.and(given_up).and(withdrawn)?;
    Ok(next(&known, began, again, failed))
}

/// The workload, read only where it moved, and injected where that is missing.
async fn inject(ctx: &Context, known: &Known) -> cluster::Result<Injected> {
    match plan::look(known) {
        Look::Settled(injected) => Ok(injected),
        Look::Read(workload) => {
            let read = gather::workload(ctx, &workload).await?;
            apply::apply(ctx, known, plan::plan(known, read.as_ref())).await
        }
    }
}

/// Writes the status where it differs; what only counts pods waits a while for more.
async fn write_status(ctx: &Context, known: &Known, injected: Injected, restarted: Restarted) -> cluster::Result<()> {
    let old = known.app.status.as_ref();
    let new = status::build(known, injected, restarted, jiff::Timestamp::now());
    if let Some(weight) = status::weight(old, &new)
        && let Some(wait) = ctx.paces.flow_apps.wait(&known.key, weight)
    {
        ctx.queues.flow_apps.add_after(known.key.clone(), Lane::Normal, wait);
        return Ok(());
    }
    ctx.paces.flow_apps.settled(&known.key);
    let Some(written) = ctx.cluster.patch_status(&*known.app, old, &new).await? else { return Ok(()) };
    ctx.caches.flow_apps.put(written);
    if let Some((reason, message)) = status::warning(old, &new) {
        tracing::warn!(flow_app = %known.key, %reason, message);
        let (caches, key) = (ctx.caches.clone(), known.key.clone());
        let stays = move || {
            let app = caches.flow_apps.get(&key);
            app.is_some_and(|app| app.status.as_ref().is_some_and(|status| has_reason(&status.conditions, reason)))
        };
        ctx.events.warn_if_it_stays(&*known.app, reason, message, stays);
    }
    Ok(())
}

/// When to look again, if nothing changes.
fn next(known: &Known, began: jiff::Timestamp, again: Option<Duration>, retry: Option<Retry>) -> Next {
    let signal = plan::next_signal(known, began, jiff::Timestamp::now());
    match ([signal, again].into_iter().flatten().min(), retry) {
        (Some(soon), _) => Next::After(soon),
        (None, Some(retry)) => Next::Failed(retry),
        (None, None) => Next::OnChange,
    }
}

/// The FlowApp has gone: what was injected for it is withdrawn, unless it comes again at once or the definition itself is
/// going.
async fn farewell(ctx: &Context, key: &Key) -> cluster::Result<Next> {
    ctx.paces.flow_apps.settled(key);
    restart::apply::leave(ctx, key);
    let workloads = gather::injected_for(ctx, key);
    if workloads.is_empty() || gather::is_ending(ctx, &key.namespace) {
        ctx.paces.farewells.settled(key);
        return Ok(Next::OnChange);
    }
    if let Some(wait) = ctx.paces.farewells.wait(key, Weight::Complete) {
        return Ok(Next::After(wait));
    }
    let definition = gather::definition(ctx).await?;
    for workload in workloads {
        // One that is newer than the injection is another: the FlowApp went with the old one, by an uninstall.
        if definition.is_some_and(|made| workload.injected.is_none_or(|at| made <= at)) {
            apply::withdraw(ctx, &key.name, &workload).await?;
        }
    }
    ctx.paces.farewells.settled(key);
    Ok(Next::OnChange)
}
