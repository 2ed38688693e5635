//! The bounds of each field, found in the definitions themselves.

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::{Value, json};
use spacesync::resources::crds;

use crate::{
    good::GOOD,
    sending::{Run, client, create},
};

#[tokio::test]
async fn a_name_that_does_not_fit_a_label_is_refused() {
    let api = client().await;
    for (kind, spec) in GOOD {
        let refused = create(&api, kind, &"a".repeat(64), spec, Run::Dry).await;
        let says = format!("a {kind}'s name is used as a label: choose one of at most 63 characters");
        assert!(refused.as_ref().is_err_and(|message| message.contains(&says)), "{kind}: {refused:?}");
        assert!(create(&api, kind, &"a".repeat(63), spec, Run::Dry).await.is_ok(), "{kind}");
    }
}

/// Breaks each bound of each field of each good object, one at a time: none is forgotten, whatever is added.
#[tokio::test]
async fn each_bound_of_each_field_holds() {
    let api = client().await;
    let mut broken = BTreeSet::new();
    for (kind, spec) in GOOD {
        let crd = crds().into_iter().find(|crd| crd.spec.names.kind == *kind).expect("a definition");
        let schema = schema_of(&crd).properties.as_ref().expect("fields")["spec"].clone();
        let spec: Value = serde_saphyr::from_str(spec).expect("YAML");
        let mut breaks = Vec::new();
        break_each(&schema, "/spec", &spec, &mut breaks);
        for Break { at, value, says } in breaks {
            let mut object = json!({ "spec": spec });
            *object.pointer_mut(&at).expect("a field") = value;
            let answer = create(&api, kind, "bound", &object["spec"].to_string(), Run::Dry).await;
            assert!(
                answer.as_ref().is_err_and(|m| m.contains(&says)),
                "{kind} {at}\nexpected: {says}\nanswered: {answer:?}"
            );
            broken.insert(format!("{kind}{at} {says}"));
        }
    }
    println!("{} bounds", broken.len());
    assert!(broken.len() > 150, "only {} bounds were found to break", broken.len());
}

/// What the definition says of its objects.
pub fn schema_of(crd: &CustomResourceDefinition) -> &JSONSchemaProps {
    let schema = crd.spec.versions[0].schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
    schema.expect("a schema")
}

/// One field made wrong.
struct Break {
    at: String,
    value: Value,
    says: String,
}

fn break_each(schema: &JSONSchemaProps, at: &str, value: &Value, found: &mut Vec<Break>) {
    let field = at.trim_start_matches('/').replace("/0", "[0]").replace('/', ".");
    let mut add = |value: Value, says: String| found.push(Break { at: at.to_owned(), value, says });
    match schema.type_.as_deref() {
        Some("string") => {
            add(json!(7), "in body must be of type string: \"integer\"".into());
            if let Some(max) = schema.max_length {
                add(
                    json!("a".repeat(usize::try_from(max).expect("small") + 1)),
                    format!("Too long: may not be more than {max} bytes"),
                );
            }
            if let Some(min) = schema.min_length.filter(|min| *min > 0) {
                add(json!(""), format!("should be at least {min} chars long"));
            }
            if schema.enum_.is_some() {
                add(json!("Bogus"), format!("{field}: Unsupported value: \"Bogus\": supported values"));
            }
        }
        Some("integer") => {
            add(json!("7"), "in body must be of type integer: \"string\"".into());
            if let Some(max) = schema.maximum {
                add(json!(max + 1.0), "should be less than or equal to".into());
            }
            if let Some(min) = schema.minimum {
                add(json!(min - 1.0), "should be greater than or equal to".into());
            }
        }
        Some("boolean") => add(json!("true"), "in body must be of type boolean: \"string\"".into()),
        Some("array") => {
            add(json!({}), "in body must be of type array: \"object\"".into());
            if let Some(max) = schema.max_items {
                let one = value.get(0).cloned().unwrap_or(json!("a"));
                add(
                    Value::Array(vec![one; usize::try_from(max).expect("small") + 1]),
                    format!("must have at most {max} items"),
                );
            }
        }
        _ => {
            add(json!("text"), "in body must be of type object: \"string\"".into());
            if let Some(max) = schema.max_properties {
                let many = (0..=max).map(|n| (format!("k{n}"), json!("v"))).collect();
                add(Value::Object(many), format!("must have at most {max} items"));
            }
        }
    }
    for name in schema.required.iter().flatten() {
        let mut without = value.clone();
        without.as_object_mut().expect("an object").remove(name);
        found.push(Break { at: at.to_owned(), value: without, says: format!("{field}.{name}: Required value") });
    }
    for (name, part) in value.as_object().into_iter().flatten() {
        if let Some(property) = schema.properties.as_ref().and_then(|properties| properties.get(name)) {
            break_each(property, &format!("{at}/{name}"), part, found);
        } else if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
            break_each(values, &format!("{at}/{}", name.replace('/', "~1")), part, found);
        }
    }
    if let (Some(JSONSchemaPropsOrArray::Schema(items)), Some(first)) = (&schema.items, value.get(0)) {
        break_each(items, &format!("{at}/0"), first, found);
    }
}
