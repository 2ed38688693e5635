//! The OpenAPI document of the pods' API, made from the code.

use std::collections::BTreeMap;

use utoipa::{
    Modify, OpenApi,
    openapi::{
        ContentBuilder, Ref, ResponseBuilder,
        path::Operation,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use super::{
    endpoints::{acks, settings, status, sync},
    problem::{Document, What},
};

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Spacesync pods' API",
        version = "v1",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        description = "\
What a runtime in a pod of a flow app may ask of the operator. The address stands in `.spacesync/url`, the certificates \
to trust in `.spacesync/ca.crt`, the token in `.spacesync/token`: read them anew for each connection. Every request is \
about the sync that serves the pod's own flow app; nothing in a request can name another. Names, times, revisions and \
counts only: never a value. Fields that are not known are ignored, in requests and answers."
    ),
    servers((url = "https://spacesync.spacesync-system.svc:8443", description = "what `.spacesync/url` says by default")),
    paths(status::answer, sync::answer, settings::answer, acks::answer),
    components(schemas(Document)),
    security(("pod" = [])),
    modifiers(&Security, &Problems)
)]
pub struct PodsApi;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.description =
            Some("The pod's projected service account token, audience `spacesync.dev`: `.spacesync/token`.".to_owned());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("pod", SecurityScheme::Http(bearer));
    }
}

/// What can go wrong where, besides what can go wrong anywhere.
const ANYWHERE: &[What] =
    &[What::Unauthenticated, What::PodGone, What::NotAPod, What::NoFlowApp, What::TooManyRequests, What::Unavailable];
const WITH_A_BODY: &[What] = &[What::Malformed, What::TooLarge, What::UnsupportedType, What::TimedOut];
const OF_SYNC: &[What] = &[What::NoSync];
const OF_SETTINGS: &[What] = &[What::NoSync, What::FieldOwned, What::Changed];

struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut document.paths.paths {
            let its_own = match path.as_str() {
                "/v1/sync" => OF_SYNC,
                "/v1/settings" => OF_SETTINGS,
                _ => &[],
            };
            for operation in [&mut item.get, &mut item.post, &mut item.patch].into_iter().flatten() {
                let with_a_body = if operation.request_body.is_some() { WITH_A_BODY } else { &[] };
                add(operation, ANYWHERE.iter().chain(with_a_body).chain(its_own));
            }
        }
    }
}

/// One response for each status, with all that it can mean.
fn add<'a>(operation: &mut Operation, problems: impl Iterator<Item = &'a What>) {
    let mut by_status: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for what in problems {
        by_status.entry(what.status().as_u16()).or_default().push(format!("`{}`: {}", what.as_str(), what.title()));
    }
    for (status, meanings) in by_status {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new()
            .description(meanings.join("; "))
            .content("application/problem+json", content)
            .build();
        operation.responses.responses.insert(status.to_string(), response.into());
    }
}

/// The document as YAML that is the same on every run.
pub fn page() -> anyhow::Result<String> {
    const HEAD: &str = "# Made from src/pod_api/ by `make generate`: change it there.\n---\n";
    let document = serde_json::to_value(PodsApi::openapi())?;
    Ok(format!("{HEAD}{}", serde_saphyr::to_string(&document)?))
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    fn document() -> Json {
        serde_json::to_value(PodsApi::openapi()).unwrap()
    }

    #[test]
    fn each_path_has_its_one_method_and_says_what_can_go_wrong() {
        let document = document();
        for (path, method, statuses) in [
            ("/v1/status", "get", "200 304 401 403 429 503"),
            ("/v1/sync", "post", "200 202 400 401 403 408 409 413 415 429 503"),
            ("/v1/settings", "patch", "200 400 401 403 408 409 413 415 429 503"),
            ("/v1/acks", "post", "204 400 401 403 408 413 415 429 503"),
        ] {
            let methods = document["paths"][path].as_object().unwrap();
            assert_eq!(methods.keys().collect::<Vec<_>>(), [method], "{path}");
            let responses = methods[method]["responses"].as_object().unwrap();
            assert_eq!(responses.keys().map(String::as_str).collect::<Vec<_>>().join(" "), statuses, "{path}");
        }
    }

    #[test]
    fn every_schema_that_is_named_is_there_and_every_field_is_described() {
        let document = document();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let text = document.to_string();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name}");
        }
        for (name, schema) in schemas {
            for (field, property) in schema["properties"].as_object().into_iter().flatten() {
                let described = property["description"].is_string() || property["$ref"].is_string();
                assert!(described || property["oneOf"].is_array(), "{name}.{field} has no description");
            }
        }
    }
}
