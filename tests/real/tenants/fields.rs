//! All fields, labels and annotations that a tenant can set, from the definitions and from the code itself.

use serde_json::{Value as Json, json};
use spacesync::resources::crds;

/// A field of a definition. A list's item is `[]` in its path, a map's key and value are `{key}` and `{value}`.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub path: Vec<String>,
    pub text: bool,
}

fn leaves(schema: &Json, path: &[String]) -> Vec<Leaf> {
    let below = |step: &str| [path, &[step.to_owned()]].concat();
    if let Some(fields) = schema["properties"].as_object() {
        return fields.iter().flat_map(|(name, field)| leaves(field, &below(name))).collect();
    }
    if schema["items"].is_object() {
        return leaves(&schema["items"], &below("[]"));
    }
    if schema["additionalProperties"].is_object() {
        return ["{key}", "{value}"].map(|step| Leaf { path: below(step), text: true }).into();
    }
    vec![Leaf { path: path.to_vec(), text: schema["type"] == "string" }]
}

/// The leaves of `spec` or `status` of one of our kinds, from the definition that is installed.
pub fn leaves_of(kind: &str, part: &str) -> Vec<Leaf> {
    let definition = crds().into_iter().find(|crd| crd.spec.names.kind == kind).expect("one of our kinds");
    let schema = json!(definition.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema);
    leaves(&schema["properties"][part], &[part.to_owned()])
}

pub fn set(object: &mut Json, path: &[String], value: &str) {
    match path {
        [] => *object = value.into(),
        [step, ..] if step == "{key}" => *object = json!({value: "a"}),
        [step, ..] if step == "{value}" => *object = json!({"team": value}),
        [step, rest @ ..] if step == "[]" => {
            if !object.is_array() {
                *object = json!([{}]);
            }
            set(&mut object[0], rest, value);
        }
        [step, rest @ ..] => {
            if !object.is_object() {
                *object = json!({});
            }
            set(&mut object[step.as_str()], rest, value);
        }
    }
}

/// Every label and annotation that means something to us, from the file where each stands once.
pub fn our_names() -> Vec<&'static str> {
    let text = include_str!("../../../src/resources/names.rs");
    let quoted = text.lines().filter(|line| line.starts_with("pub const")).filter_map(|line| line.split('"').nth(1));
    quoted.filter(|name| name.contains('/') && !name.starts_with('/')).collect()
}
