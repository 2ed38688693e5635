//! What of a workload is ours, by its managed fields. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;

use super::CONCERN;
use crate::resources::names::{MANAGER, VOLUME};

/// When we last changed a workload, if anything of its template is ours.
pub fn injected_at(fields: &[ManagedFieldsEntry]) -> Option<jiff::Timestamp> {
    let ours = ours(fields).find(|entry| owned(entry, "/f:spec/f:template"))?;
    Some(ours.time.as_ref().map_or(jiff::Timestamp::UNIX_EPOCH, |at| at.0))
}

/// Whether the volume is ours, alone or together with others. Whoever changes it takes it from us.
pub fn owns_volume(fields: &[ManagedFieldsEntry]) -> bool {
    let sources = format!("/f:spec/f:template/f:spec/f:volumes/k:{{\"name\":\"{VOLUME}\"}}/f:projected/f:sources");
    ours(fields).any(|entry| owned(entry, &sources))
}

fn ours(fields: &[ManagedFieldsEntry]) -> impl Iterator<Item = &ManagedFieldsEntry> {
    let manager = format!("{MANAGER}-{CONCERN}");
    fields.iter().filter(move |entry| entry.manager.as_deref() == Some(&manager))
}

fn owned(entry: &ManagedFieldsEntry, pointer: &str) -> bool {
    entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer(pointer).is_some())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, Time};
    use serde_json::{Value as Json, json};

    use super::*;

    fn fields(manager: &str, fields: Json) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.into()),
            operation: Some("Apply".into()),
            time: Some(Time(jiff::Timestamp::from_second(7).unwrap())),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn the_managed_fields_tell_what_is_ours() {
        let volume =
            |of: Json| json!({"f:spec": {"f:template": {"f:spec": {"f:volumes": {"k:{\"name\":\"spacesync\"}": of}}}}});
        let sources = volume(json!({".": {}, "f:name": {}, "f:projected": {"f:sources": {}}}));
        let table = [
            (vec![fields("spacesync-inject", sources.clone())], Some(7), true),
            (vec![fields("kubectl", json!({})), fields("spacesync-inject", sources.clone())], Some(7), true),
            (vec![fields("kubectl", sources)], None, false),
            (vec![fields("spacesync-inject", volume(json!({".": {}, "f:name": {}})))], Some(7), false),
            (vec![fields("spacesync-inject", json!({"f:metadata": {"f:labels": {}}}))], None, false),
            (vec![], None, false),
        ];
        for (entries, at, owns) in table {
            assert_eq!(injected_at(&entries).map(jiff::Timestamp::as_second), at, "{entries:?}");
            assert_eq!(owns_volume(&entries), owns, "{entries:?}");
        }
    }
}
