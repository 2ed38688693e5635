//! What is tried with one hostile value.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{
    fields::{leaves_of, our_names, set},
    objects::{config_map, deployment, pod, secret, whole_app, whole_sync},
};
use crate::tenant::merge;

/// Fields of other people's operators, that ours must not have.
const TEMPTING: [&str; 8] = [
    "space",
    "namespace",
    "path",
    "secretManagerRef.name",
    "target.namespace",
    "workloadRef.namespace",
    "source.path",
    "spaceRef.namespace",
];

/// One object, and what is hostile about it.
pub struct Attempt {
    pub what: String,
    pub object: Json,
}

/// What is tried with one value.
pub struct Round<'v> {
    pub number: usize,
    value: &'v str,
    pub attempts: Vec<Attempt>,
}

impl<'v> Round<'v> {
    pub fn new(number: usize, value: &'v str) -> Self {
        let mut round = Self { number, value, attempts: Vec::new() };
        round.fields("SpaceSecretSync", whole_sync);
        round.fields("FlowApp", whole_app);
        round.marks("SpaceSecretSync", whole_sync);
        round.marks("Secret", secret);
        for make in [whole_app, config_map, pod, deployment] {
            round.all_marks(make);
        }
        round.all_marks(whole_sync);
        round.all_marks(secret);
        round.template_marks();
        round
    }

    /// The name is of the round, so that it is told apart and goes with it.
    fn add(&mut self, what: &str, make: impl Fn(&str) -> Json, change: impl Fn(&mut Json, &str)) {
        let name = format!("r{}-{}", self.number, self.attempts.len());
        let mut object = make(&name);
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        merge(&mut object, json!({"metadata": {"labels": {"round": self.number.to_string()}}}));
        change(&mut object, self.value);
        self.attempts.push(Attempt { what: format!("{kind} {what}"), object });
    }

    /// Each field of `spec`, fields that there are not, all of `status`, and who the object is.
    fn fields(&mut self, kind: &str, make: fn(&str) -> Json) {
        for leaf in leaves_of(kind, "spec") {
            self.add(&leaf.path.join("."), make, |object, value| set(object, &leaf.path, value));
        }
        for field in TEMPTING {
            let path: Vec<_> = format!("spec.{field}").split('.').map(str::to_owned).collect();
            self.add(&format!("{} (no field)", path.join(".")), make, |object, value| set(object, &path, value));
        }
        let status: Vec<_> = leaves_of(kind, "status").into_iter().filter(|leaf| leaf.text).collect();
        self.add("status, whole", make, |object, value| {
            for leaf in &status {
                set(object, &leaf.path, value);
            }
        });
        self.add("metadata.name", make, |object, value| object["metadata"]["name"] = value.into());
        self.add("metadata.namespace", make, |object, value| object["metadata"]["namespace"] = value.into());
    }

    /// Each of our labels and annotations by itself.
    fn marks(&mut self, kind: &str, make: fn(&str) -> Json) {
        debug_assert_eq!(make("x")["kind"], kind);
        for name in our_names() {
            for place in ["labels", "annotations"] {
                self.add(&format!("{place}[{name}]"), make, |object, value| {
                    object["metadata"][place][name] = value.into();
                });
            }
        }
    }

    /// All of our labels, and all of our annotations, at once.
    fn all_marks(&mut self, make: fn(&str) -> Json) {
        for place in ["labels", "annotations"] {
            self.add(&format!("all {place}"), make, |object, value| {
                for name in our_names() {
                    object["metadata"][place][name] = value.into();
                }
            });
        }
    }

    fn template_marks(&mut self) {
        for place in ["labels", "annotations"] {
            self.add(&format!("template, all {place}"), deployment, |object, value| {
                for name in our_names() {
                    object["spec"]["template"]["metadata"][place][name] = value.into();
                }
            });
        }
    }
}

/// How many of what were tried.
#[derive(Default)]
pub struct Tally {
    pub accepted: BTreeMap<String, usize>,
    pub refused: BTreeMap<String, usize>,
}

impl Tally {
    pub fn count(&mut self, attempt: &Attempt, answer: Result<(), u16>) {
        let side = if answer.is_ok() { &mut self.accepted } else { &mut self.refused };
        *side.entry(attempt.what.clone()).or_default() += 1;
    }

    pub fn totals(&self) -> (usize, usize) {
        (self.accepted.values().sum(), self.refused.values().sum())
    }
}
