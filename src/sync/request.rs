//! *Sync now*: the annotation that every way to ask ends in.

use crate::resources::{SpaceSecretSync, Trigger, names::SYNC_REQUESTED};

/// Longer requests are cut, so that a status stays small.
const MAX_CHARS: usize = 253;

/// A request that has not been dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What stands in the annotation.
    pub value: String,
    /// Who asked: *Sync now*, or a flow that was saved.
    pub trigger: Trigger,
}

impl Request {
    /// The request of a sync, if there is one that its status does not name yet.
    pub fn pending(sync: &SpaceSecretSync) -> Option<Self> {
        let value: String = sync.metadata.annotations.as_ref()?.get(SYNC_REQUESTED)?.chars().take(MAX_CHARS).collect();
        let handled = sync.status.as_ref().and_then(|status| status.last_handled_sync_request.as_deref());
        if value.is_empty() || handled == Some(value.as_str()) {
            return None;
        }
        let trigger = if value.starts_with("save/") { Trigger::Save } else { Trigger::Manual };
        Some(Self { value, trigger })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sync(annotation: Option<&str>, handled: Option<&str>) -> SpaceSecretSync {
        let mut sync = SpaceSecretSync::new("s", crate::resources::SpaceSecretSyncSpec::default());
        sync.metadata.annotations = annotation.map(|a| BTreeMap::from([(SYNC_REQUESTED.to_owned(), a.to_owned())]));
        sync.status = Some(crate::resources::SpaceSecretSyncStatus {
            last_handled_sync_request: handled.map(ToOwned::to_owned),
            ..Default::default()
        });
        sync
    }

    #[test]
    fn a_value_that_differs_from_the_handled_one_is_a_request() {
        let cases = [
            (None, None, None),
            (Some(""), None, None),
            (Some("manual/1"), None, Some(Trigger::Manual)),
            (Some("manual/1"), Some("manual/1"), None),
            (Some("manual/2"), Some("manual/1"), Some(Trigger::Manual)),
            (Some("save/3"), Some("manual/1"), Some(Trigger::Save)),
            (Some("anything"), None, Some(Trigger::Manual)),
        ];
        for (annotation, handled, expected) in cases {
            let seen = Request::pending(&sync(annotation, handled)).map(|r| r.trigger);
            assert_eq!(seen, expected, "{annotation:?} after {handled:?}");
        }
    }
}
