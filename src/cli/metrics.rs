//! `docs/reference/metrics.md`, made from what the operator registers: nothing is written twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use crate::operator::metrics::Metrics;

const HEAD: &str = "\
<!-- Made from src/operator/metrics.rs by `make generate`: change it there. -->
# Metrics

`GET /metrics` on `--metrics-listen` (OpenMetrics text). Labels are bounded: no namespace, no key and no object's name but those of
SecretManagers, which admins make few of. No value ever.

| metric | type | labels | what it tells |
|---|---|---|---|
";

/// What each label tells, whichever metric has it.
const LABELS: [(&str, &str); 12] = [
    ("auto_sync", "the schedule of the sync: what is asked for once a day takes as long"),
    ("code", "the HTTP status of the answer"),
    ("condition", "the type of the condition, such as `Delivered`"),
    ("controller", "`sync`, `flow_app`, `space` or `secret_manager`"),
    (
        "kind",
        "of objects as `controller`; of questions to stores `heads` (of many at once), `head`, `read` (values), `login` or `renewal`",
    ),
    ("le", "the upper bound of a histogram's bucket, in seconds"),
    (
        "reason",
        "why the condition is not `True`, as in [reasons](reasons.md); empty where it is, and where nobody has looked yet",
    ),
    ("result", "`ok`, or what came of it: of questions to stores the reason, as in [reasons](reasons.md)"),
    ("route", "of the pods' API: `status`, `sync`, `settings`, `acks`, or `other` for any other path"),
    ("secret_manager", "the name of the SecretManager"),
    ("status", "`True`, `False` or `Unknown`"),
    ("trigger", "`schedule`, `live`, `manual`, `save`, `drift` or `first`"),
];

const TAIL: &str = "
## To alert on
```promql
# Flows wait for a secret longer than they should: nine of ten changes within a second, over an hour
histogram_quantile(0.9, sum by (le) (rate(spacesync_delivery_seconds_bucket{auto_sync=\"Live\"}[1h]))) > 1
# Somebody has to look, when it lasts for ten minutes: syncs that are not ready, by reason (every replica tells the same)
max without (instance, pod) (spacesync_objects{kind=\"sync\", condition=\"Ready\", status=\"False\"}) > 0
# Flows may run on an old secret: pods of so many flow apps were told of a new one and do not say that they have it
max without (instance, pod) (spacesync_objects{kind=\"flow_app\", condition=\"Loaded\", reason=\"NoAck\"}) > 0
# A SecretManager has not answered for twenty minutes: one that no sync has to ask sooner is asked each fifteen
time() - max by (secret_manager) (spacesync_secret_manager_last_checked_timestamp_seconds) > 1200
# Nobody leads, or no replica is scraped, when it lasts for a minute: another may take 16 s to take over
(sum(spacesync_leader) or vector(0)) != 1
```
";

/// The page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    let families = families();
    for Family { name, type_, help, labels } in &families {
        let labels: Vec<_> = labels.iter().filter(|label| *label != "le").map(|label| format!("`{label}`")).collect();
        let name = if type_ == "counter" { format!("{name}_total") } else { name.clone() };
        let _ = writeln!(page, "| `{name}` | {type_} | {} | {help} |", labels.join(", "));
    }
    page += "\n| label | what it tells |\n|---|---|\n";
    let used: BTreeSet<_> = families.iter().flat_map(|family| family.labels.iter().map(String::as_str)).collect();
    for (label, tells) in LABELS.iter().filter(|(label, _)| used.contains(label)) {
        let _ = writeln!(page, "| `{label}` | {tells} |");
    }
    page + TAIL
}

struct Family {
    name: String,
    type_: String,
    help: String,
    labels: BTreeSet<String>,
}

/// What is registered, read from its own text: a family is told with its type and help, and its labels by an example.
fn families() -> Vec<Family> {
    let metrics = Metrics::default();
    metrics.exemplify();
    let mut families = BTreeMap::<String, Family>::new();
    for line in metrics.encode().lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            let help = help.trim_end_matches('.').to_owned();
            let family = Family { name: name.to_owned(), type_: String::new(), help, labels: BTreeSet::new() };
            families.insert(name.to_owned(), family);
        } else if let Some((name, type_)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            type_.clone_into(&mut families.get_mut(name).expect("help comes before the type").type_);
        } else if let Some((sample, labels)) = line.split_once('{') {
            let family = families.values_mut().filter(|family| sample.starts_with(&family.name));
            let family = family.max_by_key(|family| family.name.len()).expect("a sample belongs to a family");
            let labels = labels.rsplit_once('}').map_or(labels, |(labels, _)| labels).split(',');
            family.labels.extend(labels.filter_map(|label| Some(label.split_once('=')?.0.to_owned())));
        }
    }
    families.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::Reason;

    #[test]
    fn every_metric_follows_the_conventions_of_prometheus() {
        for Family { name, type_, help, .. } in families() {
            assert!(name.starts_with("spacesync_"), "{name}");
            assert!(type_ != "histogram" || name.ends_with("_seconds"), "{name} names its unit");
            assert!(!name.ends_with("_total"), "{name}: the encoder adds it");
            assert!(!help.is_empty() && !type_.is_empty(), "{name}");
        }
    }

    #[test]
    fn no_label_grows_with_what_tenants_make() {
        for Family { name, labels, .. } in families() {
            for unbounded in ["sync", "namespace", "space", "flow_app", "pod", "name", "uid", "key", "path"] {
                assert!(!labels.contains(unbounded), "{name} has a series for each {unbounded}");
            }
        }
    }

    #[test]
    fn no_label_is_one_that_a_scrape_sets_itself() {
        for Family { name, labels, .. } in families() {
            for theirs in ["job", "instance", "endpoint", "service", "container", "pod", "namespace", "node"] {
                assert!(!labels.contains(theirs), "{name}: it would arrive as exported_{theirs}");
            }
        }
    }

    #[test]
    fn an_alert_asks_for_metrics_labels_and_reasons_that_there_are() {
        let families = families();
        let mut asked = 0;
        for part in TAIL.split("spacesync_").skip(1) {
            let end = part.find(|at: char| !at.is_ascii_alphanumeric() && at != '_').expect("something follows");
            let (name, rest) = part.split_at(end);
            let name = format!("spacesync_{}", name.trim_end_matches("_bucket"));
            let family = families.iter().find(|family| family.name == name).unwrap_or_else(|| panic!("no {name}"));
            let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(labels, _)| labels);
            for (label, value) in labels.split(", ").filter_map(|label| label.split_once('=')) {
                assert!(family.labels.contains(label), "{name} has no label {label}");
                let is_reason = Reason::parse(value.trim_matches('"')).is_some();
                assert!(label != "reason" || is_reason, "no reason {value}");
            }
            asked += 1;
        }
        assert_eq!(asked, 5);
    }

    #[test]
    fn every_label_is_explained_and_every_family_has_an_example() {
        let families = families();
        for label in families.iter().flat_map(|family| &family.labels) {
            assert!(LABELS.iter().any(|(known, _)| known == label), "{label} is not explained");
        }
        let without: Vec<_> = families.iter().filter(|f| f.labels.is_empty()).map(|f| f.name.as_str()).collect();
        assert_eq!(
            without,
            ["spacesync_leader", "spacesync_restarts", "spacesync_signals"],
            "those alone have no labels"
        );
    }
}
