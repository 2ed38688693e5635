//! Which sync serves which flow app. Pure: the same answer for the controllers of both.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::resources::{FlowApp, SpaceSecretSync};

/// Whether a sync's selector takes this app in. A selector that says nothing takes every app of the namespace; one that
/// cannot be read takes none.
pub fn selects(sync: &SpaceSecretSync, app: &FlowApp) -> bool {
    let selector = sync.spec.flow_apps.as_ref().and_then(|apps| apps.selector.as_ref());
    sync.metadata.namespace == app.metadata.namespace && selector.is_none_or(|selector| matches(selector, app))
}

/// By Kubernetes' rules, and without copying the selector: in a namespace of thousands each is asked for each.
fn matches(selector: &LabelSelector, app: &FlowApp) -> bool {
    let value = |key: &str| app.metadata.labels.as_ref().and_then(|labels| labels.get(key));
    let among = |values: &Option<Vec<String>>, found: &String| values.iter().flatten().any(|value| value == found);
    let expressions = selector.match_expressions.as_deref().unwrap_or_default();
    selector.match_labels.iter().flatten().all(|(key, wanted)| value(key) == Some(wanted))
        && expressions.iter().all(|expression| match (expression.operator.as_str(), value(&expression.key)) {
            ("In", found) => found.is_some_and(|found| among(&expression.values, found)),
            ("NotIn", found) => found.is_none_or(|found| !among(&expression.values, found)),
            ("Exists", found) => found.is_some(),
            ("DoesNotExist", found) => found.is_none(),
            _ => false,
        })
}

/// The sync that serves an app: of those that select it the oldest, then the first by name.
pub fn served_by<'a>(app: &FlowApp, syncs: &'a [Arc<SpaceSecretSync>]) -> Option<&'a Arc<SpaceSecretSync>> {
    syncs.iter().filter(|sync| selects(sync, app)).min_by_key(|sync| age(&sync.metadata))
}

/// The apps that a sync selects, and of each whether it serves it.
pub struct Selected<'a> {
    apps: Vec<&'a Arc<FlowApp>>,
    older: Vec<&'a Arc<SpaceSecretSync>>,
}

impl<'a> Selected<'a> {
    /// By a sync, of everything of its namespace.
    pub fn new(sync: &SpaceSecretSync, apps: &'a [Arc<FlowApp>], syncs: &'a [Arc<SpaceSecretSync>]) -> Self {
        let apps: Vec<_> = apps.iter().filter(|app| selects(sync, app)).collect();
        let is_older = |other: &&Arc<SpaceSecretSync>| !apps.is_empty() && age(&other.metadata) < age(&sync.metadata);
        let mut older: Vec<_> = syncs.iter().filter(is_older).collect();
        older.sort_by_key(|sync| age(&sync.metadata));
        Self { apps, older }
    }

    /// Those that it serves.
    pub fn served(&self) -> impl Iterator<Item = &'a Arc<FlowApp>> {
        self.apps.iter().copied().filter(|app| self.taker(app).is_none())
    }

    /// Those that an older sync serves, with that sync.
    pub fn taken(&self) -> impl Iterator<Item = (&'a Arc<FlowApp>, &'a Arc<SpaceSecretSync>)> {
        self.apps.iter().copied().filter_map(|app| Some((app, self.taker(app)?)))
    }

    fn taker(&self, app: &FlowApp) -> Option<&'a Arc<SpaceSecretSync>> {
        self.older.iter().copied().find(|other| selects(other, app))
    }
}

/// The older FlowApp that has this app's workload, if there is one.
pub fn holder_of_workload<'a>(app: &FlowApp, apps: &'a [Arc<FlowApp>]) -> Option<&'a Arc<FlowApp>> {
    let claims = apps.iter().filter(|other| other.spec.workload_ref == app.spec.workload_ref);
    let holder = claims.min_by_key(|other| age(&other.metadata))?;
    (holder.metadata.name != app.metadata.name && age(&holder.metadata) < age(&app.metadata)).then_some(holder)
}

/// The older comes first, then the name decides.
fn age(meta: &kube::core::ObjectMeta) -> (Option<jiff::Timestamp>, Option<&str>) {
    (meta.creation_timestamp.as_ref().map(|at| at.0), meta.name.as_deref())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;

    use super::*;
    use crate::{
        delivery::sample::{app, sync},
        resources::{flow_app::WorkloadRef, sync::FlowApps},
    };

    fn selecting(name: &str, second: i64, selector: LabelSelector) -> Arc<SpaceSecretSync> {
        let mut sync = sync(name, second);
        sync.spec.flow_apps = Some(FlowApps { selector: Some(selector) });
        Arc::new(sync)
    }

    fn labels(label: &str) -> LabelSelector {
        let (name, value) = label.split_once('=').unwrap();
        LabelSelector { match_labels: Some([(name.into(), value.into())].into()), ..LabelSelector::default() }
    }

    fn expression(key: &str, operator: &str, values: &[&str]) -> LabelSelector {
        let values = (!values.is_empty()).then(|| values.iter().map(ToString::to_string).collect());
        let requirement = LabelSelectorRequirement { key: key.into(), operator: operator.into(), values };
        LabelSelector { match_expressions: Some(vec![requirement]), ..LabelSelector::default() }
    }

    fn labelled(name: &str, labels: &[(&str, &str)]) -> Arc<FlowApp> {
        let mut app = app(name);
        app.metadata.labels = Some(labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect());
        Arc::new(app)
    }

    #[test]
    fn a_selector_reads_as_kubernetes_reads_it() {
        let table = [
            (LabelSelector::default(), true, true),
            (labels("tier=front"), true, false),
            (labels("tier=back"), false, false),
            (expression("tier", "In", &["front", "back"]), true, false),
            (expression("tier", "NotIn", &["front"]), false, true),
            (expression("tier", "Exists", &[]), true, false),
            (expression("tier", "DoesNotExist", &[]), false, true),
            (expression("tier", "Like", &["f"]), false, false),
            (expression("tier", "In", &[]), false, false),
        ];
        let (front, bare) = (labelled("front", &[("tier", "front")]), Arc::new(app("bare")));
        for (selector, takes_front, takes_bare) in table {
            let sync = selecting("s", 1, selector.clone());
            assert_eq!((selects(&sync, &front), selects(&sync, &bare)), (takes_front, takes_bare), "{selector:?}");
        }
    }

    #[test]
    fn an_absent_selector_takes_every_app_of_its_namespace_and_no_other() {
        let sync = sync("s", 1);
        let mut elsewhere = app("b");
        elsewhere.metadata.namespace = Some("other".into());
        assert!(selects(&sync, &app("a")));
        assert!(!selects(&sync, &elsewhere));
    }

    #[test]
    fn the_older_sync_serves_then_the_first_by_name() {
        let table = [
            (vec![("b", 1), ("a", 2)], Some("b")),
            (vec![("a", 2), ("b", 1)], Some("b")),
            (vec![("b", 1), ("a", 1)], Some("a")),
            (vec![], None),
        ];
        for (syncs, server) in table {
            let syncs: Vec<_> = syncs.iter().map(|(name, second)| Arc::new(sync(name, *second))).collect();
            let found = served_by(&app("x"), &syncs).and_then(|sync| sync.metadata.name.clone());
            assert_eq!(found.as_deref(), server);
        }
    }

    #[test]
    fn an_app_goes_to_the_younger_sync_when_the_older_does_not_select_it() {
        let syncs = [selecting("old", 1, labels("tier=front")), selecting("new", 2, LabelSelector::default())];
        let bare = app("bare");
        assert_eq!(served_by(&bare, &syncs).unwrap().metadata.name.as_deref(), Some("new"));
    }

    #[test]
    fn the_younger_sync_is_told_which_apps_it_does_not_serve_and_who_does() {
        let syncs = [selecting("old", 1, labels("tier=front")), selecting("new", 2, LabelSelector::default())];
        let apps = [labelled("front", &[("tier", "front")]), Arc::new(app("bare"))];
        let name = |meta: &kube::core::ObjectMeta| meta.name.clone().unwrap();
        let told = |sync: &SpaceSecretSync| {
            let selected = Selected::new(sync, &apps, &syncs);
            let taken = selected.taken().map(|(app, other)| (name(&app.metadata), name(&other.metadata)));
            let served = selected.served().map(|app| name(&app.metadata));
            (served.collect::<Vec<_>>(), taken.collect::<Vec<_>>())
        };
        assert_eq!(told(&syncs[0]), (vec!["front".into()], vec![]));
        assert_eq!(told(&syncs[1]), (vec!["bare".into()], vec![("front".into(), "old".into())]));
    }

    #[test]
    fn both_controllers_give_the_same_answer() {
        let syncs = [("c", 1), ("a", 2), ("b", 1)].map(|(name, second)| Arc::new(sync(name, second)));
        let apps = [Arc::new(app("x"))];
        let server = served_by(&apps[0], &syncs).unwrap();
        for sync in &syncs {
            let selected = Selected::new(sync, &apps, &syncs);
            assert_eq!(selected.served().count() == 1, Arc::ptr_eq(sync, server));
            assert!(selected.taken().all(|(_, other)| Arc::ptr_eq(other, server)));
        }
    }

    #[test]
    fn a_workload_belongs_to_the_older_app_then_to_the_first_by_name() {
        let aged = |name: &str, second| {
            let mut app = app(name);
            app.metadata.creation_timestamp = sync("x", second).metadata.creation_timestamp;
            Arc::new(app)
        };
        let holder = |of: &FlowApp, apps: &[Arc<FlowApp>]| {
            holder_of_workload(of, apps).and_then(|app| app.metadata.name.clone())
        };
        let apps = [aged("b", 1), aged("a", 2), aged("c", 1)];
        assert_eq!(holder(&apps[0], &apps), None);
        assert_eq!(holder(&apps[1], &apps), Some("b".into()));
        assert_eq!(holder(&apps[2], &apps), Some("b".into()));
        let mut elsewhere = (*apps[1]).clone();
        elsewhere.spec.workload_ref = WorkloadRef { kind: "StatefulSet".into(), name: "ingest".into() };
        assert_eq!(holder(&elsewhere, &apps), None);
    }
}
