//! `reload: Restart`: which workloads roll for a new revision, when, and how many at once. No node runs the pods here: the
//! tests say of each when it is Ready, as its kubelet would, so that nothing happens behind their back.

use devcluster::AuditLevel;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::Pod,
};
use kube::{ResourceExt, api::ListParams};
use serde_json::json;
use spacesync::{
    resources::{FlowApp, SpaceSecretSync, flow_app::RestartPhase},
    secret::Content,
};

use crate::{
    tenant::{PATIENCE, Tenant, condition, until},
    workload::{app_condition, app_message, template},
    world::World,
};

const RESTARTED_FOR: &str = "spacesync.dev/restarted-for";

/// What a Deployment was rolled for, on itself and on its template, which must say the same.
fn rolled_for(deployment: &Deployment) -> Option<String> {
    let template = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.clone()).unwrap_or_default();
    let on_template = template.annotations.and_then(|mut annotations| annotations.remove(RESTARTED_FOR));
    assert_eq!(deployment.annotations().get(RESTARTED_FOR), on_template.as_ref());
    on_template
}

fn phase(app: &FlowApp) -> Option<RestartPhase> {
    Some(app.status.as_ref()?.restart.as_ref()?.phase)
}

impl Tenant<'_> {
    async fn deployment(&self) -> Deployment {
        self.api().get("ingest").await.unwrap()
    }

    /// Waits until the Deployment `ingest` has so many pods of its newest template, and no others, and says that they are
    /// Ready.
    async fn pods_start(&self, count: usize) {
        let began = std::time::Instant::now();
        loop {
            let deployment = self.deployment().await;
            let current = rolled_for(&deployment);
            let pods = self.api::<Pod>().list(&ListParams::default().labels("spacesync.dev/flow-app")).await.unwrap();
            for pod in &pods {
                let is_current = pod.annotations().get(RESTARTED_FOR) == current.as_ref();
                let is_ready = pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"));
                if is_current && !is_ready {
                    self.run(&pod.name_any()).await;
                }
            }
            let status = deployment.status.clone().unwrap_or_default();
            let wanted = i32::try_from(count).ok().filter(|count| *count > 0);
            let is_seen = status.observed_generation == deployment.metadata.generation;
            if is_seen && [status.replicas, status.updated_replicas, status.available_replicas] == [wanted; 3] {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{status:?} {:?}",
                pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// A namespace with a synced `A=1` and a Deployment `ingest` of two pods that is restarted; all of it in good order.
    async fn with_restarted(&self) {
        self.sync(json!({})).await;
        self.until_secret(&[("A", "1")]).await;
        self.restarted().await;
    }

    async fn restarted(&self) {
        self.past_the_skew().await;
        self.workload::<Deployment>("ingest", template()).await;
        self.patch::<Deployment>("ingest", json!({"spec": {"replicas": 2}})).await;
        self.ingest(json!({"reload": "Restart"})).await;
        self.until_app("ingest", "Ready", "True/Ready").await;
        self.pods_start(2).await;
    }

    /// Waits until whatever is made from now on counts as younger than the Secret: clocks may differ, so what is made within
    /// the same moment does not.
    async fn past_the_skew(&self) {
        let secret = self.until_secret(&[("A", "1")]).await;
        let content: Content = secret.annotations()["spacesync.dev/content"].parse().unwrap();
        let young = content.since + std::time::Duration::from_secs(3);
        let left = young.duration_since(jiff::Timestamp::now());
        tokio::time::sleep(left.try_into().unwrap_or_default()).await;
    }

    /// Waits until the restart of the app `ingest` is so far.
    async fn until_phase(&self, expected: RestartPhase) -> FlowApp {
        let what = format!("{expected:?}");
        until(self.api::<FlowApp>(), "ingest", &what, |app| phase(app) == Some(expected)).await
    }

    async fn until_delivered(&self, expected: &str, summary: &str) -> SpaceSecretSync {
        let what = format!("{expected} {summary}");
        until(self.api::<SpaceSecretSync>(), "secrets", &what, |sync| {
            let delivery = sync.status.as_ref().and_then(|status| status.delivery.as_ref());
            condition(sync, "Delivered") == expected && delivery.is_some_and(|delivery| delivery.summary == summary)
        })
        .await
    }

    async fn revision(&self) -> String {
        self.api::<SpaceSecretSync>().get("secrets").await.unwrap().status.unwrap().revision.unwrap()
    }

    /// How often the operator applied to the Deployment `ingest` for a restart.
    fn rolls(&self) -> usize {
        let place = format!("/namespaces/{}/deployments/ingest?", self.name);
        let requests = self.world.requests_of_operator();
        requests
            .iter()
            .filter(|(_, uri)| uri.contains(&place) && uri.contains("fieldManager=spacesync-restart"))
            .count()
    }
}

#[tokio::test]
async fn a_workload_rolls_once_for_a_new_content_and_not_for_a_version_alone() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    // Pods that are younger than what they read need no restart.
    tenant.with_restarted().await;
    tenant.until_app("ingest", "Loaded", "True/Restarted").await;
    tenant.until_delivered("True/Delivered", "2/2").await;
    let before = tenant.deployment().await;
    assert_eq!((rolled_for(&before), tenant.rolls()), (None, 0));

    // The version moves alone.
    tenant.entry_with(&[("A", "1")], json!({"spacesync.dev/version": "7"})).await;
    tenant.until_status("version 7", |status| status.version == Some(7)).await;
    let told = |app: &FlowApp| {
        app.status
            .as_ref()
            .and_then(|status| status.revision.clone())
            .is_some_and(|revision| revision.starts_with("7-"))
    };
    until(tenant.api::<FlowApp>(), "ingest", "it has seen it", told).await;
    tenant.until_app("ingest", "Loaded", "True/Restarted").await;
    tenant.until_delivered("True/Delivered", "2/2").await;
    assert_eq!((tenant.deployment().await.metadata.generation, tenant.rolls()), (before.metadata.generation, 0));

    tenant.entry_with(&[("A", "2")], json!({"spacesync.dev/version": "8"})).await;
    tenant.until_secret(&[("A", "2")]).await;
    let app = tenant.until_phase(RestartPhase::Rolling).await;
    assert_eq!(app_condition(&app, "Loaded"), "Unknown/Restarting");
    let revision = tenant.revision().await;
    assert!(revision.starts_with("8-"), "{revision}");
    assert_eq!(rolled_for(&tenant.deployment().await), Some(revision.clone()));
    let note = tenant.until_event("FlowApp", "ingest", "Normal", "Restarting").await;
    assert!(note.starts_with("Deployment ingest is rolled for revision "), "{note}");
    tenant.pods_start(2).await;
    let app = tenant.until_phase(RestartPhase::Done).await;
    let expected = format!("all 2 pods were started with revision {revision} and are Ready");
    let app_is = |app: &FlowApp| app_message(app, "Loaded") == expected;
    until(tenant.api::<FlowApp>(), &app.name_any(), &expected, app_is).await;
    tenant.until_delivered("True/Delivered", "2/2").await;
    assert_eq!(tenant.rolls(), 1, "{:?}", tenant.requests());
    assert_eq!(tenant.warnings().await, [""; 0]);
}

#[tokio::test]
async fn no_more_workloads_roll_at_once_than_may_whoever_leads_and_none_rolls_twice() {
    let world = World::start(AuditLevel::Metadata);
    let one_at_once = [("SPACESYNC_ROLLOUTS_AT_ONCE", "1")];
    let mut operator = world.operator(&one_at_once);
    let mut tenants = Vec::new();
    for _ in 0..3 {
        let tenant = world.tenant(&[("A", "1")]).await;
        tenant.sync(json!({})).await;
        tenant.until_secret(&[("A", "1")]).await;
        tenants.push(tenant);
    }
    for tenant in &tenants {
        tenant.restarted().await;
        tenant.until_delivered("True/Delivered", "2/2").await;
    }
    for tenant in &tenants {
        tenant.entry(&[("A", "2")]).await;
    }
    for turn in 0..tenants.len() {
        // Exactly one rolls, and each of those behind it says that it waits.
        let (rolling, waiting) = stand(&tenants, turn).await;
        assert_eq!((rolling.len(), waiting.len()), (1, tenants.len() - turn - 1));
        for tenant in &waiting {
            let app = tenant.until_app("ingest", "Loaded", "Unknown/RestartWaiting").await;
            let said = app_message(&app, "Loaded");
            assert!(
                said.starts_with("Deployment ingest waits for its turn") && said.contains("no more than 1 "),
                "{said}"
            );
            assert!(condition(&tenant.until_delivered("False/Delivering", "0/2").await, "Ready") == "True/Synced");
        }
        if turn == 1 {
            // The next leader goes on from what stands on the workloads.
            operator.kill();
            world.forget_lease().await;
            operator = world.operator(&one_at_once);
            let began = std::time::Instant::now();
            while !operator.log().contains("leading") {
                assert!(began.elapsed() < PATIENCE, "{}", operator.log());
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            let again = stand(&tenants, turn).await;
            assert_eq!(again.0[0].name, rolling[0].name);
        }
        rolling[0].pods_start(2).await;
        rolling[0].until_phase(RestartPhase::Done).await;
    }
    for tenant in &tenants {
        tenant.until_delivered("True/Delivered", "2/2").await;
        assert_eq!(tenant.rolls(), 1, "{:?}", tenant.requests());
    }
}

/// Which of the tenants' workloads roll, and which wait, once that is settled for all but those that are done.
async fn stand<'t, 'w>(tenants: &'t [Tenant<'w>], done: usize) -> (Vec<&'t Tenant<'w>>, Vec<&'t Tenant<'w>>) {
    let began = std::time::Instant::now();
    loop {
        let (mut rolling, mut waiting, mut rolled) = (Vec::new(), Vec::new(), 0);
        for tenant in tenants {
            let app = tenant.api::<FlowApp>().get("ingest").await.unwrap();
            let new = tenant.api::<SpaceSecretSync>().get("secrets").await.unwrap().status.unwrap().version == Some(2);
            let has = rolled_for(&tenant.deployment().await).is_some_and(|revision| revision.starts_with("2-"));
            rolled += usize::from(has);
            match phase(&app) {
                Some(RestartPhase::Rolling) if new => rolling.push(tenant),
                Some(RestartPhase::Waiting) if new => waiting.push(tenant),
                _ => {}
            }
        }
        assert!(rolled <= done + 1, "{rolled} were rolled where {done} are done and one may");
        // The place of one that is done is given to the next, which takes a moment to say so.
        if !rolling.is_empty() && rolling.len() + waiting.len() + done == tenants.len() {
            return (rolling, waiting);
        }
        assert!(began.elapsed() < PATIENCE, "{} roll, {} wait, {done} are done", rolling.len(), waiting.len());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_restart_that_does_not_come_to_an_end_is_named_and_holds_nobody_up_and_may_still_end() {
    let world = World::start(AuditLevel::Metadata);
    let _operator = world.operator(&[("SPACESYNC_ROLLOUTS_AT_ONCE", "1")]);
    let (stuck, next) = (world.tenant(&[("A", "1")]).await, world.tenant(&[("A", "1")]).await);
    for tenant in [&stuck, &next] {
        tenant.with_restarted().await;
        tenant.until_app("ingest", "Loaded", "True/Restarted").await;
    }
    stuck.patch::<Deployment>("ingest", json!({"spec": {"progressDeadlineSeconds": 3, "minReadySeconds": 0}})).await;
    stuck.entry(&[("A", "2")]).await;
    stuck.until_phase(RestartPhase::Rolling).await;
    next.entry(&[("A", "2")]).await;
    next.until_phase(RestartPhase::Waiting).await;
    // Its pods never become Ready.
    let app = stuck.until_app("ingest", "Loaded", "False/RestartStalled").await;
    let said = app_message(&app, "Loaded");
    assert!(said.ends_with("does not come to an end: Deployment ingest has exceeded its progress deadline"), "{said}");
    assert_eq!(stuck.until_event("FlowApp", "ingest", "Warning", "RestartStalled").await, said);
    stuck.until_delivered("False/RestartStalled", "0/2").await;
    next.until_phase(RestartPhase::Rolling).await;
    next.pods_start(2).await;
    next.until_delivered("True/Delivered", "2/2").await;
    // What was wrong with it is mended.
    stuck.pods_start(2).await;
    stuck.until_app("ingest", "Loaded", "True/Restarted").await;
    stuck.until_delivered("True/Delivered", "2/2").await;
}

#[tokio::test]
async fn a_workload_that_does_not_roll_by_itself_says_why_and_goes_on_when_it_may() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.with_restarted().await;
    tenant.until_app("ingest", "Loaded", "True/Restarted").await;
    tenant.patch::<Deployment>("ingest", json!({"spec": {"paused": true}})).await;
    tenant.entry(&[("A", "2")]).await;
    let app = tenant.until_app("ingest", "Loaded", "False/RestartHeld").await;
    assert!(app_message(&app, "Loaded").ends_with("does not by itself: it is paused; resume it"));
    tenant.until_event("FlowApp", "ingest", "Warning", "RestartHeld").await;
    tenant.patch::<Deployment>("ingest", json!({"spec": {"paused": false}})).await;
    tenant.pods_start(2).await;
    tenant.until_app("ingest", "Loaded", "True/Restarted").await;
}

#[tokio::test]
async fn a_stateful_set_rolls_too_pod_by_pod_and_one_that_waits_for_people_says_so() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    tenant.past_the_skew().await;
    tenant.workload::<StatefulSet>("flows", template()).await;
    tenant.patch::<StatefulSet>("flows", json!({"spec": {"replicas": 2}})).await;
    tenant.ingest(json!({"reload": "Restart", "workloadRef": {"kind": "StatefulSet", "name": "flows"}})).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
    stateful_pods_start(&tenant, None).await;
    tenant.until_app("ingest", "Loaded", "True/Restarted").await;
    tenant.entry(&[("A", "2")]).await;
    tenant.until_phase(RestartPhase::Rolling).await;
    stateful_pods_start(&tenant, Some("2-")).await;
    tenant.until_delivered("True/Delivered", "2/2").await;
    let strategy = json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}});
    tenant.patch::<StatefulSet>("flows", strategy).await;
    tenant.entry(&[("A", "3")]).await;
    let app = tenant.until_app("ingest", "Loaded", "False/RestartHeld").await;
    assert!(app_message(&app, "Loaded").contains("StatefulSet flows is to restart"), "{}", app_message(&app, "Loaded"));
    for pod in ["flows-0", "flows-1"] {
        tenant.delete::<Pod>(pod).await;
    }
    stateful_pods_start(&tenant, Some("3-")).await;
    tenant.until_delivered("True/Delivered", "2/2").await;
}

/// Says of the two pods of the StatefulSet that they are Ready, as they come, until both were rolled for this.
async fn stateful_pods_start(tenant: &Tenant<'_>, rolled_for: Option<&str>) {
    let began = std::time::Instant::now();
    loop {
        // A StatefulSet replaces a pod only when the one before is Ready, also where that was made before the injection.
        let pods = tenant.api::<Pod>().list(&ListParams::default()).await.unwrap();
        let mut ready = 0;
        for pod in &pods {
            let is_injected = pod.labels().contains_key("spacesync.dev/flow-app");
            let is_new = is_injected
                && rolled_for.is_none_or(|revision| {
                    pod.annotations().get(RESTARTED_FOR).is_some_and(|of| of.starts_with(revision))
                });
            match pod.status.as_ref().and_then(|status| status.phase.as_deref()) {
                Some("Running") => ready += usize::from(is_new),
                _ => tenant.run(&pod.name_any()).await,
            }
        }
        if ready == 2 {
            return;
        }
        if began.elapsed() > PATIENCE {
            let set = tenant.api::<StatefulSet>().get("flows").await.unwrap();
            let names = pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>();
            panic!("waiting for {rolled_for:?}: {names:?} {:?} {:?}", set.metadata.generation, set.status);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_app_that_wants_nothing_is_shown_and_not_counted() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    tenant.ingest(json!({"reload": "None"})).await;
    tenant.running("pod-a", "ingest").await;
    tenant.until_app("ingest", "Loaded", "Unknown/NotSignalled").await;
    let sync = tenant.until_delivered("True/NoPods", "0/0").await;
    assert_eq!(sync.status.unwrap().delivery.unwrap().flow_apps, 1);
    tenant.entry(&[("A", "2")]).await;
    tenant.until_secret(&[("A", "2")]).await;
    let seen =
        |app: &FlowApp| app.status.as_ref().is_some_and(|s| s.revision.as_deref().is_some_and(|r| r.starts_with("2-")));
    let app = until(tenant.api::<FlowApp>(), "ingest", "it has seen it", seen).await;
    assert_eq!(app.status.unwrap().summary.as_deref(), Some("0/1"));
    let pod = tenant.api::<Pod>().get("pod-a").await.unwrap();
    assert!(!pod.annotations().contains_key("spacesync.dev/revision"));
    assert_eq!(tenant.rolls(), 0);
}
