//! What the operator must be allowed to do, in one table: /readyz names from it what is missing, and a test compares it
//! with the roles in `deploy/` both ways.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, ResourceRule, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SelfSubjectRulesReview,
    SelfSubjectRulesReviewSpec,
};
use tokio::sync::Notify;

use super::{caches::Caches, context::Settings, scope::Scope};
use crate::{
    cluster::{Cluster, Error, Result},
    resources::names::API_CONFIG_MAP,
};

/// Where a permission is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Of objects that are in no namespace.
    Cluster,
    /// In every namespace that is served.
    Served,
    /// Of the namespaces that are served.
    Namespaces,
    /// In the operator's own namespace.
    Own,
    /// The same where not all namespaces are served, and so not this one.
    OwnBesides,
    /// Where Events about objects that are in no namespace stand. Likewise.
    EventsBesides,
}

/// The namespace of Events about objects that are in none: the API server takes them nowhere else.
pub const EVENTS: &str = "default";

/// Where exactly a permission is needed: in one namespace or of the cluster, and of which object if of one only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot<'a> {
    /// The namespace.
    pub namespace: Option<&'a str>,
    /// The object.
    pub name: Option<&'a str>,
}

impl Place {
    /// All spots of this place, by which namespaces are served.
    pub fn spots<'a>(self, scope: &'a Scope, own: &'a str) -> Vec<Spot<'a>> {
        let of_cluster = Spot { namespace: None, name: None };
        let within = |namespace| Spot { namespace: Some(namespace), name: None };
        match (self, scope) {
            (Self::Cluster, _) | (Self::Served | Self::Namespaces, Scope::Cluster) => vec![of_cluster],
            (Self::Served, Scope::Namespaces(served)) => served.iter().map(|name| within(name)).collect(),
            (Self::Namespaces, Scope::Namespaces(served)) => {
                served.iter().map(|name| Spot { name: Some(name), ..of_cluster }).collect()
            }
            (Self::Own, _) | (Self::OwnBesides, Scope::Namespaces(_)) => vec![within(own)],
            (Self::EventsBesides, Scope::Namespaces(_)) => vec![within(EVENTS)],
            (Self::OwnBesides | Self::EventsBesides, Scope::Cluster) => Vec::new(),
        }
    }
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
    // where  group         resource                verbs                  which, what for
    Cluster "spacesync.dev" "secretmanagers"         "list watch"           &[], "to know the stores";
    Cluster "spacesync.dev" "secretmanagers/status"  "patch"                &[], "to say whether a store answers";
    Cluster "spacesync.dev" "spaces"                 "list watch"           &[], "to know which namespace has which secrets";
    Cluster "spacesync.dev" "spaces/status"          "patch"                &[], "to say which namespaces are bound";
    Served  "spacesync.dev" "spacesecretsyncs"       "get list watch patch" &[], "to know the syncs, and to ask for one from the editor";
    Served  "spacesync.dev" "spacesecretsyncs/status" "patch"               &[], "to say what was synced";
    Served  "spacesync.dev" "flowapps"               "list watch patch"     &[], "to know the flow apps, and to set what the editor offers";
    Served  "spacesync.dev" "flowapps/status"        "patch"                &[], "to say what pods have loaded";
    Served  ""              "secrets"                "get list watch create update delete" &[], "to keep the managed Secrets";
    Served  ""              "configmaps"             "create"               &[], "to tell pods where their API is";
    Served  ""              "configmaps"             "list watch patch delete" &[API_CONFIG_MAP], "to tell pods where their API is";
    Served  ""              "pods"                   "get list watch"       &[], "to know who asks, and who has loaded what";
    Served  ""              "pods/status"            "patch"                &[], "to signal pods";
    Served  "apps"          "deployments"            "get list watch patch" &[], "to mount the secrets in flow apps";
    Served  "apps"          "statefulsets"           "get list watch patch" &[], "to mount the secrets in flow apps";
    Namespaces ""           "namespaces"             "list watch"           &[], "to know which namespaces there are";
    Served  "events.k8s.io" "events"                 "create patch"         &[], "to tell what someone must act on";
    EventsBesides "events.k8s.io" "events"           "create patch"         &[], "to tell what someone must act on";
    Cluster "authentication.k8s.io" "tokenreviews"   "create"               &[], "to know which pod asks";
    Cluster "apiextensions.k8s.io" "customresourcedefinitions" "get"
        &["flowapps.spacesync.dev", "spacesecretsyncs.spacesync.dev"], "to tell an uninstall from the end of one object";
    OwnBesides ""           "secrets"                "get list watch create update" &[], "to read the embedded store and the credentials of others, and to keep the keys of its own";
    Own     ""              "configmaps"             "get list watch"       &[], "to read the CA bundles of stores, and to know when one changes";
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

/// One verb of one resource, of one object or of all, in one spot.
#[derive(Clone, Copy, Debug)]
struct Access<'a> {
    of: &'static Permission,
    verb: &'static str,
    namespace: Option<&'a str>,
    name: Option<&'a str>,
}

impl<'a> Access<'a> {
    fn all(scope: &'a Scope, own: &'a str) -> Vec<Self> {
        let mut all = Vec::new();
        for of in PERMISSIONS {
            for Spot { namespace, name } in of.place.spots(scope, own) {
                let names = of.names.iter().copied().map(Some).chain(of.names.is_empty().then_some(name));
                let access = |name| of.verbs.split(' ').map(move |verb| Self { of, verb, namespace, name });
                all.extend(names.flat_map(access));
            }
        }
        all
    }

    /// What is read in /readyz and in the log.
    fn sentence(self) -> String {
        let Permission { group, resource, purpose, .. } = self.of;
        let group = if group.is_empty() { String::new() } else { format!(".{group}") };
        let name = self.name.map(|name| format!(" {name}")).unwrap_or_default();
        let place = self.namespace.map_or("in the whole cluster".to_owned(), |name| format!("in namespace {name}"));
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

    fn lacks_something(&self) -> bool {
        !self.0.lock().expect(LOCK).missing.is_empty()
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
    pub async fn watch(
        self: Arc<Self>,
        cluster: Cluster,
        settings: Settings,
        caches: Arc<Caches>,
        refused: Arc<Notify>,
    ) {
        let mut pause = AGAIN;
        loop {
            let mut asked = missing(&cluster, &settings, &caches).await;
            // What the rules do not show is asked for a moment later, when the role may be another. So whoever lacked
            // something, and is told that nothing is missing, makes sure.
            if self.lacks_something() && asked.as_ref().is_ok_and(Vec::is_empty) {
                asked = missing(&cluster, &settings, &caches).await;
            }
            match asked {
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

/// Where other roles than those of the whole cluster are to be applied.
const NARROW: &str = " (with --watch-namespaces: those of deploy/namespaced/)";

/// One request for the cluster and one for each namespace where something is needed, where all is given: what these do
/// not show is asked for one by one, for not every authorizer can list.
async fn missing(cluster: &Cluster, settings: &Settings, caches: &Caches) -> Result<Vec<String>> {
    let (scope, own) = (&settings.scope, &settings.namespace);
    // There is no role in a namespace that does not exist.
    let is_moot =
        |access: &Access<'_>| access.of.place == Place::Served && access.namespace.is_some_and(|of| caches.lack(of));
    let mut rules = BTreeMap::new();
    let mut missing = Vec::new();
    for access in Access::all(scope, own).into_iter().filter(|access| !is_moot(access)) {
        let rules = match rules.entry(access.namespace.unwrap_or(NOWHERE)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let known = rules_in(cluster, unknown.key()).await?;
                unknown.insert(known)
            }
        };
        if !access.is_given_by(rules) && !is_allowed(cluster, access).await? {
            let narrow = if *scope == Scope::Cluster { "" } else { NARROW };
            missing.push(access.sentence() + narrow);
        }
    }
    Ok(missing)
}

async fn rules_in(cluster: &Cluster, namespace: &str) -> Result<Vec<ResourceRule>> {
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) };
    let answer = cluster.create(&SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() }).await?;
    Ok(answer.status.map(|status| status.resource_rules).unwrap_or_default())
}

async fn is_allowed(cluster: &Cluster, access: Access<'_>) -> std::result::Result<bool, Error> {
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
        namespace: access.namespace.map(str::to_owned),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    Ok(cluster.create(&review).await?.status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_namespace_that_is_served_is_asked_for_by_its_name() {
        let scope = Scope::of(&["a".into(), "b".into()], "own").unwrap();
        let all: Vec<_> = Access::all(&scope, "own").iter().map(|access| access.sentence()).collect();
        for wanted in [
            "may not patch deployments.apps in namespace a (",
            "may not patch deployments.apps in namespace b (",
            "may not watch namespaces a in the whole cluster (",
            "may not watch secrets in namespace own (",
            "may not create events.events.k8s.io in namespace default (",
            "may not watch spaces.spacesync.dev in the whole cluster (",
        ] {
            assert_eq!(all.iter().filter(|line| line.starts_with(wanted)).count(), 1, "{wanted}: {all:#?}");
        }
        let in_the_cluster = all.iter().filter(|line| line.contains("in the whole cluster"));
        let few = ["secretmanagers", "spaces", "namespaces", "tokenreviews", "customresourcedefinitions"];
        for line in in_the_cluster {
            assert!(few.iter().any(|resource| line.contains(&format!(" {resource}"))), "{line}");
        }
    }

    #[test]
    fn what_the_whole_cluster_has_in_it_is_not_asked_for_again() {
        let all = Access::all(&Scope::Cluster, "own");
        let elsewhere = all.iter().filter_map(|access| access.namespace).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(elsewhere, ["own"].into());
        let own = all.iter().filter(|access| access.namespace.is_some()).map(|access| access.of.resource);
        assert!(
            own.clone().all(|resource| ["configmaps", "leases"].contains(&resource)),
            "{:?}",
            own.collect::<Vec<_>>()
        );
    }
}
