//! What a cache keeps and tells, of lists and watches in any order.

use std::sync::Mutex;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::ObjectMeta;

use super::{super::items::GONE, *};

impl Item for ConfigMap {
    fn place(&self) -> (&str, &str) {
        let meta = &self.metadata;
        (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }

    fn resource_version(&self) -> u64 {
        version_number(self.metadata.resource_version.as_deref())
    }
}

fn object(name: &str, version: u64) -> ConfigMap {
    let metadata = ObjectMeta {
        namespace: Some("ns".into()),
        name: Some(name.into()),
        resource_version: Some(version.to_string()),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, ..ConfigMap::default() }
}

fn cache() -> (Cache<ConfigMap>, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let cache = Cache::default();
    let log = seen.clone();
    cache.listen(move |change: &Change<ConfigMap>| {
        let what = match (&change.old, &change.new) {
            (None, Some(_)) => "new",
            (Some(_), Some(_)) => "moved",
            _ => "gone",
        };
        log.lock().unwrap().push(format!("{} {what}", change.key));
    });
    (cache, seen)
}

#[test]
fn what_vanished_during_a_relist_is_told() {
    let (cache, seen) = cache();
    cache.put(object("a", 1));
    cache.put(object("b", 2));
    cache.replace(&Part::All, list([object("b", 2), object("c", 3)]));
    assert_eq!(*seen.lock().unwrap(), ["ns/a new", "ns/b new", "ns/a gone", "ns/c new"]);
    assert!(cache.is_complete());
}

#[test]
fn an_older_object_never_replaces_a_newer_one() {
    let (cache, seen) = cache();
    cache.put(object("a", 5));
    cache.put(object("a", 4));
    cache.put(object("a", 5));
    assert_eq!(Item::resource_version(&*cache.get(&Key::new("ns", "a")).unwrap()), 5);
    assert_eq!(*seen.lock().unwrap(), ["ns/a new"]);
}

#[test]
fn the_answer_to_a_write_does_not_bring_back_what_has_gone_since() {
    let (cache, seen) = cache();
    cache.put(object("a", 1));
    cache.remove_at(&Key::new("ns", "a"), 3);
    // Our own deletion is told of after the watch's.
    cache.remove(&Key::new("ns", "a"));
    cache.put(object("a", 2));
    assert!(cache.is_empty(), "written at 2, deleted at 3");
    cache.put(object("a", 4));
    assert_eq!(*seen.lock().unwrap(), ["ns/a new", "ns/a gone", "ns/a new"]);
}

#[test]
fn a_deletion_that_is_told_late_does_not_remove_what_was_made_since() {
    let (cache, seen) = cache();
    cache.put(object("a", 1));
    cache.put(object("a", 7));
    cache.deleted(&Key::new("ns", "a"), 5);
    assert_eq!(cache.len(), 1, "deleted at 5, made at 7");
    cache.deleted(&Key::new("ns", "a"), 8);
    assert_eq!(*seen.lock().unwrap(), ["ns/a new", "ns/a moved", "ns/a gone"]);
}

#[test]
fn what_was_made_after_a_list_comes_back_by_the_watch() {
    let (cache, _) = cache();
    cache.put(object("made", 7));
    cache.replace(&Part::All, list([object("b", 5)]));
    cache.put(object("made", 7));
    assert_eq!(cache.len(), 2);
}

#[test]
fn what_went_is_remembered_up_to_a_limit() {
    let (cache, _) = cache();
    for number in 0..=GONE {
        cache.remove_at(&Key::new("ns", &number.to_string()), 9);
    }
    cache.put(object("0", 1));
    cache.put(object("1", 1));
    assert_eq!(cache.len(), 1);
}

fn object_in(namespace: &str, name: &str, version: u64) -> ConfigMap {
    let mut object = object(name, version);
    object.metadata.namespace = Some(namespace.to_owned());
    object
}

fn list(objects: impl IntoIterator<Item = ConfigMap>) -> Vec<Arc<ConfigMap>> {
    objects.into_iter().map(Arc::new).collect()
}

#[test]
fn a_list_of_one_namespace_removes_nothing_of_another() {
    let (cache, seen) = cache();
    let [a, b] = ["a", "b"].map(|name| Part::Namespace(name.into()));
    cache.replace(&a, list([object_in("a", "one", 1), object_in("a", "two", 1)]));
    cache.replace(&b, list([object_in("b", "one", 9)]));
    cache.replace(&a, list([object_in("a", "two", 1)]));
    assert_eq!(*seen.lock().unwrap(), ["a/one new", "a/two new", "b/one new", "a/one gone"]);
    cache.replace(&b, list([]));
    let left: Vec<_> = cache.all().iter().map(|object| object.key().to_string()).collect();
    assert_eq!(left, ["a/two"]);
}

#[test]
fn a_list_of_one_object_removes_no_other() {
    let (cache, _) = cache();
    let [a, b] = ["a", "b"].map(|name| Part::Object(name.into()));
    cache.replace(&a, list([object_in("", "a", 1)]));
    cache.replace(&b, list([object_in("", "b", 2)]));
    cache.replace(&a, list([]));
    assert_eq!(cache.all().iter().map(|object| object.name_any()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_namespace_holds_only_its_own() {
    let (cache, _) = cache();
    cache.put(object("a", 1));
    cache.put(object_in("ns-2", "b", 2));
    let names: Vec<_> = cache.in_namespace("ns").iter().map(|o| o.name_any()).collect();
    assert_eq!(names, ["a"]);
}
