//! `spacesync crds`: the definitions as YAML that is the same on every run.

use std::{fs, path::Path};

use anyhow::Context;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use crate::resources::crds;

/// Each definition by the name of its file.
pub fn files() -> anyhow::Result<Vec<(String, String)>> {
    crds().iter().map(|crd| Ok((format!("{}.yaml", crd.spec.names.plural), yaml(crd)?))).collect()
}

/// All of them as one stream of YAML documents.
pub fn stream() -> anyhow::Result<String> {
    Ok(files()?.into_iter().map(|(_, text)| text).collect())
}

/// Writes one file for each into a folder.
pub fn write(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, text) in files()? {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn yaml(crd: &CustomResourceDefinition) -> anyhow::Result<String> {
    let mut document = serde_json::to_value(crd)?;
    whole_numbers(&mut document);
    Ok(format!("---\n{}", serde_saphyr::to_string(&document)?))
}

/// The API's types hold every bound as a float; `minimum: 1.0` of an integer reads oddly.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e15) {
                #[allow(clippy::cast_possible_truncation, reason = "it is whole and small")]
                let whole = whole as i64;
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_yaml_says_what_the_code_says() {
        for (crd, (name, text)) in crds().iter().zip(files().unwrap()) {
            let read: CustomResourceDefinition = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(&read, crd, "{name}");
        }
    }
}
