//! What the operator must be allowed to do, in one table: /readyz names from it what is missing, and a test compares it
//! with the roles in `deploy/` both ways.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, ResourceRule, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SelfSubjectRulesReview,
    SelfSubjectRulesReviewSpec,
};
use tokio::sync::Notify;

use crate::cluster::{Cluster, Error, Result};

/// Where a permission is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// In the whole cluster, every namespace included.
    Cluster,
    /// In the operator's own namespace.
    Own,
}

/// Verbs of one resource, and what for.
#[derive(Clone, Copy, Debug)]
pub struct Permission {
    /// Where.
    pub place: Place,
    /// The API group.
    pub group: &'static str,
    /// The resource, with its subresource.
    pub resource: &'static str,
    /// The verbs, by spaces.
    pub verbs: &'static str,
    /// The only objects that it is needed for; empty for all.
    pub names: &'static [&'static str],
    /// What for.
    pub purpose: &'static str,
}

macro_rules! permissions {
    ($($place:ident $group:literal $resource:literal $verbs:literal $names:expr, $purpose:literal;)*) => {
        /// All of them.
        pub const PERMISSIONS: &[Permission] = &[$(Permission {
            place: Place::$place, group: $group, resource: $resource, verbs: $verbs, names: $names, purpose: $purpose,
        },)*];
    };
}

const OURS: &str = "spacesync";

permissions! {
    // where group         resource                verbs                  which, what for
    Cluster "spacesync.dev" "secretmanagers"         "list watch"           &[], "to know the stores";
    Cluster "spacesync.dev" "secretmanagers/status"  "patch"                &[], "to say whether a store answers";
    Cluster "spacesync.dev" "spaces"                 "list watch"           &[], "to know which namespace has which secrets";
    Cluster "spacesync.dev" "spaces/status"          "patch"                &[], "to say which namespaces are bound";
    Cluster "spacesync.dev" "spacesecretsyncs"       "get list watch patch" &[], "to know the syncs, and to ask for one from the editor";
    Cluster "spacesync.dev" "spacesecretsyncs/status" "patch"               &[], "to say what was synced";
    Cluster "spacesync.dev" "flowapps"               "list watch patch"     &[], "to know the flow apps, and to set what the editor offers";
    Cluster "spacesync.dev" "flowapps/status"        "patch"                &[], "to say what pods have loaded";
    Cluster ""              "secrets"                "get list watch create update delete" &[], "to keep the managed Secrets";
    Cluster ""              "configmaps"             "list watch create patch delete" &[], "to tell pods where their API is";
    Cluster ""              "pods"                   "get list watch"       &[], "to know who asks, and who has loaded what";
    Cluster ""              "pods/status"            "patch"                &[], "to signal pods";
    Cluster "apps"          "deployments"            "get list watch patch" &[], "to mount the secrets in flow apps";
    Cluster "apps"          "statefulsets"           "get list watch patch" &[], "to mount the secrets in flow apps";
    Cluster ""              "namespaces"             "list watch"           &[], "to know which namespaces there are";
    Cluster "events.k8s.io" "events"                 "create patch"         &[], "to tell what someone must act on";
    Cluster "authentication.k8s.io" "tokenreviews"   "create"               &[], "to know which pod asks";
    Cluster "apiextensions.k8s.io" "customresourcedefinitions" "get"
        &["flowapps.spacesync.dev", "spacesecretsyncs.spacesync.dev"], "to tell an uninstall from the end of one object";
    Own     ""              "configmaps"             "get"                  &[], "to read the CA bundles of stores";
    Own     "coordination.k8s.io" "leases"           "create"               &[], "to write in turns with other replicas";
    Own     "coordination.k8s.io" "leases"           "get update"           &[OURS], "to write in turns with other replicas";
}

/// Needed only where a `SecretManager` logs in with the operator's own account, and asked for only then: its condition
/// says what is missing.
pub const AT_NEED: Permission = Permission {
    place: Place::Own,
    group: "",
    resource: "serviceaccounts/token",
    verbs: "create",
    names: &[OURS],
    purpose: "to log in to stores as the operator's own account",
};

/// What to do about a permission that is missing, however it was installed.
pub const MEND: &str =
    "apply the roles of this version: upgrade the chart, or deploy/rbac.yaml with the operator's namespace in it";

/// One verb of one resource, of one object or of all.
#[derive(Clone, Copy, Debug)]
struct Access {
    of: &'static Permission,
    verb: &'static str,
    name: Option<&'static str>,
}

impl Access {
    fn all() -> impl Iterator<Item = Self> {
        PERMISSIONS.iter().flat_map(|of| {
            let names = of.names.iter().copied().map(Some).chain(of.names.is_empty().then_some(None));
            names.flat_map(move |name| of.verbs.split(' ').map(move |verb| Self { of, verb, name }))
        })
    }

    /// What is read in /readyz and in the log.
    fn sentence(self, own: &str) -> String {
        let Permission { group, resource, purpose, .. } = self.of;
        let group = if group.is_empty() { String::new() } else { format!(".{group}") };
        let name = self.name.map(|name| format!(" {name}")).unwrap_or_default();
        let place = match self.of.place {
            Place::Cluster => "in the whole cluster".to_owned(),
            Place::Own => format!("in namespace {own}"),
        };
        format!("may not {} {resource}{group}{name} {place} ({purpose}); {MEND}", self.verb)
    }

    fn is_given_by(self, rules: &[ResourceRule]) -> bool {
        let has = |list: Option<&Vec<String>>, wanted: &str| {
            list.into_iter().flatten().any(|given| given == wanted || given == "*")
        };
        let named = |list: Option<&Vec<String>>| match (list.filter(|list| !list.is_empty()), self.name) {
            (None, _) => true,
            (Some(list), Some(name)) => list.iter().any(|given| given == name),
            (Some(_), None) => false,
        };
        rules.iter().any(|rule| {
            rule.verbs.iter().any(|verb| verb == self.verb || verb == "*")
                && has(rule.api_groups.as_ref(), self.of.group)
                && has(rule.resources.as_ref(), self.of.resource)
                && named(rule.resource_names.as_ref())
        })
    }
}

/// What is missing, as it was last seen.
#[derive(Debug, Default)]
pub struct Permissions(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    missing: Vec<String>,
    was_complete: bool,
}

const LOCK: &str = "no code panics while it holds the lock";
/// A namespace that can be none: what is given in it is given in the whole cluster.
const NOWHERE: &str = "-";
/// After a refusal by something else, such as a quota, that is not mended soon.
const REST: Duration = Duration::from_secs(10);
/// While something is missing, its coming is noticed within this.
const AGAIN: Duration = Duration::from_millis(250);

impl Permissions {
    /// What keeps a replica from becoming ready: a rollout to a version that needs more stops, and the old one goes on.
    pub fn problems(&self) -> Vec<String> {
        let known = self.0.lock().expect(LOCK);
        if known.was_complete { Vec::new() } else { known.missing.clone() }
    }

    /// What was taken from one that was ready. It still serves the pods with what it may do: to take them the API as well
    /// would help nobody.
    pub fn notes(&self) -> Vec<String> {
        let known = self.0.lock().expect(LOCK);
        if known.was_complete { known.missing.clone() } else { Vec::new() }
    }

    /// Takes in what is missing now; whether that is news.
    fn learn(&self, missing: &[String]) -> bool {
        let mut known = self.0.lock().expect(LOCK);
        let news = known.missing != missing;
        for line in missing.iter().filter(|line| !known.missing.contains(line)) {
            tracing::warn!("missing permission: {line}");
        }
        if news && missing.is_empty() {
            tracing::info!("no permission is missing any more");
        }
        known.missing = missing.to_vec();
        known.was_complete |= missing.is_empty();
        news
    }

    /// Asks at the start and after each refusal, and again while anything is missing.
    pub async fn watch(self: Arc<Self>, cluster: Cluster, own: String, refused: Arc<Notify>) {
        let mut pause = AGAIN;
        loop {
            match missing(&cluster, &own).await {
                Ok(lines) => {
                    if self.learn(&lines) {
                        pause = AGAIN;
                    }
                    if lines.is_empty() {
                        refused.notified().await;
                        // What was refused is told before it is asked for; more that comes at once needs no more questions.
                        tokio::time::sleep(if pause == AGAIN { Duration::ZERO } else { pause }).await;
                        pause = REST;
                        continue;
                    }
                }
                Err(error) => tracing::debug!(%error, "the operator's permissions cannot be asked for"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(REST);
        }
    }
}

/// Two requests where all is given: what these do not show is asked for one by one, for not every authorizer can list.
async fn missing(cluster: &Cluster, own: &str) -> Result<Vec<String>> {
    let mut rules = BTreeMap::new();
    for (place, namespace) in [(Place::Cluster, NOWHERE), (Place::Own, own)] {
        let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) };
        let review = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
        let answer = cluster.create(&review).await?;
        rules.insert(place, answer.status.map(|status| status.resource_rules).unwrap_or_default());
    }
    let mut missing = Vec::new();
    for access in Access::all() {
        if !access.is_given_by(&rules[&access.of.place]) && !is_allowed(cluster, access, own).await? {
            missing.push(access.sentence(own));
        }
    }
    Ok(missing)
}

async fn is_allowed(cluster: &Cluster, access: Access, own: &str) -> std::result::Result<bool, Error> {
    let (resource, subresource) = match access.of.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (access.of.resource, None),
    };
    let attributes = ResourceAttributes {
        group: Some(access.of.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        verb: Some(access.verb.to_owned()),
        name: access.name.map(str::to_owned),
        namespace: (access.of.place == Place::Own).then(|| own.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    Ok(cluster.create(&review).await?.status.is_some_and(|status| status.allowed))
}
