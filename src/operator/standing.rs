//! How the objects stand, counted when somebody reads the metrics: by condition and reason, never by name.

use std::{collections::HashMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{
    caches::Caches,
    metrics::{ConditionLabels, Controller, Metrics},
};
use crate::resources::{FlowApp, Reason, SecretManager, Space, SpaceSecretSync, condition::find};

/// The conditions that each kind has.
const CONDITIONS: [(Controller, &[&str]); 4] = [
    (Controller::sync, &["Ready", "Synced", "KeysComplete", "Delivered"]),
    (Controller::flow_app, &["Ready", "Injected", "Loaded", "Supported"]),
    (Controller::space, &["Ready"]),
    (Controller::secret_manager, &["Ready"]),
];

type Counts = HashMap<ConditionLabels, i64>;

/// Counts anew. One that nobody has looked at yet is `Unknown`.
pub fn count(caches: &Caches, metrics: &Metrics) {
    let mut counts = Counts::new();
    for (kind, conditions) in CONDITIONS {
        for condition in conditions {
            // That of those that are well is there also where none is, for shares of it.
            counts.insert(ConditionLabels { kind, condition, status: "True", reason: "" }, 0);
        }
        let add = |of: &[Condition]| add(&mut counts, kind, conditions, of);
        match kind {
            Controller::sync => each(&caches.syncs.all(), add),
            Controller::flow_app => each(&caches.flow_apps.all(), add),
            Controller::space => each(&caches.spaces.all(), add),
            Controller::secret_manager => each(&caches.managers.all(), add),
        }
    }
    metrics.tell_objects(counts);
}

fn add(counts: &mut Counts, kind: Controller, conditions: &[&'static str], of: &[Condition]) {
    for &condition in conditions {
        let found = find(of, condition);
        let (status, is_why) = match found.map(|condition| condition.status.as_str()) {
            Some("True") => ("True", false),
            Some("False") => ("False", true),
            _ => ("Unknown", true),
        };
        // Never the text as it stands: whoever may write a status could make series without end.
        let reason = found.filter(|_| is_why).and_then(|condition| Reason::parse(&condition.reason));
        let reason = reason.map_or("", Reason::as_str);
        *counts.entry(ConditionLabels { kind, condition, status, reason }).or_default() += 1;
    }
}

/// What has conditions.
trait Stands {
    fn conditions(&self) -> &[Condition];
}

macro_rules! stands {
    ($($kind:ty),*) => {
        $(impl Stands for $kind {
            fn conditions(&self) -> &[Condition] {
                self.status.as_ref().map_or(&[], |status| &status.conditions)
            }
        })*
    };
}

stands!(SpaceSecretSync, FlowApp, Space, SecretManager);

fn each<K: Stands>(all: &[Arc<K>], mut add: impl FnMut(&[Condition])) {
    for object in all {
        add(object.conditions());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources::SpaceSecretSync;

    fn sync(name: &str, delivered: Option<(&str, &str)>) -> SpaceSecretSync {
        let conditions: Vec<_> = delivered
            .map(|(status, reason)| {
                json!({"type": "Delivered", "status": status, "reason": reason, "message": "",
                    "lastTransitionTime": "2026-11-24T12:00:00Z"})
            })
            .into_iter()
            .collect();
        let object = json!({"metadata": {"name": name, "namespace": "ns", "resourceVersion": "1"}, "spec": {},
            "status": {"conditions": conditions}});
        serde_json::from_value(object).unwrap()
    }

    /// Each series of the syncs' deliveries: status, reason and number.
    fn told(caches: &Caches, metrics: &Metrics) -> Vec<String> {
        count(caches, metrics);
        let prefix = "spacesync_objects{kind=\"sync\",condition=\"Delivered\",";
        let text = metrics.encode();
        let mut series: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(prefix)).map(str::to_owned).collect();
        series.sort();
        series
    }

    #[test]
    fn objects_are_counted_by_condition_and_reason_and_what_is_not_known_yet_as_unknown() {
        let (caches, metrics) = (Caches::default(), Metrics::default());
        assert_eq!(told(&caches, &metrics), ["status=\"True\",reason=\"\"} 0"]);
        for (name, delivered) in [
            ("a", Some(("True", "Delivered"))),
            ("b", Some(("False", "NoAck"))),
            ("c", None),
            ("d", Some(("True", "NoPods"))),
            ("e", Some(("False", "LoadFailed"))),
            ("f", Some(("False", "NoAck"))),
            ("g", Some(("Unknown", "NeverAcked"))),
            ("h", Some(("False", "of-a-later-version"))),
        ] {
            caches.syncs.put(sync(name, delivered));
        }
        let all = told(&caches, &metrics);
        assert_eq!(
            all,
            [
                "status=\"False\",reason=\"\"} 1",
                "status=\"False\",reason=\"LoadFailed\"} 1",
                "status=\"False\",reason=\"NoAck\"} 2",
                "status=\"True\",reason=\"\"} 2",
                "status=\"Unknown\",reason=\"\"} 1",
                "status=\"Unknown\",reason=\"NeverAcked\"} 1",
            ]
        );
    }

    #[test]
    fn a_reason_that_no_object_stands_for_any_more_has_no_series() {
        let (caches, metrics) = (Caches::default(), Metrics::default());
        for reason in ["NoAck", "LoadFailed"] {
            caches.syncs.put(sync("a", Some(("False", reason))));
            assert_eq!(
                told(&caches, &metrics),
                [&format!("status=\"False\",reason=\"{reason}\"}} 1"), "status=\"True\",reason=\"\"} 0"]
            );
        }
        caches.syncs.put(sync("a", Some(("True", "Delivered"))));
        assert_eq!(told(&caches, &metrics), ["status=\"True\",reason=\"\"} 1"]);
    }
}
