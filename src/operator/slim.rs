//! Our own resources as a cache keeps them: without what nobody reads here, which takes more room than the rest.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{
    cluster::cache::{Item, version_number},
    resources::{FlowApp, SecretManager, Space, SpaceSecretSync, owner},
};

macro_rules! item {
    ($kind:ty, $slim:expr) => {
        impl Item for $kind {
            fn place(&self) -> (&str, &str) {
                let meta = &self.metadata;
                (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
            }

            fn resource_version(&self) -> u64 {
                version_number(self.metadata.resource_version.as_deref())
            }

            fn slim(&mut self) {
                strip(&mut self.metadata);
                let slim: fn(&mut Self) = $slim;
                slim(self);
            }
        }
    };
}

// A list that was read grew by doubling, from four: most hold one or two, and a condition or a line of the history
// takes 128 bytes and more.
item!(SecretManager, |manager| {
    if let Some(status) = &mut manager.status {
        status.conditions.shrink_to_fit();
    }
});
item!(Space, |space| {
    space.spec.namespaces.shrink_to_fit();
    if let Some(status) = &mut space.status {
        status.namespaces.shrink_to_fit();
        status.conditions.shrink_to_fit();
    }
});
item!(SpaceSecretSync, |sync| {
    if let Some(status) = &mut sync.status {
        status.keys.shrink_to_fit();
        status.conditions.shrink_to_fit();
        status.history.shrink_to_fit();
        for change in &mut status.history {
            for names in [&mut change.added, &mut change.changed, &mut change.removed] {
                names.names.shrink_to_fit();
            }
        }
    }
});
item!(FlowApp, |app| {
    if let Some(status) = &mut app.status {
        status.pod_revisions.shrink_to_fit();
        status.conditions.shrink_to_fit();
    }
});

fn strip(meta: &mut ObjectMeta) {
    owner::strip(meta);
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
    use serde_json::json;

    use super::*;
    use crate::cluster::cache::{Cache, Key};

    fn sync() -> SpaceSecretSync {
        let names: Vec<_> = (0..5).map(|number| format!("KEY_{number}")).collect();
        let keys: Vec<_> = names.iter().map(|name| json!({"name": name, "format": "text"})).collect();
        let at = "2026-11-24T10:15:00Z";
        let condition = json!({"type": "Ready", "status": "True", "reason": "Synced", "message": "",
                               "lastTransitionTime": at});
        serde_json::from_value(json!({
            "metadata": {"namespace": "ns", "name": "secrets", "resourceVersion": "7"},
            "spec": {},
            "status": {
                "keys": keys,
                "conditions": [condition],
                "history": [{"version": 1, "revision": "1-00", "time": at, "trigger": "first",
                             "added": {"count": 5, "names": names}}],
            },
        }))
        .unwrap()
    }

    #[test]
    fn what_is_kept_takes_no_more_room_than_it_needs() {
        let mut read = sync();
        read.metadata.managed_fields = Some(vec![ManagedFieldsEntry::default()]);
        let applied = "kubectl.kubernetes.io/last-applied-configuration";
        read.metadata.annotations = Some(BTreeMap::from([(applied.into(), "{}".into())]));
        let cache = Cache::<SpaceSecretSync>::default();
        cache.put(read);
        let kept = cache.get(&Key::new("ns", "secrets")).unwrap();
        assert_eq!(kept.metadata.managed_fields, None);
        assert_eq!(kept.metadata.annotations, Some(BTreeMap::new()));
        let status = kept.status.as_ref().unwrap();
        assert_eq!((status.keys.capacity(), status.history.capacity(), status.conditions.capacity()), (5, 1, 1));
        assert_eq!(status.history[0].added.names.capacity(), 5);
    }
}
