//! Who owns the fields that people set in the editor's sidebar, by the managed fields of server-side apply.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use serde_json::{Map, Value as Json, json};

use super::names::MANAGER;

/// Field of a sync's spec that the sidebar sets.
pub const AUTO_SYNC: &str = "autoSync";
/// Field of a FlowApp's spec that the sidebar sets.
pub const SYNC_ON_SAVE: &str = "syncOnSave";

/// What the sidebar applies a field as, less the prefix that all of our managers have.
pub fn concern(field: &str) -> String {
    format!("sidebar-{field}")
}

/// Who else owns a field of the spec: the sidebar cannot set it then without a quarrel.
pub fn foreign<'a>(meta: &'a ObjectMeta, field: &str) -> Option<&'a str> {
    let ours = format!("{MANAGER}-{}", concern(field));
    owners(meta, field).find(|manager| *manager != ours)
}

/// Whether the sidebar owns a field of the spec.
pub fn is_ours(meta: &ObjectMeta, field: &str) -> bool {
    let ours = format!("{MANAGER}-{}", concern(field));
    owners(meta, field).any(|manager| manager == ours)
}

fn owners<'a>(meta: &'a ObjectMeta, field: &str) -> impl Iterator<Item = &'a str> {
    let field = format!("f:{field}");
    meta.managed_fields
        .iter()
        .flatten()
        .filter(move |entry| spec_of(entry).is_some_and(|spec| spec.contains_key(&field)))
        .filter_map(|entry| entry.manager.as_deref())
}

fn spec_of(entry: &ManagedFieldsEntry) -> Option<&Map<String, Json>> {
    entry.fields_v1.as_ref()?.0.get("f:spec")?.as_object()
}

/// Leaves of the managed fields only who owns one of these two: mostly nobody.
pub fn strip(meta: &mut ObjectMeta) {
    let kept = |entry: ManagedFieldsEntry| {
        let spec = spec_of(&entry)?;
        let fields = [AUTO_SYNC, SYNC_ON_SAVE].map(|field| format!("f:{field}"));
        let fields: Map<_, _> =
            fields.into_iter().filter(|field| spec.contains_key(field)).map(|field| (field, json!({}))).collect();
        if fields.is_empty() {
            return None;
        }
        let fields_v1 = Some(FieldsV1(json!({"f:spec": fields})));
        Some(ManagedFieldsEntry { manager: entry.manager, fields_v1, ..ManagedFieldsEntry::default() })
    };
    let entries: Vec<_> = meta.managed_fields.take().into_iter().flatten().filter_map(kept).collect();
    meta.managed_fields = (!entries.is_empty()).then_some(entries);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(entries: &[(&str, Json)]) -> ObjectMeta {
        let entry = |(manager, fields): &(&str, Json)| ManagedFieldsEntry {
            manager: Some((*manager).to_owned()),
            fields_v1: Some(FieldsV1(fields.clone())),
            ..ManagedFieldsEntry::default()
        };
        ObjectMeta { managed_fields: Some(entries.iter().map(entry).collect()), ..ObjectMeta::default() }
    }

    #[test]
    fn of_many_managers_those_of_the_two_fields_stay() {
        let mut meta = meta(&[
            ("argocd-controller", json!({"f:spec": {"f:autoSync": {}, "f:target": {"f:name": {}}}})),
            ("spacesync-sidebar-syncOnSave", json!({"f:spec": {"f:syncOnSave": {}}})),
            ("kubectl", json!({"f:metadata": {"f:annotations": {}}})),
            ("spacesync", json!({"f:status": {"f:autoSync": {}}})),
        ]);
        strip(&mut meta);
        assert_eq!(meta.managed_fields.as_ref().map(Vec::len), Some(2));
        assert_eq!(foreign(&meta, AUTO_SYNC), Some("argocd-controller"));
        assert_eq!(foreign(&meta, SYNC_ON_SAVE), None);
        assert!(is_ours(&meta, SYNC_ON_SAVE) && !is_ours(&meta, AUTO_SYNC));
    }

    #[test]
    fn a_field_that_somebody_else_owns_too_is_foreign() {
        let field = json!({"f:spec": {"f:autoSync": {}}});
        let meta = meta(&[("spacesync-sidebar-autoSync", field.clone()), ("flux", field)]);
        assert_eq!(foreign(&meta, AUTO_SYNC), Some("flux"));
    }

    #[test]
    fn where_nobody_owns_them_nothing_is_kept() {
        let mut meta = meta(&[("kubectl", json!({"f:spec": {"f:target": {}}}))]);
        strip(&mut meta);
        assert_eq!(meta.managed_fields, None);
    }
}
