//! How far a workload is with its template, by its own status. Pure.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};

/// How long a workload may make no progress unless it says so itself: what Kubernetes takes for Deployments.
pub const DEADLINE: Duration = Duration::from_mins(10);

/// Where a workload has a deadline of its own, its controller speaks; where that does not, we do, a little later.
const SLACK: Duration = Duration::from_mins(1);

/// The longest that others wait, whatever a workload says of itself.
const LONGEST: Duration = Duration::from_mins(30);

/// `progressDeadlineSeconds` of a Deployment that is to have no deadline.
const NEVER: i32 = i32::MAX;

/// How far a workload is with its template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// On its way.
    #[default]
    Rolling,
    /// Every pod is of it, and available.
    Complete,
    /// Its controller has given up waiting.
    Stalled,
    /// It does not go on by itself, and why.
    Held(&'static str),
}

/// How far a workload is with its template, and how long it may make no progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rollout {
    /// How far.
    pub progress: Progress,
    /// How long.
    pub patience: Duration,
}

impl Rollout {
    /// Of a Deployment.
    pub fn of_deployment(deployment: &Deployment) -> Self {
        let spec = deployment.spec.as_ref();
        let deadline = spec.and_then(|spec| spec.progress_deadline_seconds).filter(|seconds| *seconds != NEVER);
        let deadline = deadline.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        let patience = deadline.map_or(DEADLINE, |own| own + SLACK).min(LONGEST);
        Self { progress: of_deployment(deployment), patience }
    }

    /// Of a StatefulSet, which has no deadline of its own.
    pub fn of_stateful_set(set: &StatefulSet) -> Self {
        Self { progress: of_stateful_set(set), patience: DEADLINE }
    }

    /// How long it may still make no progress; `None` when that is over. Without a word on when it last did, it is just
    /// beginning.
    pub fn left(&self, last_progress: Option<jiff::Timestamp>, now: jiff::Timestamp) -> Option<Duration> {
        let Some(last) = last_progress else { return Some(self.patience) };
        let since = Duration::try_from(now.duration_since(last)).unwrap_or_default();
        self.patience.checked_sub(since).filter(|left| !left.is_zero())
    }
}

fn of_deployment(deployment: &Deployment) -> Progress {
    let (Some(spec), Some(status)) = (&deployment.spec, &deployment.status) else { return Progress::Rolling };
    let paused = spec.paused.unwrap_or_default();
    if status.observed_generation < deployment.metadata.generation {
        return if paused { PAUSED } else { Progress::Rolling };
    }
    let wanted = spec.replicas.unwrap_or(1);
    let [updated, all, available] =
        [status.updated_replicas, status.replicas, status.available_replicas].map(Option::unwrap_or_default);
    if updated >= wanted && all <= updated && available >= updated {
        return Progress::Complete;
    }
    let late = status.conditions.iter().flatten().any(|condition| {
        condition.type_ == "Progressing" && condition.reason.as_deref() == Some("ProgressDeadlineExceeded")
    });
    match (paused, late) {
        (true, _) => PAUSED,
        (false, true) => Progress::Stalled,
        (false, false) => Progress::Rolling,
    }
}

const PAUSED: Progress = Progress::Held("it is paused; resume it");

fn of_stateful_set(set: &StatefulSet) -> Progress {
    let (Some(spec), Some(status)) = (&set.spec, &set.status) else { return Progress::Rolling };
    let strategy = spec.update_strategy.as_ref();
    let on_delete = strategy.is_some_and(|strategy| strategy.type_.as_deref() == Some("OnDelete"));
    let partition = strategy.and_then(|strategy| strategy.rolling_update.as_ref()?.partition).unwrap_or_default();
    if status.observed_generation < set.metadata.generation {
        return Progress::Rolling;
    }
    let wanted = spec.replicas.unwrap_or(1);
    let [updated, available] = [status.updated_replicas, status.available_replicas].map(Option::unwrap_or_default);
    match () {
        () if updated >= wanted && available >= wanted => Progress::Complete,
        () if on_delete => Progress::Held("its updateStrategy is OnDelete; delete its pods, or choose RollingUpdate"),
        () if partition > 0 && updated >= wanted - partition => {
            Progress::Held("the partition of its updateStrategy keeps pods from it; lower it")
        }
        () => Progress::Rolling,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn merged(mut into: Json, more: &Json) -> Json {
        for (key, value) in more.as_object().unwrap() {
            match into.get_mut(key).filter(|old| old.is_object() && value.is_object()) {
                Some(old) => *old = merged(old.clone(), value),
                None => into[key] = value.clone(),
            }
        }
        into
    }

    /// Of a Deployment of three that is complete, with this on top.
    fn deployment(more: &Json) -> Rollout {
        let complete = json!({
            "metadata": {"generation": 4},
            "spec": {"replicas": 3, "progressDeadlineSeconds": 30, "selector": {}, "template": {}},
            "status": {"observedGeneration": 4, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3},
        });
        Rollout::of_deployment(&serde_json::from_value(merged(complete, more)).unwrap())
    }

    fn stateful_set(more: &Json) -> Rollout {
        let complete = json!({
            "metadata": {"generation": 4},
            "spec": {"replicas": 3, "serviceName": "s", "selector": {}, "template": {}},
            "status": {"observedGeneration": 4, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3},
        });
        Rollout::of_stateful_set(&serde_json::from_value(merged(complete, more)).unwrap())
    }

    #[test]
    fn a_deployment_is_complete_when_every_pod_is_new_and_available() {
        use Progress::{Complete, Rolling, Stalled};
        let late = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        let table = [
            (json!({}), Complete),
            (json!({"status": {"observedGeneration": 3}}), Rolling),
            (json!({"status": {"updatedReplicas": 1}}), Rolling),
            (json!({"status": {"replicas": 4}}), Rolling),
            (json!({"status": {"availableReplicas": 2}}), Rolling),
            (json!({"status": {"availableReplicas": null, "conditions": late}}), Stalled),
            (json!({"status": {"conditions": late}}), Complete),
            (json!({"status": {"observedGeneration": 3, "conditions": late}}), Rolling),
            (
                json!({"spec": {"replicas": 0}, "status": {"replicas": 0, "updatedReplicas": 0, "availableReplicas": 0}}),
                Complete,
            ),
            (json!({"status": null}), Rolling),
            (json!({"spec": {"paused": true}}), Complete),
            (json!({"spec": {"paused": true}, "status": {"updatedReplicas": 0}}), PAUSED),
            (json!({"spec": {"paused": true}, "status": {"observedGeneration": 3}}), PAUSED),
        ];
        for (more, expected) in table {
            assert_eq!(deployment(&more).progress, expected, "{more}");
        }
    }

    #[test]
    fn a_stateful_set_that_does_not_roll_by_itself_says_why() {
        use Progress::{Complete, Rolling};
        let held = |more: Json, word: &str| match stateful_set(&more).progress {
            Progress::Held(why) => assert!(why.contains(word), "{why}"),
            other => panic!("{other:?}"),
        };
        let table = [
            (json!({}), Complete),
            (json!({"status": {"observedGeneration": 3}}), Rolling),
            (json!({"status": {"updatedReplicas": null}}), Rolling),
            (json!({"status": {"availableReplicas": 2}}), Rolling),
            (json!({"spec": {"updateStrategy": {"type": "OnDelete"}}}), Complete),
            (
                json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 1}}}, "status": {"updatedReplicas": 1}}),
                Rolling,
            ),
        ];
        for (more, expected) in table {
            assert_eq!(stateful_set(&more).progress, expected, "{more}");
        }
        held(json!({"spec": {"updateStrategy": {"type": "OnDelete"}}, "status": {"updatedReplicas": 1}}), "OnDelete");
        held(
            json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 1}}}, "status": {"updatedReplicas": 2}}),
            "partition",
        );
    }

    #[test]
    fn no_progress_for_too_long_ends_the_patience_whoever_keeps_the_deadline() {
        let second = |second| jiff::Timestamp::from_second(second).unwrap();
        let own = deployment(&json!({}));
        assert_eq!(own.patience, Duration::from_secs(90));
        assert_eq!(deployment(&json!({"spec": {"progressDeadlineSeconds": NEVER}})).patience, DEADLINE);
        assert_eq!(deployment(&json!({"spec": {"progressDeadlineSeconds": 86_400}})).patience, LONGEST);
        assert_eq!(stateful_set(&json!({})).patience, DEADLINE);
        assert_eq!(own.left(Some(second(1_000)), second(1_060)), Some(Duration::from_secs(30)));
        assert_eq!(own.left(Some(second(1_000)), second(1_090)), None);
        assert_eq!(own.left(Some(second(1_000)), second(990)), Some(Duration::from_secs(90)), "clocks differ");
        assert_eq!(own.left(None, second(0)), Some(Duration::from_secs(90)));
    }
}
