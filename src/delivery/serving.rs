//! Which sync serves which flow app. Pure: the same answer for the controllers of both.

use std::sync::Arc;

use kube::core::{Selector, SelectorExt};

use crate::resources::{FlowApp, SpaceSecretSync};

/// Whether a sync's selector takes this app in. A selector that says nothing takes every app of the namespace; one that
/// cannot be read takes none.
pub fn selects(sync: &SpaceSecretSync, app: &FlowApp) -> bool {
    if sync.metadata.namespace != app.metadata.namespace {
        return false;
    }
    let selector = sync.spec.flow_apps.as_ref().and_then(|apps| apps.selector.clone()).unwrap_or_default();
    let none = std::collections::BTreeMap::new();
    Selector::try_from(selector).is_ok_and(|selector| selector.matches(app.metadata.labels.as_ref().unwrap_or(&none)))
}

/// The sync that serves an app: of those that select it the oldest, then the first by name.
pub fn served_by<'a>(app: &FlowApp, syncs: &'a [Arc<SpaceSecretSync>]) -> Option<&'a Arc<SpaceSecretSync>> {
    syncs.iter().filter(|sync| selects(sync, app)).min_by_key(|sync| age(&sync.metadata))
}

/// The apps that a sync selects and an older sync serves, with that sync.
pub fn taken_from<'a>(
    sync: &SpaceSecretSync,
    apps: &'a [Arc<FlowApp>],
    syncs: &'a [Arc<SpaceSecretSync>],
) -> Vec<(&'a Arc<FlowApp>, &'a Arc<SpaceSecretSync>)> {
    let selected = apps.iter().filter(|app| selects(sync, app));
    let served = selected.filter_map(|app| Some((app, served_by(app, syncs)?)));
    served.filter(|(_, other)| other.metadata.name != sync.metadata.name).collect()
}

/// The apps that a sync serves.
pub fn served<'a>(
    sync: &SpaceSecretSync,
    apps: &'a [Arc<FlowApp>],
    syncs: &[Arc<SpaceSecretSync>],
) -> Vec<&'a Arc<FlowApp>> {
    // Most often there is one sync, and its selector decides alone.
    let serves = |app: &&Arc<FlowApp>| {
        selects(sync, app) && served_by(app, syncs).is_none_or(|other| other.metadata.name == sync.metadata.name)
    };
    apps.iter().filter(serves).collect()
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
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

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
        let names = |taken: Vec<(&Arc<FlowApp>, &Arc<SpaceSecretSync>)>| {
            let name = |meta: &kube::core::ObjectMeta| meta.name.clone().unwrap();
            taken.iter().map(|(app, sync)| (name(&app.metadata), name(&sync.metadata))).collect::<Vec<_>>()
        };
        assert_eq!(names(taken_from(&syncs[1], &apps, &syncs)), [("front".into(), "old".into())]);
        assert_eq!(names(taken_from(&syncs[0], &apps, &syncs)), []);
        let served: Vec<_> =
            served(&syncs[1], &apps, &syncs).iter().map(|a| a.metadata.name.clone().unwrap()).collect();
        assert_eq!(served, ["bare"]);
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
