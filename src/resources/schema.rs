//! What the four schemas share: CEL rules, parts that derive cannot make, and the last strokes over the whole.

use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// The name of an object. Without it a name such as `../../other/secrets/x` would become part of a request's path.
pub(super) const OBJECT_NAME: &str =
    "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')";

/// The name of a namespace or container, which has no dots.
pub(super) const LABEL_NAME: &str = "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')";

/// What the API server asks of a selector in its own kinds; in ours nobody else would say it.
pub(super) const SELECTOR: &str = "!has(self.matchExpressions) || self.matchExpressions.all(e, \
     e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 : \
     e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || e.values.size() == 0))";

/// Labels and annotations by which Spacesync knows what is its own.
pub(super) const NOT_OURS: &str =
    "!self.exists(k, k.startsWith('spacesync.dev/') || k == 'app.kubernetes.io/managed-by')";

pub(super) const NOT_OURS_SAYS: &str =
    "must not hold spacesync.dev/... or app.kubernetes.io/managed-by: those are Spacesync's own";

/// Names of labels and annotations: a name of up to 63 characters, perhaps behind a domain and a slash.
pub(super) const QUALIFIED: &str = "self.all(k, k.size() <= 317 && \
     k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9._]{0,61}[A-Za-z0-9])?$'))";

/// Labels, few and as long as Kubernetes takes them.
pub(super) fn labels(_: &mut SchemaGenerator) -> Schema {
    map(63)
}

/// Annotations, few and not longer than all of an object together may be.
pub(super) fn annotations(_: &mut SchemaGenerator) -> Schema {
    map(4096)
}

fn map(longest: usize) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": longest},
        "nullable": true,
    })
}

/// A label selector with the bounds without which [`SELECTOR`] would be too dear for the API server.
pub(super) fn selector(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = LabelSelector::json_schema(generator);
    if let Some(expressions) = schema.pointer_mut("/properties/matchExpressions") {
        expressions["maxItems"] = 50.into();
    }
    schema.insert("nullable".into(), true.into());
    schema
}

/// A field that may be absent or one of an enum's words. The derived schema would put the enum's description in place of
/// the field's, which says what the default is.
pub(super) fn choice<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let schema = T::json_schema(generator);
    let list = |keyword| schema.get(keyword).and_then(Value::as_array).into_iter().flatten();
    // A variant with a doc comment stands in `oneOf`, one without in `enum`.
    let words: Vec<&Value> = list("oneOf").filter_map(|variant| variant.get("const")).chain(list("enum")).collect();
    json_schema!({"type": "string", "enum": words, "nullable": true})
}

/// Takes out what the API server warns of or nobody reads: Rust's number formats, and the titles.
pub(super) fn tidy(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let versions = crd.spec.versions.iter_mut();
    versions.filter_map(|v| v.schema.as_mut()?.open_api_v3_schema.as_mut()).for_each(tidy_schema);
    crd
}

fn tidy_schema(schema: &mut JSONSchemaProps) {
    schema.title = None;
    schema.format.take_if(|format| format.starts_with("uint"));
    schema.properties.iter_mut().flatten().for_each(|(_, property)| tidy_schema(property));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy_schema(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy_schema(values);
    }
}
