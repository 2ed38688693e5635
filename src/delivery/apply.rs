//! All that is written for one FlowApp, besides its status.

use futures::{StreamExt, stream};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::core::{ObjectMeta, PartialObjectMeta, PartialObjectMetaExt};
use serde_json::{Value as Json, json};

use super::{
    gather::{self, Known, Serving},
    injection::{self, CONCERN},
    plan::{self, Injected, Plan, Telling},
    pod::PodView,
    signal::Attempt,
    workload::{WorkloadKind, WorkloadMeta},
};
use crate::{
    cluster::{Error, Kind, Result, cache::Item},
    operator::Context,
    resources::{
        Reason,
        condition::Verdict,
        names::{FLOW_APP_VERSION, MANAGER, REVISION, SIGNAL},
    },
};

/// How many pods are told at once. One after the other, the last of 100 would wait for half a second; how long it does wait
/// is a line of the benchmarks.
const AT_ONCE: usize = 16;

/// Tells pods, all at once. The first error that a retry mends is returned when all were tried.
pub async fn tell(ctx: &Context, tellings: Vec<Telling>) -> Result<()> {
    let told = stream::iter(tellings).map(|telling| tell_one(ctx, telling)).buffer_unordered(AT_ONCE);
    told.fold(Ok(()), |all, one| async { all.and(one) }).await
}

async fn tell_one(ctx: &Context, telling: Telling) -> Result<()> {
    let pod = &telling.pod;
    let body = telling_body(&telling, jiff::Timestamp::now());
    match ctx.cluster.patch_pod_status(&pod.namespace, &pod.name, &body).await {
        Ok(answer) => {
            if telling.signal.is_some() {
                ctx.metrics.signals.inc();
            }
            // At once, and not when the watch comes round: the next step is a function of what the pod was told.
            if let Some(view) = PodView::project(answer) {
                ctx.caches.pods.put(view);
            }
            Ok(())
        }
        Err(error) if has_gone(&error) => Ok(()),
        Err(error) => {
            tracing::warn!(pod = %pod.key(), %error, "a pod could not be told");
            Err(error)
        }
    }
}

/// Whether a write with a UID says that its object has gone, or that another has its name: an apply to an absent object
/// is a 409, a patch of another object a 422.
pub fn has_gone(error: &Error) -> bool {
    match error {
        Error::NotFound | Error::Conflict(_) => true,
        Error::Invalid(why) => why.contains("metadata.uid: "),
        _ => false,
    }
}

/// The patch of `pods/status`. The UID keeps it from another pod of the same name, as a StatefulSet makes them.
fn telling_body(telling: &Telling, now: jiff::Timestamp) -> Json {
    let mut annotations = json!({FLOW_APP_VERSION: telling.version});
    if let Some((revision, number)) = &telling.signal {
        let attempt = Attempt { number: *number, at: now.as_millisecond() };
        annotations[REVISION] = revision.clone().into();
        annotations[SIGNAL] = attempt.to_string().into();
    }
    json!({"metadata": {"uid": telling.pod.uid, "annotations": annotations}})
}

/// Does to the workload what the plan says. An error is one that a retry mends.
pub async fn apply(ctx: &Context, known: &Known, plan: Plan) -> Result<Injected> {
    let (workload, bodies, container, then, serving) = match (plan, &known.serving) {
        (Plan::Inject { workload, container, sources, claim, then }, Some(serving)) => {
            let wanted = plan::wanted(known, serving);
            let body = injection::body(workload.kind, identity(&workload), &container, &sources, &wanted);
            (workload, claim.into_iter().chain([body]), container, then, serving)
        }
        (Plan::Inject { then, .. }, None) => return Ok(Injected { verdict: then, workload: None }),
        (Plan::Leave(injected), _) => return Ok(injected),
    };
    match write_all(ctx, &workload, bodies).await {
        Ok(now) => {
            tell_of_injection(ctx, known, &then, workload.generation != now.generation);
            Ok(Injected { verdict: then, workload: Some(plan::as_status(&now, serving)) })
        }
        Err(error) => refused(known, serving, &workload, &container, error),
    }
}

fn tell_of_injection(ctx: &Context, known: &Known, then: &Verdict, rolls: bool) {
    if rolls {
        let note = format!("{}; it rolls once", then.message);
        tracing::info!(flow_app = %known.key, note, "injected");
        ctx.events.normal(&*known.app, Reason::Injected, "Inject", &note);
    }
}

/// What somebody else owns is refused by name, and not asked for again until the workload moves.
fn refused(
    known: &Known,
    serving: &Serving,
    workload: &WorkloadMeta,
    container: &str,
    error: Error,
) -> Result<Injected> {
    let whose = match &error {
        Error::Conflict(why) if why.contains(".volumeMounts[") => Reason::MountConflict,
        Error::Conflict(why) | Error::Invalid(why) if why.contains("spec.template.spec.volumes[") => {
            Reason::VolumeConflict
        }
        // Another field is somebody else's; a conflict of another kind is a race.
        Error::Conflict(why) if why.starts_with("Apply failed") => return Ok(Injected::failed(known, why)),
        Error::Forbidden(why) => return Ok(Injected::failed(known, why)),
        Error::Invalid(why) if !has_gone(&error) => return Ok(Injected::failed(known, why)),
        _ => return Err(error),
    };
    let [kind, name] = known.workload_args();
    let path = known.app.spec.effective_mount_path();
    let verdict = Verdict::new(false, whose, &[kind, name, ("path", path), ("container", container)]);
    Ok(Injected { verdict, workload: Some(plan::as_status(workload, serving)) })
}

/// One after the other; how the workload is in the end.
async fn write_all(
    ctx: &Context,
    workload: &WorkloadMeta,
    bodies: impl IntoIterator<Item = Json>,
) -> Result<WorkloadMeta> {
    let mut now = workload.clone();
    for body in bodies {
        now = write(ctx, workload, INJECTION, &body).await?;
    }
    Ok(now)
}

/// Gives up our part of a container, which is nobody's from then on: whoever renames the container would leave it behind
/// otherwise, and be refused (docs/decisions/0011). The metadata alone moves: nothing rolls.
pub async fn give_up_containers(ctx: &Context, known: &Known) -> Result<()> {
    // As the injection just left it.
    let workload = known.workload.as_ref().and_then(|seen| ctx.caches.workloads(seen.kind).get(&seen.key()));
    let Some((workload, at)) = workload.and_then(|now| Some((now.clone(), now.containers_at?))) else { return Ok(()) };
    let body = giving_up(&workload, at);
    let done = match workload.kind {
        WorkloadKind::Deployment => give_up_as::<Deployment>(ctx, &workload, &body).await,
        WorkloadKind::StatefulSet => give_up_as::<StatefulSet>(ctx, &workload, &body).await,
    };
    match done {
        Err(Error::NotFound) => Ok(()),
        Err(Error::Forbidden(why)) => {
            tracing::warn!(workload = %workload.key(), why, "our part of its container cannot be given up");
            Ok(())
        }
        done => done,
    }
}

async fn give_up_as<K: Kind>(ctx: &Context, workload: &WorkloadMeta, body: &Json) -> Result<()>
where
    PartialObjectMeta<K>: Kind,
{
    let (namespace, name) = (Some(workload.namespace.as_str()), workload.name.as_str());
    let answer = ctx.cluster.patch_json::<PartialObjectMeta<K>>(namespace, name, body).await?;
    if let Some(now) = WorkloadMeta::from_meta(workload.kind, answer.metadata) {
        ctx.caches.workloads(workload.kind).put(now);
    }
    Ok(())
}

/// The tests keep it to this very object, and to our own entry wherever others come and go: the resourceVersion would
/// not do, for a workload that rolls moves it several times a second.
fn giving_up(workload: &WorkloadMeta, at: usize) -> Json {
    let entry = format!("/metadata/managedFields/{at}");
    json!([
        {"op": "test", "path": "/metadata/uid", "value": workload.uid},
        {"op": "test", "path": format!("{entry}/manager"), "value": format!("{MANAGER}-{CONCERN}")},
        {"op": "test", "path": format!("{entry}/operation"), "value": "Apply"},
        {"op": "remove", "path": format!("{entry}/fieldsV1{}", injection::CONTAINERS)},
    ])
}

/// Takes back exactly what was ours.
pub async fn withdraw(ctx: &Context, app: &str, workload: &WorkloadMeta) -> Result<()> {
    let Some(read) = gather::workload(ctx, workload).await? else { return Ok(()) };
    if let Some(claim) = injection::claim(&read.meta, &read.template, None) {
        write(ctx, workload, INJECTION, &claim).await?;
    }
    let body = injection::withdrawal(workload.kind, identity(workload));
    match write(ctx, workload, INJECTION, &body).await {
        Ok(_) => tracing::info!(workload = %workload.key(), app, "withdrew the injection"),
        Err(error) if has_gone(&error) => return Ok(()),
        Err(error) => return Err(error),
    }
    match workload.kind {
        WorkloadKind::Deployment => tell_of_withdrawal::<Deployment>(ctx, app, workload),
        WorkloadKind::StatefulSet => tell_of_withdrawal::<StatefulSet>(ctx, app, workload),
    }
    Ok(())
}

/// Of the workload, for the FlowApp may have gone.
fn tell_of_withdrawal<K: kube::Resource<DynamicType = ()>>(ctx: &Context, app: &str, workload: &WorkloadMeta) {
    let about = ObjectMeta {
        namespace: Some(workload.namespace.clone()),
        name: Some(workload.name.clone()),
        uid: Some(workload.uid.clone()),
        ..ObjectMeta::default()
    };
    let args = [("kind", workload.kind.as_str()), ("name", &workload.name), ("app", app)];
    let note = Reason::Withdrawn.message(&args);
    ctx.events.normal(&about.into_response_partial::<K>(), Reason::Withdrawn, "Withdraw", &note);
}

fn identity(workload: &WorkloadMeta) -> (&str, &str, &str) {
    (&workload.namespace, &workload.name, &workload.uid)
}

/// As whom a workload is applied to.
#[derive(Clone, Copy)]
pub struct By {
    /// The concern in the name of the field manager.
    pub concern: &'static str,
    /// Whether fields that somebody else set are taken over.
    pub force: bool,
}

const INJECTION: By = By { concern: CONCERN, force: false };

/// Applies to a workload, and lets the cache know at once.
pub async fn write(ctx: &Context, workload: &WorkloadMeta, by: By, body: &Json) -> Result<WorkloadMeta> {
    match workload.kind {
        WorkloadKind::Deployment => write_as::<Deployment>(ctx, workload, by, body).await,
        WorkloadKind::StatefulSet => write_as::<StatefulSet>(ctx, workload, by, body).await,
    }
}

async fn write_as<K: Kind>(ctx: &Context, workload: &WorkloadMeta, by: By, body: &Json) -> Result<WorkloadMeta>
where
    PartialObjectMeta<K>: Kind,
{
    let (namespace, name) = (Some(workload.namespace.as_str()), workload.name.as_str());
    let answer = if by.force {
        ctx.cluster.apply_ours::<PartialObjectMeta<K>>(namespace, name, by.concern, body).await?
    } else {
        ctx.cluster.apply::<PartialObjectMeta<K>>(namespace, name, by.concern, body).await?
    };
    let now = WorkloadMeta::from_meta(workload.kind, answer.metadata);
    let now = now.ok_or_else(|| Error::Malformed("metadata is not complete".into()))?;
    ctx.caches.workloads(workload.kind).put(now.clone());
    Ok(now)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::delivery::sample::{R1, at_ms, known, pod, workload};

    #[test]
    fn a_signal_goes_to_exactly_one_pod_and_says_which_attempt_and_when() {
        let telling = |signal| Telling { pod: Arc::new(pod("p", "ingest")), version: "5.3.0".into(), signal };
        let signal = telling_body(&telling(Some((R1.into(), 2))), at_ms(1_234_567));
        let expected = json!({"metadata": {"uid": "uid-of-p", "annotations": {
            "spacesync.dev/revision": R1,
            "spacesync.dev/flow-app-version": "5.3.0",
            "spacesync.dev/signal": "2/1234567",
        }}});
        assert_eq!(signal, expected);
        let version = telling_body(&telling(None), at_ms(1_234_567));
        let expected =
            json!({"metadata": {"uid": "uid-of-p", "annotations": {"spacesync.dev/flow-app-version": "5.3.0"}}});
        assert_eq!(version, expected);
    }

    fn refusal(error: Error) -> Result<(Reason, bool)> {
        let (known, workload) = (known(), workload());
        let refused = refused(&known, known.serving.as_ref().unwrap(), &workload, "node-red", error)?;
        assert!(!refused.verdict.message.contains('{'), "{}", refused.verdict.message);
        Ok((refused.verdict.reason, refused.workload.is_some()))
    }

    #[test]
    fn what_the_api_server_refuses_is_remembered_only_where_the_workload_must_move_first() {
        let conflict = |field: &str| {
            Error::Conflict(format!("Apply failed with 1 conflict: conflict with \"kubectl\" using apps/v1: {field}"))
        };
        let volume = ".spec.template.spec.volumes[name=\"spacesync\"].projected.sources";
        let mount = ".spec.template.spec.containers[name=\"node-red\"].volumeMounts[mountPath=\"/data\"].name";
        let label = ".spec.template.metadata.labels.spacesync.dev/flow-app";
        let invalid = "Deployment.apps \"ingest\" is invalid: spec.template.spec.volumes[1].projected: Forbidden";
        let uid = "Deployment.apps \"ingest\" is invalid: metadata.uid: Invalid value: \"u\": field is immutable";
        let table = [
            (conflict(volume), Ok((Reason::VolumeConflict, true))),
            (conflict(mount), Ok((Reason::MountConflict, true))),
            (conflict(label), Ok((Reason::InjectionFailed, false))),
            (Error::Invalid(invalid.into()), Ok((Reason::VolumeConflict, true))),
            (Error::Invalid("spec.template: no".into()), Ok((Reason::InjectionFailed, false))),
            (Error::Forbidden("a policy says no".into()), Ok((Reason::InjectionFailed, false))),
            (Error::TimedOut, Err(Error::TimedOut)),
            (Error::NotLeader, Err(Error::NotLeader)),
            (Error::Conflict("uid mismatch".into()), Err(Error::Conflict("uid mismatch".into()))),
            (Error::Invalid(uid.into()), Err(Error::Invalid(uid.into()))),
        ];
        for (error, expected) in table {
            assert_eq!(refusal(error.clone()), expected, "{error:?}");
        }
    }
}
