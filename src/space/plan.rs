//! What to do about one Space, and why. Knows no client and no clock.

use std::sync::Arc;

use super::{
    binding::Claim,
    gather::{Known, KnownNamespace},
};
use crate::{
    cluster::secrets::SecretMeta,
    operator::caches::ObjectView,
    resources::{DeletionPolicy, space::ApiConfigMapStatus},
};

/// What to do in each namespace, those of the spec first.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// One each.
    pub namespaces: Vec<NamespacePlan>,
}

/// What to do in one namespace.
#[derive(Debug, PartialEq)]
pub struct NamespacePlan {
    /// Its name.
    pub name: String,
    /// What the space has of it.
    pub standing: Standing,
    /// The `ConfigMap` spacesync-api.
    pub config_map: ConfigMapPlan,
    /// Managed Secrets to delete, since the space lost the namespace. While there are any, the rest waits.
    pub delete: Vec<Arc<SecretMeta>>,
}

/// What a space has of a namespace.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It is the space's.
    Bound,
    /// It is the space's, and does not exist.
    Missing,
    /// It is the space's, and not one of those that are served: it stays as it is.
    Unwatched,
    /// Another space has it.
    Waiting(String),
    /// It can never be the space's.
    Refused,
    /// The spec does not list it any more.
    Left,
    /// The same, and what is to be removed there cannot be, for it is not one of those that are served.
    Stranded,
}

/// What to do about a `ConfigMap`.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigMapPlan {
    /// It is as it should be, or it is not for us to be there.
    Leave,
    /// There is none.
    Create,
    /// It was changed, or is to tell something else now.
    Repair(Arc<ObjectView>),
    /// One of that name exists that is not ours. It is never touched.
    RefuseForeign,
    /// No space has the namespace any more.
    Remove(Arc<ObjectView>),
}

/// Decides everything.
pub fn plan(known: &Known) -> Plan {
    let on_unbind = known.space.spec.on_unbind.unwrap_or(DeletionPolicy::Retain);
    Plan { namespaces: known.namespaces.iter().map(|namespace| one(namespace, &known.content, on_unbind)).collect() }
}

fn one(known: &KnownNamespace, content: &str, on_unbind: DeletionPolicy) -> NamespacePlan {
    let standing = match &known.claim {
        Some(Claim::Bound) if !known.watched => Standing::Unwatched,
        Some(Claim::Bound) if known.exists => Standing::Bound,
        Some(Claim::Bound) => Standing::Missing,
        Some(Claim::Waiting { holder }) => Standing::Waiting(holder.clone()),
        Some(Claim::Refused) => Standing::Refused,
        // One that kept all of its Secrets anyway leaves an address of the pods' API behind, which harms nobody.
        None if !known.watched && known.is_lost() && on_unbind == DeletionPolicy::Delete => Standing::Stranded,
        None => Standing::Left,
    };
    let (config_map, delete) = match standing {
        Standing::Bound => (wanted(known, content), Vec::new()),
        _ if known.is_lost() && known.exists => parting(known, on_unbind),
        _ => (ConfigMapPlan::Leave, Vec::new()),
    };
    NamespacePlan { name: known.name.clone(), standing, config_map, delete }
}

fn wanted(known: &KnownNamespace, content: &str) -> ConfigMapPlan {
    let Some(there) = &known.config_map else { return ConfigMapPlan::Create };
    let as_written =
        |record: &ApiConfigMapStatus| record.content == content && record.resource_version == there.resource_version;
    match known.recorded.as_ref().and_then(|entry| entry.api_config_map.as_ref()) {
        _ if !there.ours => ConfigMapPlan::RefuseForeign,
        // The watch tells when it has gone.
        _ if there.terminating => ConfigMapPlan::Leave,
        Some(record) if as_written(record) => ConfigMapPlan::Leave,
        _ => ConfigMapPlan::Repair(there.clone()),
    }
}

/// Secrets first, and the `ConfigMap` only when none is left, so that a crash in between leaves nothing behind. What a
/// sync was just writing when the space lost the namespace is found by the next look.
fn parting(known: &KnownNamespace, on_unbind: DeletionPolicy) -> (ConfigMapPlan, Vec<Arc<SecretMeta>>) {
    if on_unbind == DeletionPolicy::Delete && !known.secrets.is_empty() {
        return (ConfigMapPlan::Leave, known.secrets.clone());
    }
    let config_map = match &known.config_map {
        Some(there) if there.ours && !there.terminating && !known.is_held => ConfigMapPlan::Remove(there.clone()),
        _ => ConfigMapPlan::Leave,
    };
    (config_map, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::space::{BindingState, NamespaceStatus};

    const CONTENT: &str = "c0ffee";

    fn config_map(version: &str, ours: bool) -> Arc<ObjectView> {
        Arc::new(ObjectView {
            namespace: "ns".into(),
            name: "spacesync-api".into(),
            uid: "u".into(),
            resource_version: version.into(),
            ours,
            terminating: false,
        })
    }

    fn recorded(state: BindingState, config_map: Option<(&str, &str)>) -> NamespaceStatus {
        let api_config_map = config_map
            .map(|(version, content)| ApiConfigMapStatus { resource_version: version.into(), content: content.into() });
        NamespaceStatus { name: "ns".into(), state, waiting_for: None, message: None, api_config_map }
    }

    /// A bound namespace in which everything is as it was left.
    fn bound() -> KnownNamespace {
        KnownNamespace {
            name: "ns".into(),
            claim: Some(Claim::Bound),
            is_held: true,
            watched: true,
            exists: true,
            config_map: Some(config_map("7", true)),
            recorded: Some(recorded(BindingState::Bound, Some(("7", CONTENT)))),
            secrets: Vec::new(),
        }
    }

    /// A namespace that left the spec.
    fn left() -> KnownNamespace {
        let secrets = vec![Arc::new(SecretMeta { name: "secrets".into(), ..SecretMeta::default() })];
        KnownNamespace { claim: None, is_held: false, secrets, ..bound() }
    }

    fn config_map_plan(known: &KnownNamespace) -> ConfigMapPlan {
        one(known, CONTENT, DeletionPolicy::Retain).config_map
    }

    #[test]
    fn a_config_map_that_is_as_it_was_written_is_left() {
        assert_eq!(config_map_plan(&bound()), ConfigMapPlan::Leave);
    }

    #[test]
    fn a_config_map_is_created_where_there_is_none() {
        assert_eq!(config_map_plan(&KnownNamespace { config_map: None, ..bound() }), ConfigMapPlan::Create);
        assert_eq!(
            config_map_plan(&KnownNamespace { config_map: None, recorded: None, ..bound() }),
            ConfigMapPlan::Create
        );
    }

    #[test]
    fn a_config_map_that_was_edited_or_tells_something_old_is_repaired() {
        let repair = ConfigMapPlan::Repair(config_map("8", true));
        assert_eq!(config_map_plan(&KnownNamespace { config_map: Some(config_map("8", true)), ..bound() }), repair);
        assert_eq!(
            one(&bound(), "new", DeletionPolicy::Retain).config_map,
            ConfigMapPlan::Repair(config_map("7", true))
        );
        // The record was lost, or never made.
        let unknown = KnownNamespace { recorded: None, ..bound() };
        assert_eq!(config_map_plan(&unknown), ConfigMapPlan::Repair(config_map("7", true)));
    }

    #[test]
    fn a_config_map_that_is_not_ours_is_refused_in_life_and_left_in_parting() {
        let foreign = Some(config_map("7", false));
        assert_eq!(
            config_map_plan(&KnownNamespace { config_map: foreign.clone(), ..bound() }),
            ConfigMapPlan::RefuseForeign
        );
        let left = KnownNamespace { config_map: foreign, secrets: Vec::new(), ..left() };
        assert_eq!(config_map_plan(&left), ConfigMapPlan::Leave);
    }

    #[test]
    fn nothing_is_written_where_the_namespace_is_not_the_spaces_or_does_not_exist() {
        for claim in [Claim::Waiting { holder: "other".into() }, Claim::Refused] {
            let known = KnownNamespace { claim: Some(claim), config_map: None, recorded: None, ..bound() };
            assert_eq!(config_map_plan(&known), ConfigMapPlan::Leave);
        }
        let missing =
            one(&KnownNamespace { exists: false, config_map: None, ..bound() }, CONTENT, DeletionPolicy::Retain);
        assert_eq!((missing.standing, missing.config_map), (Standing::Missing, ConfigMapPlan::Leave));
    }

    #[test]
    fn secrets_are_deleted_before_the_config_map_and_only_where_the_policy_says_so() {
        let first = one(&left(), CONTENT, DeletionPolicy::Delete);
        assert_eq!((first.delete.len(), first.config_map), (1, ConfigMapPlan::Leave));
        let then = one(&KnownNamespace { secrets: Vec::new(), ..left() }, CONTENT, DeletionPolicy::Delete);
        assert_eq!((then.delete.len(), then.config_map), (0, ConfigMapPlan::Remove(config_map("7", true))));
        let retained = one(&left(), CONTENT, DeletionPolicy::Retain);
        assert_eq!((retained.delete.len(), retained.config_map), (0, ConfigMapPlan::Remove(config_map("7", true))));
    }

    #[test]
    fn the_config_map_stays_for_the_space_that_has_the_namespace_now() {
        let taken = KnownNamespace { claim: Some(Claim::Waiting { holder: "other".into() }), is_held: true, ..left() };
        let plan = one(&taken, CONTENT, DeletionPolicy::Delete);
        assert_eq!((plan.delete.len(), plan.config_map), (1, ConfigMapPlan::Leave));
        let then = one(&KnownNamespace { secrets: Vec::new(), ..taken }, CONTENT, DeletionPolicy::Delete);
        assert_eq!((then.config_map, then.standing), (ConfigMapPlan::Leave, Standing::Waiting("other".into())));
    }

    #[test]
    fn what_a_space_never_had_is_not_parted_with() {
        let recorded = Some(recorded(BindingState::Waiting, None));
        let plan = one(&KnownNamespace { recorded, ..left() }, CONTENT, DeletionPolicy::Delete);
        assert_eq!((plan.delete.len(), plan.config_map), (0, ConfigMapPlan::Leave));
    }

    #[test]
    fn a_namespace_that_is_not_watched_is_left_as_it_is_whatever_becomes_of_it() {
        let unseen =
            |known| KnownNamespace { watched: false, exists: false, config_map: None, secrets: Vec::new(), ..known };
        let standing = |known: KnownNamespace, policy| {
            let plan = one(&known, "new", policy);
            assert_eq!((plan.config_map, plan.delete), (ConfigMapPlan::Leave, Vec::new()));
            plan.standing
        };
        assert_eq!(standing(unseen(bound()), DeletionPolicy::Delete), Standing::Unwatched);
        let waiting = KnownNamespace { claim: Some(Claim::Waiting { holder: "other".into() }), ..unseen(bound()) };
        assert_eq!(standing(waiting, DeletionPolicy::Delete), Standing::Waiting("other".into()));
        assert_eq!(standing(unseen(left()), DeletionPolicy::Retain), Standing::Left);
        assert_eq!(standing(unseen(left()), DeletionPolicy::Delete), Standing::Stranded);
    }

    #[test]
    fn in_a_namespace_that_is_gone_there_is_nothing_to_part_with() {
        let plan = one(&KnownNamespace { exists: false, ..left() }, CONTENT, DeletionPolicy::Delete);
        assert_eq!((plan.delete.len(), plan.config_map), (0, ConfigMapPlan::Leave));
    }
}
