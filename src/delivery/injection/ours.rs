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

/// Where our entry is, if a part of a container is ours: that is given up once it stands (see [`super::claim()`]).
pub fn containers_at(fields: &[ManagedFieldsEntry]) -> Option<usize> {
    let manager = format!("{MANAGER}-{CONCERN}");
    let ours = |entry: &ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(&manager) && entry.operation.as_deref() == Some("Apply")
    };
    fields.iter().position(|entry| ours(entry) && owned(entry, CONTAINERS))
}

/// The containers in our managed fields.
pub const CONTAINERS: &str = "/f:spec/f:template/f:spec/f:containers";

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
    fn our_part_of_a_container_is_found() {
        let containers =
            || json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"nr\"}": {}}}}}});
        let (ours, theirs) = (fields("spacesync-inject", containers()), fields("kubectl", containers()));
        let labels = fields("spacesync-inject", json!({"f:metadata": {"f:labels": {}}}));
        let update = ManagedFieldsEntry { operation: Some("Update".into()), ..ours.clone() };
        assert_eq!(containers_at(&[theirs.clone(), ours]), Some(1));
        assert_eq!(containers_at(&[theirs, labels, update]), None);
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
