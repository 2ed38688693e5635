//! Which syncs and FlowApps of a namespace a change concerns. Pure, and cheap also where there are thousands of each: to
//! compare two of them is nothing beside a look at one.

use std::sync::Arc;

use super::{
    serving::{Selected, selects},
    workload::WorkloadMeta,
};
use crate::{
    cluster::cache::{Change, Item, Key},
    resources::{FlowApp, SpaceSecretSync, flow_app::WorkloadRef},
};

/// An object as it was and as it is.
fn both<T>(change: &Change<T>) -> impl Iterator<Item = &Arc<T>> {
    [&change.old, &change.new].into_iter().flatten()
}

/// The apps that a managed Secret of this sync is for. Whom it serves is asked of what is known now, and not of the apps'
/// status: that may be a moment behind.
pub fn apps_served(sync: &SpaceSecretSync, apps: &[Arc<FlowApp>], syncs: &[Arc<SpaceSecretSync>]) -> Vec<Key> {
    Selected::new(sync, apps, syncs).served().map(|app| app.key()).collect()
}

/// The apps that may have another sync when this one changes.
pub fn apps_selected(change: &Change<SpaceSecretSync>, apps: &[Arc<FlowApp>]) -> Vec<Arc<FlowApp>> {
    apps.iter().filter(|app| both(change).any(|sync| selects(sync, app))).cloned().collect()
}

/// The other syncs that may have gained or lost something when one changes: those that want the same target, and those that
/// select one of its apps.
pub fn syncs_beside(
    change: &Change<SpaceSecretSync>,
    selected: &[Arc<FlowApp>],
    syncs: &[Arc<SpaceSecretSync>],
) -> impl Iterator<Item = Key> {
    let target = |sync: &SpaceSecretSync| {
        let name = sync.metadata.name.as_deref().unwrap_or_default();
        sync.spec.target_name(name).to_owned()
    };
    let targets: Vec<_> = both(change).map(|sync| target(sync)).collect();
    let concerned = move |sync: &&Arc<SpaceSecretSync>| {
        targets.contains(&target(sync)) || selected.iter().any(|app| selects(sync, app))
    };
    syncs.iter().filter(concerned).map(|sync| sync.key())
}

/// The syncs that count an app among theirs, as it was or as it is.
pub fn syncs_of(change: &Change<FlowApp>, syncs: &[Arc<SpaceSecretSync>]) -> impl Iterator<Item = Key> {
    syncs.iter().filter(|sync| both(change).any(|app| selects(sync, app))).map(|sync| sync.key())
}

/// The other apps that may have gained or lost a workload when one changes: those that name one of its workloads, and those
/// that one of them was injected for, also where that app has gone.
pub fn apps_beside(
    change: &Change<FlowApp>,
    apps: &[Arc<FlowApp>],
    workload: impl Fn(&WorkloadRef) -> Option<Arc<WorkloadMeta>>,
) -> impl Iterator<Item = Key> {
    let references: Vec<_> = both(change).map(|app| app.spec.workload_ref.clone()).collect();
    let injected_for: Vec<_> = references
        .iter()
        .filter_map(|reference| Some(Key::new(&change.key.namespace, workload(reference)?.flow_app.as_deref()?)))
        .collect();
    let same = apps.iter().filter(move |app| references.contains(&app.spec.workload_ref)).map(|app| app.key());
    same.chain(injected_for)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::delivery::sample::{app, shared, sync, workload};

    fn labelled(name: &str, tier: &str) -> FlowApp {
        let mut app = app(name);
        app.metadata.labels = Some([("tier".to_owned(), tier.to_owned())].into());
        app.spec.workload_ref.name = name.into();
        app
    }

    fn selecting(name: &str, second: i64, tier: &str) -> SpaceSecretSync {
        let mut sync = sync(name, second);
        let flow_apps = json!({"selector": {"matchLabels": {"tier": tier}}});
        sync.spec.flow_apps = serde_json::from_value(flow_apps).unwrap();
        sync
    }

    fn change<T: Item>(old: Option<T>, new: Option<T>) -> Change<T> {
        let key = old.as_ref().or(new.as_ref()).map(Item::key).unwrap();
        Change { key, old: old.map(Arc::new), new: new.map(Arc::new) }
    }

    fn names(keys: impl Iterator<Item = Key>) -> Vec<String> {
        keys.map(|key| key.name).collect()
    }

    /// A namespace of three tiers, each with an app and a sync, and a sync of all.
    fn tiers() -> (Vec<Arc<FlowApp>>, Vec<Arc<SpaceSecretSync>>) {
        let apps = ["front", "middle", "back"].map(|tier| labelled(tier, tier));
        let syncs = [selecting("of-front", 1, "front"), selecting("of-back", 2, "back"), sync("of-all", 3)];
        (shared(apps), shared(syncs))
    }

    #[test]
    fn a_secret_concerns_the_apps_that_its_sync_serves() {
        let (apps, syncs) = tiers();
        let served = |sync: &SpaceSecretSync| names(apps_served(sync, &apps, &syncs).into_iter());
        assert_eq!(served(&syncs[0]), ["front"]);
        assert_eq!(served(&syncs[1]), ["back"]);
        assert_eq!(served(&syncs[2]), ["middle"]);
    }

    #[test]
    fn a_sync_concerns_the_apps_that_it_selects_or_did_and_the_syncs_that_share_them_or_its_target() {
        let (apps, syncs) = tiers();
        let moved = change(Some(selecting("of-front", 1, "front")), Some(selecting("of-front", 1, "back")));
        let selected = apps_selected(&moved, &apps);
        assert_eq!(names(selected.iter().map(|app| app.key())), ["front", "back"]);
        assert_eq!(names(syncs_beside(&moved, &selected, &syncs)), ["of-front", "of-back", "of-all"]);
        let alone = change(None, Some(selecting("lonely", 4, "none")));
        let selected = apps_selected(&alone, &apps);
        assert_eq!(names(syncs_beside(&alone, &selected, &syncs)), [""; 0]);
        let mut rival = selecting("rival", 4, "none");
        rival.spec.target = serde_json::from_value(json!({"name": "of-back"})).unwrap();
        assert_eq!(names(syncs_beside(&change(Some(rival), None), &[], &syncs)), ["of-back"]);
    }

    #[test]
    fn an_app_concerns_the_syncs_that_select_it_or_did() {
        let (_, syncs) = tiers();
        assert_eq!(names(syncs_of(&change(None, Some(labelled("new", "front"))), &syncs)), ["of-front", "of-all"]);
        let moved = change(Some(labelled("a", "front")), Some(labelled("a", "back")));
        assert_eq!(names(syncs_of(&moved, &syncs)), ["of-front", "of-back", "of-all"]);
        assert_eq!(names(syncs_of(&change(Some(labelled("a", "front")), None), &syncs[1..2])), [""; 0]);
    }

    #[test]
    fn an_app_concerns_those_of_its_workloads_and_whoever_they_were_injected_for() {
        let (apps, _) = tiers();
        let bare = |_: &WorkloadRef| None;
        assert_eq!(names(apps_beside(&change(None, Some(labelled("front", "x"))), &apps, bare)), ["front"]);
        let (mut before, after) = (labelled("new", "x"), labelled("new", "x"));
        before.spec.workload_ref.name = "back".into();
        assert_eq!(names(apps_beside(&change(Some(before), Some(after)), &apps, bare)), ["back"]);
        let injected = |_: &WorkloadRef| Some(Arc::new(WorkloadMeta { flow_app: Some("gone".into()), ..workload() }));
        assert_eq!(names(apps_beside(&change(Some(labelled("new", "x")), None), &apps, injected)), ["gone"]);
    }
}
