//! `POST /v1/acks`: a runtime's word that the snapshot its flows read is of this revision, or that it could not be
//! loaded. It becomes a condition of the pod, in one patch of `pods/status`, which does not delay the kubelet's next
//! refresh as an annotation of its own would.

use std::fmt::Write;

use http::{Response, StatusCode};
use http_body_util::Full;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use super::super::{
    Answer, PodApi,
    authentication::away,
    caller::Caller,
    fields::Fields,
    problem::{Problem, What},
};
use crate::{
    cluster::Error,
    delivery::pod::{Ack, PodView},
    resources::names::{LEGACY_NODES, LOADED, RUNTIME},
    secret::Revision,
};

/// What a runtime may say that it could not be loaded for.
pub const ERRORS: [&str; 6] = [
    "SnapshotMissing",
    "SnapshotUnreadable",
    "SnapshotMalformed",
    "SnapshotIncomplete",
    "ProtectionUnavailable",
    OTHER,
];
/// What any other text counts as. The text itself is thrown away: it might quote a value.
const OTHER: &str = "RuntimeError";
const MAX_ERROR: usize = 1024;
/// What stands on the pod is capped where it is read.
const MAX_RUNTIME: usize = 128;

/// An acknowledgement.
#[derive(Debug, ToSchema)]
#[schema(as = Acknowledgement)]
#[allow(dead_code, reason = "for the document only: bodies are read field by field")]
pub struct Document {
    /// The revision inside the snapshot that flows read; with `error`, the one that could not be loaded.
    #[schema(examples("43-9f3c0a1b2c3d4e5f"))]
    revision: String,
    /// Why it could not be loaded: `SnapshotMissing`, `SnapshotUnreadable`, `SnapshotMalformed`, `SnapshotIncomplete`,
    /// `ProtectionUnavailable` or `RuntimeError`. Any other text counts as `RuntimeError` and is thrown away.
    #[schema(max_length = 1024)]
    error: Option<String>,
    /// What runs the flows.
    runtime: RuntimeDocument,
    /// How many legacy Secret Manager nodes it found in its flows.
    #[schema(maximum = 1_000_000)]
    legacy_nodes: Option<u32>,
}

/// What runs the flows. Each is a word of up to 40 letters, digits and `._+-`.
#[derive(Debug, ToSchema)]
#[schema(as = Runtime)]
#[allow(dead_code, reason = "for the document only")]
pub struct RuntimeDocument {
    /// Its name.
    #[schema(examples("node-red"))]
    name: String,
    /// Its version.
    #[schema(examples("5.0.7"))]
    version: String,
    /// The version of what reads the secrets in it.
    #[schema(examples("0.1.0"))]
    plugin: Option<String>,
    /// What keeps the secrets from being read by others.
    #[schema(examples("context-store"))]
    protection: Option<String>,
}

/// What was said.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    ack: Ack,
    runtime: String,
    legacy_nodes: Option<u32>,
}

impl Said {
    fn read(fields: &Fields) -> Result<Self, Problem> {
        let expected = "a revision, <version>-<16 hex digits>, as .spacesync.json has it";
        let revision: Option<Revision> = fields.text("revision", 64)?.and_then(|text| text.parse().ok());
        let revision = revision.ok_or_else(|| fields.wrong("revision", expected))?.to_string();
        let error = fields.text("error", MAX_ERROR)?;
        let known = |error: &str| ERRORS.into_iter().find(|word| *word == error).unwrap_or(OTHER);
        let reason = error.map_or("Loaded", known).to_owned();
        Ok(Self {
            ack: Ack { loaded: error.is_none(), reason, revision },
            runtime: runtime(fields)?,
            legacy_nodes: fields.count("legacyNodes", 1_000_000)?,
        })
    }

    /// The patch, with only what the pod does not say already; `None` where it says everything.
    fn patch(&self, pod: &PodView, now: jiff::Timestamp) -> Option<Json> {
        let mut annotations = serde_json::Map::new();
        if pod.runtime.as_ref() != Some(&self.runtime) {
            annotations.insert(RUNTIME.to_owned(), self.runtime.clone().into());
        }
        let count = self.legacy_nodes.filter(|count| *count > 0 || pod.legacy_nodes.is_some());
        if let Some(count) = count.filter(|_| count != pod.legacy_nodes) {
            annotations.insert(LEGACY_NODES.to_owned(), count.to_string().into());
        }
        let differs = pod.loaded.as_ref() != Some(&self.ack);
        if annotations.is_empty() && !differs {
            return None;
        }
        let mut patch = json!({"metadata": {"uid": pod.uid}});
        if !annotations.is_empty() {
            patch["metadata"]["annotations"] = annotations.into();
        }
        if differs {
            patch["status"] = json!({"conditions": [{
                "type": LOADED,
                "status": if self.ack.loaded { "True" } else { "False" },
                "reason": self.ack.reason,
                "message": self.ack.revision,
                "lastTransitionTime": Time(now),
            }]});
        }
        Some(patch)
    }
}

/// `node-red/5.0.7 plugin/0.1.0 protection/context-store`.
fn runtime(fields: &Fields) -> Result<String, Problem> {
    let runtime =
        fields.object("runtime")?.ok_or_else(|| fields.wrong("runtime", "an object with name and version"))?;
    let needed = |name| runtime.word(name)?.ok_or_else(|| runtime.wrong(name, "a word such as node-red or 5.0.7"));
    let mut text = format!("{}/{}", needed("name")?, needed("version")?);
    for name in ["plugin", "protection"] {
        if let Some(word) = runtime.word(name)? {
            let _ = write!(text, " {name}/{word}");
        }
    }
    if text.len() > MAX_RUNTIME {
        return Err(fields.wrong("runtime", "words of no more than 100 characters in all"));
    }
    Ok(text)
}

/// Says that the snapshot that flows read is of a revision, or that it could not be loaded.
///
/// It may be said again: what is known already is not written. There is no quota.
#[utoipa::path(
    post,
    path = "/v1/acks",
    operation_id = "acknowledge",
    request_body = Document,
    responses((status = 204, description = "it is known, and `kubectl` shows it"))
)]
pub async fn answer(api: &PodApi, caller: &Caller, fields: &Fields) -> Result<Answer, Problem> {
    let arrived = jiff::Timestamp::now();
    let said = Said::read(fields)?;
    let pod = &caller.pod;
    if let Some(patch) = said.patch(pod, arrived) {
        match api.cluster.patch_pod_status(&pod.namespace, &pod.name, &patch).await {
            Ok(written) => drop(PodView::project(written).map(|view| api.ctx.caches.pods.put(view))),
            Err(error) => return Err(refused(&error)),
        }
        if said.ack.loaded && pod.loaded.as_ref() != Some(&said.ack) {
            api.latency.note(&api.ctx, caller, &said.ack.revision, arrived);
        }
    }
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

fn refused(error: &Error) -> Problem {
    match error {
        // It has gone since, or another has its name.
        Error::NotFound | Error::Conflict(_) | Error::Invalid(_) => {
            Problem::new(What::PodGone, "the pod was deleted; its successor has a token of its own")
        }
        other => away(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const R1: &str = "43-9f3c0a1b2c3d4e5f";
    const RUNTIME_TEXT: &str = "node-red/5.0.7 plugin/0.1.0 protection/context-store";

    fn body() -> Json {
        let runtime = json!({"name": "node-red", "version": "5.0.7", "plugin": "0.1.0", "protection": "context-store"});
        json!({"revision": R1, "runtime": runtime})
    }

    fn read(body: &Json) -> Result<Said, Problem> {
        Said::read(&Fields::read(body.to_string().as_bytes()).unwrap())
    }

    fn with(field: &str, value: Json) -> Json {
        let mut body = body();
        body[field] = value;
        body
    }

    fn pod() -> PodView {
        PodView { uid: "u".into(), ..PodView::default() }
    }

    fn patch(said: &Said, pod: &PodView) -> Option<Json> {
        said.patch(pod, jiff::Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn an_acknowledgement_becomes_a_condition_and_annotations() {
        let patch = patch(&read(&with("legacyNodes", json!(3))).unwrap(), &pod());
        let expected = json!({
            "metadata": {"uid": "u", "annotations": {
                "spacesync.dev/runtime": RUNTIME_TEXT, "spacesync.dev/legacy-nodes": "3",
            }},
            "status": {"conditions": [{
                "type": "spacesync.dev/Loaded", "status": "True", "reason": "Loaded", "message": R1,
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }]},
        });
        assert_eq!(patch, Some(expected));
    }

    #[test]
    fn what_the_pod_says_already_is_not_written_again() {
        let said = read(&with("legacyNodes", json!(0))).unwrap();
        let acked = PodView { loaded: Some(said.ack.clone()), runtime: Some(RUNTIME_TEXT.into()), ..pod() };
        assert_eq!(patch(&said, &acked), None);
        let had_nodes = PodView { legacy_nodes: Some(2), ..acked.clone() };
        let expected = json!({"metadata": {"uid": "u", "annotations": {"spacesync.dev/legacy-nodes": "0"}}});
        assert_eq!(patch(&said, &had_nodes), Some(expected));
        assert_eq!(patch(&read(&body()).unwrap(), &had_nodes), None, "not looked for is not none");
        let other = PodView { runtime: Some("node-red/4.1.15".into()), ..acked };
        let expected = json!({"metadata": {"uid": "u", "annotations": {"spacesync.dev/runtime": RUNTIME_TEXT}}});
        assert_eq!(patch(&said, &other), Some(expected));
    }

    #[test]
    fn a_failure_is_one_of_six_words_and_any_other_text_is_thrown_away() {
        for word in ERRORS {
            let said = read(&with("error", json!(word))).unwrap();
            assert_eq!((said.ack.loaded, said.ack.reason.as_str()), (false, word));
        }
        let said = read(&with("error", json!("cannot parse hunter2"))).unwrap();
        assert_eq!(said.ack, Ack { loaded: false, reason: "RuntimeError".into(), revision: R1.into() });
        assert!(!patch(&said, &pod()).unwrap().to_string().contains("hunter2"));
        assert!(read(&with("error", json!("x".repeat(1025)))).is_err());
        assert!(read(&with("error", Json::Null)).unwrap().ack.loaded);
    }

    #[test]
    fn what_is_malformed_is_refused_by_its_name() {
        let runtime = |name: &str, value: Json| {
            let mut body = body();
            body["runtime"][name] = value;
            body
        };
        let table = [
            (with("revision", Json::Null), "revision"),
            (with("revision", json!("43")), "revision"),
            (with("revision", json!("43-9F3C0A1B2C3D4E5F")), "revision"),
            (with("revision", json!(format!("{}-9f3c0a1b2c3d4e5f", "9".repeat(60)))), "revision"),
            (with("error", json!(7)), "error"),
            (with("runtime", Json::Null), "runtime"),
            (with("runtime", json!("node-red")), "runtime"),
            (runtime("name", Json::Null), "runtime.name"),
            (runtime("version", json!("5 0")), "runtime.version"),
            (runtime("plugin", json!("x\ny")), "runtime.plugin"),
            (runtime("protection", json!("x".repeat(41))), "runtime.protection"),
            (with("legacyNodes", json!(-1)), "legacyNodes"),
            (with("legacyNodes", json!(1.5)), "legacyNodes"),
            (with("legacyNodes", json!("3")), "legacyNodes"),
        ];
        for (body, field) in table {
            assert_eq!(read(&body).unwrap_err().field.as_deref(), Some(field), "{body}");
        }
    }
}
