//! The status of one Space, built from what was known, planned and applied; and what is told of it.

use std::time::Duration;

use super::{
    apply::{Applied, Done},
    gather::Known,
    plan::{ConfigMapPlan, NamespacePlan, Plan, Standing},
};
use crate::{
    cluster::{Error, queue::Next},
    resources::{
        Reason, SpaceStatus,
        condition::{Conditions, State, Verdict, find},
        reason::{Retry, Telling},
        space::{BindingState, NamespaceStatus},
    },
};

/// How many names a message holds; the status has them all.
const NAMES: usize = 5;
/// When a namespace is looked at again whose Secrets were deleted.
const AFTER_REMOVAL: Duration = Duration::from_secs(1);

/// The new status. What the embedded store counted stays as it is: it is not ours.
pub fn build(known: &Known, plan: &Plan, applied: &Applied, now: jiff::Timestamp) -> SpaceStatus {
    let old = known.space.status.clone().unwrap_or_default();
    let generation = known.space.metadata.generation;
    let rows: Vec<_> = plan.namespaces.iter().filter_map(|plan| row(known, plan, applied.get(&plan.name))).collect();
    let bound = rows.iter().filter(|row| row.state == BindingState::Bound).count();
    let ready = ready(known, plan, applied, bound);
    let (reconciling, stalled) = progress(&ready);
    let conditions = Conditions::over(&old.conditions, generation, now)
        .set("Ready", &ready)
        .set_while("Reconciling", reconciling.as_ref())
        .set_while("Stalled", stalled.as_ref())
        .done();
    SpaceStatus {
        observed_generation: generation,
        summary: Some(format!("{bound}/{}", known.space.spec.namespaces.len())),
        namespaces: rows,
        conditions,
        entry: old.entry,
    }
}

/// What the status says of one namespace; `None` where nothing of it is left.
fn row(known: &Known, plan: &NamespacePlan, done: Option<&Done>) -> Option<NamespaceStatus> {
    let before = known.namespaces.iter().find(|namespace| namespace.name == plan.name)?;
    let failed = matches!(done, Some(Done::Failed(_)));
    let is_parting = before.is_lost() && (failed || !plan.delete.is_empty());
    let (state, waiting_for) = match &plan.standing {
        Standing::Waiting(holder) if is_parting => (BindingState::Unbinding, Some(holder.clone())),
        Standing::Left | Standing::Refused if is_parting => (BindingState::Unbinding, None),
        Standing::Stranded => (BindingState::Unbinding, None),
        Standing::Bound | Standing::Missing | Standing::Unwatched => (BindingState::Bound, None),
        Standing::Waiting(holder) => (BindingState::Waiting, Some(holder.clone())),
        Standing::Refused => (BindingState::Refused, None),
        Standing::Left => return None,
    };
    let api_config_map = match done {
        Some(Done::Written(written)) => Some(written.clone()),
        _ if state == BindingState::Bound && plan.config_map == ConfigMapPlan::Leave => {
            before.recorded.as_ref().and_then(|entry| entry.api_config_map.clone())
        }
        _ => None,
    };
    let message = verdict(plan, done).map(|verdict| verdict.message);
    Some(NamespaceStatus { name: plan.name.clone(), state, waiting_for, message, api_config_map })
}

/// What keeps one namespace from being as it should be.
fn verdict(plan: &NamespacePlan, done: Option<&Done>) -> Option<Verdict> {
    let name = plan.name.as_str();
    let no = |reason, args: &[(&str, &str)]| Some(Verdict::new(false, reason, args));
    match (&plan.standing, done) {
        (_, Some(Done::Failed(error))) if told(error) => {
            no(Reason::BindingFailed, &[("namespaces", name), ("why", &error.to_string())])
        }
        (Standing::Refused, _) => no(Reason::OperatorNamespace, &[("ns", name)]),
        (Standing::Waiting(holder), _) => no(Reason::Waiting, &[("namespaces", &claimed(name, holder))]),
        (Standing::Unwatched | Standing::Stranded, _) => no(Reason::NamespaceNotWatched, &[("namespaces", name)]),
        (Standing::Missing, _) => no(Reason::NamespaceNotFound, &[("namespaces", name)]),
        _ if plan.config_map == ConfigMapPlan::RefuseForeign => no(Reason::ConfigMapConflict, &[("namespaces", name)]),
        _ => None,
    }
}

fn claimed(namespace: &str, holder: &str) -> String {
    format!("{namespace} (Space {holder})")
}

/// One condition for all namespaces: the worst that holds, with the names of those that it concerns.
fn ready(known: &Known, plan: &Plan, applied: &Applied, bound: usize) -> Verdict {
    let spec = &known.space.spec;
    let manager = &spec.secret_manager_ref.name;
    if !known.has_manager {
        let space = known.space.metadata.name.as_deref().unwrap_or_default();
        return Verdict::new(false, Reason::SecretManagerNotFound, &[("space", space), ("manager", manager)]);
    }
    let verdicts: Vec<_> = plan
        .namespaces
        .iter()
        .filter_map(|plan| verdict(plan, applied.get(&plan.name)).map(|verdict| (plan, verdict)))
        .collect();
    for reason in [
        Reason::OperatorNamespace,
        Reason::BindingFailed,
        Reason::ConfigMapConflict,
        Reason::Waiting,
        Reason::NamespaceNotWatched,
        Reason::NamespaceNotFound,
    ] {
        let mut concerned = verdicts.iter().filter(|(_, verdict)| verdict.reason == reason).map(|(plan, _)| *plan);
        if let Some(first) = concerned.clone().next() {
            let why = match applied.get(&first.name) {
                Some(Done::Failed(error)) => error.to_string(),
                _ => String::new(),
            };
            let names = names(&mut concerned);
            return Verdict::new(false, reason, &[("namespaces", &names), ("ns", &first.name), ("why", &why)]);
        }
    }
    Verdict::new(true, Reason::Bound, &[("count", &bound.to_string())])
}

fn names(plans: &mut dyn Iterator<Item = &NamespacePlan>) -> String {
    let all: Vec<_> = plans
        .map(|plan| match &plan.standing {
            Standing::Waiting(holder) => claimed(&plan.name, holder),
            _ => plan.name.clone(),
        })
        .collect();
    let first = all.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > NAMES { format!("{first} and {} more", all.len() - NAMES) } else { first }
}

/// kstatus: what comes by itself is Reconciling, what waits for a person is Stalled.
fn progress(ready: &Verdict) -> (Option<Verdict>, Option<Verdict>) {
    if ready.state == State::True {
        return (None, None);
    }
    let holds = Some(Verdict { state: State::True, ..ready.clone() });
    let by_itself = matches!(ready.reason, Reason::NamespaceNotFound | Reason::BindingFailed);
    if by_itself { (holds, None) } else { (None, holds) }
}

/// Whether a failure is told. A lost race is run again, and nobody need know.
fn told(error: &Error) -> bool {
    !matches!(error, Error::Conflict(_) | Error::NotFound | Error::NotLeader)
}

/// When to look again.
pub fn next(plan: &Plan, applied: &Applied) -> Next {
    let failures = applied.values().filter_map(|done| match done {
        Done::Failed(error) => Some(retry(error)),
        _ => None,
    });
    let soonest = failures.min_by_key(|retry| match retry {
        Retry::Backoff(first, _) => *first,
        Retry::OnChange => Duration::MAX,
    });
    match soonest {
        Some(retry) => Next::Failed(retry),
        None if plan.namespaces.iter().any(|plan| !plan.delete.is_empty()) => Next::After(AFTER_REMOVAL),
        None => Next::OnChange,
    }
}

/// A lost race is run again at once, an API server that is away is waited for.
pub fn retry(error: &Error) -> Retry {
    match error {
        Error::Conflict(_) | Error::NotFound => Retry::Backoff(Duration::from_millis(20), Duration::from_secs(5)),
        Error::TimedOut | Error::Other(_) | Error::NotLeader => {
            Retry::Backoff(Duration::from_millis(500), Duration::from_secs(10))
        }
        _ => Reason::BindingFailed.retry(),
    }
}

/// What is newly to be told as a Warning.
pub fn warning<'a>(old: Option<&SpaceStatus>, new: &'a SpaceStatus) -> Option<(Reason, &'a str)> {
    let ready = find(&new.conditions, "Ready")?;
    let reason = Reason::parse(&ready.reason).filter(|reason| reason.telling() == Telling::Warning)?;
    let before = old.and_then(|old| find(&old.conditions, "Ready"));
    let told = before.is_some_and(|before| before.reason == ready.reason && before.message == ready.message);
    (!told).then_some((reason, ready.message.as_str()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        cluster::secrets::SecretMeta,
        resources::{
            Space, SpaceSpec,
            space::{ApiConfigMapStatus, EntryStatus},
        },
        space::{binding::Claim, gather::KnownNamespace, plan::plan},
    };

    fn namespace(name: &str, claim: Option<Claim>) -> KnownNamespace {
        KnownNamespace {
            name: name.into(),
            is_held: claim.is_some(),
            claim,
            watched: true,
            exists: true,
            config_map: None,
            recorded: None,
            secrets: Vec::new(),
        }
    }

    fn bound(name: &str) -> KnownNamespace {
        namespace(name, Some(Claim::Bound))
    }

    fn waiting(name: &str) -> KnownNamespace {
        namespace(name, Some(Claim::Waiting { holder: "newsroom".into() }))
    }

    fn known(namespaces: Vec<KnownNamespace>) -> Known {
        let listed = namespaces.iter().filter(|known| known.claim.is_some());
        let spec = SpaceSpec { namespaces: listed.map(|known| known.name.clone()).collect(), ..SpaceSpec::default() };
        let space = Arc::new(Space::new("newsroom-dev", spec));
        Known { space, has_manager: true, content: "c0ffee".into(), namespaces }
    }

    /// Looks once, where everything that is written succeeds but in the namespaces that `failed` names.
    fn look(known: &Known, failed: &[(&str, Error)]) -> (SpaceStatus, Next) {
        let plan = plan(known);
        let mut applied: Applied = plan.namespaces.iter().map(|plan| (plan.name.clone(), Done::Nothing)).collect();
        applied.extend(failed.iter().map(|(name, error)| ((*name).to_owned(), Done::Failed(error.clone()))));
        (build(known, &plan, &applied, jiff::Timestamp::UNIX_EPOCH), next(&plan, &applied))
    }

    fn ready(status: &SpaceStatus) -> (String, String) {
        let ready = find(&status.conditions, "Ready").unwrap();
        (format!("{}/{}", ready.status, ready.reason), ready.message.clone())
    }

    #[test]
    fn a_space_with_all_its_namespaces_is_ready() {
        let (status, next) = look(&known(vec![bound("a"), bound("b")]), &[]);
        assert_eq!(ready(&status), ("True/Bound".into(), "2 namespaces are bound".into()));
        assert_eq!((status.summary.as_deref(), status.conditions.len(), next), (Some("2/2"), 1, Next::OnChange));
    }

    #[test]
    fn a_space_that_waits_says_for_whom_and_what_an_admin_can_do() {
        let (status, _) = look(&known(vec![bound("a"), waiting("b")]), &[]);
        let expected = "b (Space newsroom): another space has it; \
                        annotate this Space spacesync.dev/take-over=<namespace> to take it over";
        assert_eq!(ready(&status), ("False/Waiting".into(), expected.into()));
        assert_eq!(status.summary.as_deref(), Some("1/2"));
        assert_eq!(status.namespaces[1].waiting_for.as_deref(), Some("newsroom"));
        assert!(find(&status.conditions, "Stalled").is_some());
    }

    #[test]
    fn a_namespace_that_does_not_exist_yet_is_waited_for() {
        let (status, next) = look(&known(vec![KnownNamespace { exists: false, ..bound("a") }]), &[]);
        assert_eq!(ready(&status).0, "False/NamespaceNotFound");
        assert!(find(&status.conditions, "Reconciling").is_some());
        assert_eq!(next, Next::OnChange);
    }

    #[test]
    fn a_namespace_that_is_not_watched_is_named_keeps_its_record_and_no_other_from_being_served() {
        let entry = NamespaceStatus {
            name: "b".into(),
            state: BindingState::Bound,
            waiting_for: None,
            message: None,
            api_config_map: Some(ApiConfigMapStatus { resource_version: "7".into(), content: "c0ffee".into() }),
        };
        let unwatched = KnownNamespace { watched: false, exists: false, recorded: Some(entry.clone()), ..bound("b") };
        let mut known = known(vec![bound("a"), unwatched]);
        let plan = plan(&known);
        assert_eq!(plan.namespaces[0].config_map, ConfigMapPlan::Create);
        let (status, next) = look(&known, &[]);
        let says = "b: not served, for the operator watches other namespaces only; add it to --watch-namespaces and \
                    apply deploy/namespaced/watched.yaml there (chart: watchNamespaces)";
        assert_eq!(ready(&status), ("False/NamespaceNotWatched".into(), says.into()));
        assert!(find(&status.conditions, "Stalled").is_some(), "it waits for a person");
        assert_eq!(next, Next::OnChange);
        assert_eq!(status.namespaces[1], NamespaceStatus { message: Some(says.into()), ..entry });
        // What it held has to go when it leaves a space that deletes, and cannot: that is remembered.
        let mut space = (*known.space).clone();
        space.spec.on_unbind = Some(crate::resources::DeletionPolicy::Delete);
        known.space = Arc::new(space);
        known.namespaces[1].claim = None;
        let (status, _) = look(&known, &[]);
        assert_eq!(ready(&status).0, "False/NamespaceNotWatched");
        assert_eq!(status.namespaces[1].state, BindingState::Unbinding);
    }

    #[test]
    fn a_failure_is_told_with_the_words_of_the_api_server_and_tried_again() {
        let error = Error::Forbidden("exceeded quota: configmaps".into());
        let (status, next) = look(&known(vec![bound("a"), bound("b")]), &[("b", error)]);
        let expected = "not all could be written in b: forbidden: exceeded quota: configmaps";
        assert_eq!(ready(&status), ("False/BindingFailed".into(), expected.into()));
        assert_eq!(next, Next::Failed(Reason::BindingFailed.retry()));
    }

    #[test]
    fn a_lost_race_is_run_again_and_not_told() {
        let (status, next) = look(&known(vec![bound("a")]), &[("a", Error::Conflict(String::new()))]);
        assert_eq!(ready(&status).0, "True/Bound");
        assert!(matches!(next, Next::Failed(Retry::Backoff(..))));
    }

    #[test]
    fn the_missing_secret_manager_goes_before_all() {
        let (status, _) = look(&Known { has_manager: false, ..known(vec![waiting("a")]) }, &[]);
        assert_eq!(ready(&status).0, "False/SecretManagerNotFound");
    }

    #[test]
    fn a_lost_namespace_is_remembered_until_nothing_of_the_space_is_left_in_it() {
        let entry =
            |state| NamespaceStatus { name: "a".into(), state, waiting_for: None, message: None, api_config_map: None };
        let secrets = vec![Arc::new(SecretMeta::default())];
        let mut lost =
            known(vec![KnownNamespace { recorded: Some(entry(BindingState::Bound)), secrets, ..namespace("a", None) }]);
        let mut space = (*lost.space).clone();
        space.spec.on_unbind = Some(crate::resources::DeletionPolicy::Delete);
        lost.space = Arc::new(space);
        let (status, next) = look(&lost, &[]);
        assert_eq!((status.namespaces[0].state, next), (BindingState::Unbinding, Next::After(AFTER_REMOVAL)));
        lost.namespaces[0].recorded = Some(status.namespaces[0].clone());
        let (status, _) = look(&lost, &[("a", Error::Forbidden("no".into()))]);
        assert_eq!(status.namespaces[0].state, BindingState::Unbinding);
        lost.namespaces[0].secrets.clear();
        let (status, next) = look(&lost, &[]);
        assert_eq!((status.namespaces.len(), status.summary.as_deref(), next), (0, Some("0/0"), Next::OnChange));
    }

    #[test]
    fn what_the_embedded_store_counted_is_left_as_it_is() {
        let mut known = known(vec![bound("a")]);
        let at = jiff::Timestamp::UNIX_EPOCH.into();
        let entry = Some(EntryStatus { version: 4, fingerprint: "f".into(), created_at: at, updated_at: at });
        let mut space = (*known.space).clone();
        space.status = Some(SpaceStatus { entry: entry.clone(), ..SpaceStatus::default() });
        known.space = Arc::new(space);
        assert_eq!(look(&known, &[]).0.entry, entry);
    }

    #[test]
    fn a_warning_is_told_once() {
        let (status, _) = look(&known(vec![waiting("a")]), &[]);
        assert_eq!(warning(None, &status).map(|(reason, _)| reason), Some(Reason::Waiting));
        assert_eq!(warning(Some(&status), &status), None);
        let (well, _) = look(&known(vec![bound("a")]), &[]);
        assert_eq!(warning(Some(&status), &well), None);
    }

    #[test]
    fn a_long_list_of_names_is_cut() {
        let names: Vec<_> = (0..1000).map(|n| format!("ns-{n}")).collect();
        let (status, _) = look(&known(names.iter().map(|name| waiting(name)).collect()), &[]);
        assert!(ready(&status).1.contains("ns-4 (Space newsroom) and 995 more: "), "{}", ready(&status).1);
        assert_eq!(status.namespaces.len(), 1000);
    }
}
