//! Objects for the tests of this room.

use std::{collections::BTreeMap, sync::Arc};

use super::{gather::Known, schedule::Phase};
use crate::{
    cluster::secrets::{FullSecret, SecretMeta},
    resources::{
        Space, SpaceSecretSync, SpaceSecretSyncSpec, SpaceSecretSyncStatus,
        names::{CHANGE, REVISION, SYNC_REQUESTED},
        sync::{SourceStatus, TargetStatus},
    },
    secret::{Content, Entry, FingerprintKey, Identity, KeyFilter, ManagedSecret, Snapshot, Value},
    store::{
        Head, StoreError,
        book::{self, EntryId},
    },
};

/// The moment of the tests.
pub fn now() -> jiff::Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

pub fn key() -> FingerprintKey {
    FingerprintKey::new(vec![7; 32]).unwrap()
}

pub const OF: Identity<'_> = Identity { namespace: "ns", sync_uid: "sync-uid", space: "newsroom" };

pub fn head(version: u64) -> Head {
    Head { version: Some(version), ..Head::default() }
}

pub fn snapshot(version: u64, entries: &[(&str, &str)]) -> Snapshot {
    Snapshot {
        head: head(version),
        version,
        created: now(),
        updated: now(),
        issued: now(),
        entries: entries.iter().map(|(k, v)| ((*k).to_owned(), Entry::text(v))).collect(),
        refused: Vec::new(),
    }
}

pub fn built(version: u64, entries: &[(&str, &str)]) -> ManagedSecret {
    ManagedSecret::build(&snapshot(version, entries), &OF, &KeyFilter::new(None, None).unwrap(), &key())
}

/// The managed Secret as it would be read from the cluster.
pub fn full(content: &ManagedSecret, resource_version: &str) -> FullSecret {
    let revision = content.revision.to_string();
    let annotations = Some(BTreeMap::from([(REVISION.to_owned(), revision.clone())]));
    let object_meta = kube::core::ObjectMeta { annotations, ..Default::default() };
    FullSecret {
        meta: SecretMeta {
            namespace: "ns".into(),
            name: "secrets".into(),
            uid: "secret-uid".into(),
            resource_version: resource_version.into(),
            sync: Some("secrets".into()),
            space: Some("newsroom".into()),
            content: Some(Content { revision: revision.clone(), since: now() }),
            revision: Some(revision),
            ..SecretMeta::default()
        },
        object_meta,
        type_: "Opaque".into(),
        immutable: false,
        data: content.data(),
    }
}

pub fn annotate(secret: &mut FullSecret, record: &crate::secret::ChangeRecord) {
    let annotations = secret.object_meta.annotations.get_or_insert_default();
    annotations.insert(CHANGE.to_owned(), serde_json::to_string(record).unwrap());
}

/// A sync that is bound and has brought nothing yet.
pub fn fresh() -> Known {
    let mut space = Space::new("newsroom", crate::resources::SpaceSpec::default());
    space.metadata.uid = Some("space-uid".into());
    let mut sync = SpaceSecretSync::new("secrets", SpaceSecretSyncSpec::default());
    sync.metadata.namespace = Some("ns".into());
    sync.metadata.uid = Some("sync-uid".into());
    sync.metadata.generation = Some(1);
    Known {
        sync: Arc::new(sync),
        space: Some(Arc::new(space)),
        manager_exists: true,
        no_store: None,
        entry: EntryId { manager: "central".into(), path: "newsroom".into() },
        head: None,
        phase: Phase::of(""),
        request: None,
        target: None,
        strays: Vec::new(),
        taken_by: None,
    }
}

/// A sync that has brought version 1 of `A=1`, with everything in step.
pub fn in_step() -> Known {
    let content = built(1, &[("A", "1")]);
    let secret = full(&content, "100").meta;
    let status = SpaceSecretSyncStatus {
        observed_generation: Some(1),
        space: Some("newsroom".into()),
        version: Some(1),
        revision: Some(content.revision.to_string()),
        target: Some(TargetStatus {
            name: secret.name.clone(),
            uid: secret.uid.clone(),
            resource_version: secret.resource_version.clone(),
        }),
        source: Some(SourceStatus {
            secret_manager: "central".into(),
            path: "newsroom".into(),
            generation: Some(1),
            shape: None,
            head: head(1),
        }),
        ..SpaceSecretSyncStatus::default()
    };
    let known = fresh().with_head(Ok(head(1)));
    Known { target: Some(Arc::new(secret)), ..known }.with_sync(|sync| sync.status = Some(status))
}

impl Known {
    pub(super) fn with_sync(mut self, change: impl FnOnce(&mut SpaceSecretSync)) -> Self {
        change(Arc::make_mut(&mut self.sync));
        self
    }

    pub(super) fn with_spec(self, change: impl FnOnce(&mut SpaceSecretSyncSpec)) -> Self {
        self.with_sync(|sync| change(&mut sync.spec))
    }

    pub(super) fn with_head(mut self, head: Result<Head, StoreError>) -> Self {
        self.head = Some(book::Known { head, since: now() });
        self
    }

    pub(super) fn with_target(mut self, change: impl FnOnce(&mut SecretMeta)) -> Self {
        let mut target = self.target.as_deref().cloned().unwrap_or_default();
        change(&mut target);
        self.target = Some(Arc::new(target));
        self
    }

    pub(super) fn with_request(mut self, value: &str) -> Self {
        self = self.with_sync(|sync| {
            sync.metadata.annotations = Some(BTreeMap::from([(SYNC_REQUESTED.to_owned(), value.to_owned())]));
        });
        self.request = super::request::Request::pending(&self.sync);
        self
    }
}

pub fn value(text: &str) -> Value {
    Value::from(text)
}
