//! How the objects stand, counted when somebody reads the metrics: by condition, never by name.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{
    caches::Caches,
    metrics::{ConditionLabels, Controller, Metrics},
};
use crate::resources::condition::find;

const STATUSES: [&str; 3] = ["True", "False", "Unknown"];

/// The conditions that each kind has.
const CONDITIONS: [(Controller, &[&str]); 4] = [
    (Controller::sync, &["Ready", "Synced", "KeysComplete", "Delivered"]),
    (Controller::flow_app, &["Ready", "Injected", "Loaded", "Supported"]),
    (Controller::space, &["Ready"]),
    (Controller::secret_manager, &["Ready"]),
];

/// Counts anew. One that nobody has looked at yet is `Unknown`.
pub fn count(caches: &Caches, metrics: &Metrics) {
    for (kind, conditions) in CONDITIONS {
        let all = conditions_of(kind, caches);
        for condition in conditions {
            let mut counts = [0_i64; STATUSES.len()];
            for of in &all {
                let status = find(of, condition).map_or("Unknown", |condition| condition.status.as_str());
                let at = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
                counts[at] += 1;
            }
            for (status, count) in STATUSES.into_iter().zip(counts) {
                metrics.objects.get_or_create(&ConditionLabels { kind, condition, status }).set(count);
            }
        }
    }
}

/// Of each object of a kind.
fn conditions_of(kind: Controller, caches: &Caches) -> Vec<Vec<Condition>> {
    macro_rules! of {
        ($cache:ident) => {
            caches
                .$cache
                .all()
                .iter()
                .map(|it| it.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default())
                .collect()
        };
    }
    match kind {
        Controller::sync => of!(syncs),
        Controller::flow_app => of!(flow_apps),
        Controller::space => of!(spaces),
        Controller::secret_manager => of!(managers),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources::SpaceSecretSync;

    fn sync(name: &str, delivered: Option<&str>) -> SpaceSecretSync {
        let conditions: Vec<_> = delivered
            .map(|status| {
                json!({"type": "Delivered", "status": status, "reason": "R", "message": "",
                    "lastTransitionTime": "2026-11-24T12:00:00Z"})
            })
            .into_iter()
            .collect();
        let object = json!({"metadata": {"name": name, "namespace": "ns", "resourceVersion": "1"}, "spec": {},
            "status": {"conditions": conditions}});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn objects_are_counted_by_condition_and_what_is_not_known_yet_as_unknown() {
        let (caches, metrics) = (Caches::default(), Metrics::default());
        for (name, delivered) in [("a", Some("True")), ("b", Some("False")), ("c", None), ("d", Some("True"))] {
            caches.syncs.put(sync(name, delivered));
        }
        count(&caches, &metrics);
        let counted = |status| {
            let labels = ConditionLabels { kind: Controller::sync, condition: "Delivered", status };
            metrics.objects.get_or_create(&labels).get()
        };
        assert_eq!(STATUSES.map(counted), [2, 1, 1]);
        caches.syncs.put(sync("b", Some("True")));
        count(&caches, &metrics);
        assert!(!metrics.encode().contains("\"a\""), "no object by its name");
    }
}
