//! Which namespaces are served: all of the cluster, or those that were named, so that the operator can be let into these
//! alone.

use std::{collections::BTreeSet, fmt};

use crate::cluster::parts::Part;

/// The most namespaces that can be named. Each costs [`WATCHES`] connections, and a process may commonly have 1,024 open.
pub const MOST: usize = 50;
/// The kinds that are watched in a namespace, and the namespace itself.
pub const WATCHES: usize = 8;

/// Which namespaces are served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All.
    #[default]
    Cluster,
    /// These. Never the operator's own, which no space can have.
    Namespaces(BTreeSet<String>),
}

impl Scope {
    /// What `--watch-namespaces` says.
    pub fn of(named: &[String], own: &str) -> Result<Self, String> {
        if named.is_empty() {
            return Ok(Self::Cluster);
        }
        let served: BTreeSet<_> = named.iter().filter(|name| *name != own).cloned().collect();
        match served.len() {
            0 => Err(format!(
                "--watch-namespaces names only the operator's own namespace {own}, which no space can have"
            )),
            1..=MOST => Ok(Self::Namespaces(served)),
            count => Err(format!(
                "--watch-namespaces names {count} namespaces: no more than {MOST} are watched one by one, since each takes \
                 {WATCHES} open connections; leave it out to watch the whole cluster"
            )),
        }
    }

    /// Whether a namespace is served.
    pub fn serves(&self, namespace: &str) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespaces(served) => served.contains(namespace),
        }
    }

    /// The watches that a kind in namespaces takes.
    pub fn parts(&self) -> Vec<Part> {
        match self {
            Self::Cluster => vec![Part::All],
            Self::Namespaces(served) => served.iter().cloned().map(Part::Namespace).collect(),
        }
    }

    /// The watches that the namespaces themselves take.
    pub fn namespaces(&self) -> Vec<Part> {
        match self {
            Self::Cluster => vec![Part::All],
            Self::Namespaces(served) => served.iter().cloned().map(Part::Object).collect(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("the whole cluster"),
            Self::Namespaces(served) => f.write_str(&served.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(named: &[&str]) -> Result<Scope, String> {
        let named: Vec<_> = named.iter().map(|name| (*name).to_owned()).collect();
        Scope::of(&named, "spacesync-system")
    }

    #[test]
    fn where_none_is_named_the_whole_cluster_is_served() {
        let scope = scope(&[]).unwrap();
        assert!(scope == Scope::Cluster && scope.serves("any"));
        assert_eq!((scope.parts(), scope.namespaces()), (vec![Part::All], vec![Part::All]));
    }

    #[test]
    fn each_named_namespace_is_watched_once_and_the_operators_own_is_none_of_them() {
        let scope = scope(&["b", "a", "spacesync-system", "b"]).unwrap();
        assert_eq!(scope.parts(), ["a", "b"].map(|name| Part::Namespace(name.into())));
        assert_eq!(scope.namespaces(), ["a", "b"].map(|name| Part::Object(name.into())));
        assert!(scope.serves("a") && !scope.serves("c") && !scope.serves("spacesync-system"));
    }

    #[test]
    fn too_many_and_none_that_could_be_served_are_refused_with_a_word_on_what_to_do() {
        let names: Vec<String> = (0..=MOST).map(|number| format!("n{number}")).collect();
        assert!(Scope::of(&names[..MOST], "own").is_ok());
        let said = Scope::of(&names, "own").unwrap_err();
        assert!(said.contains("51 namespaces") && said.contains("leave it out to watch the whole cluster"), "{said}");
        let said = scope(&["spacesync-system"]).unwrap_err();
        assert!(said.contains("only the operator's own namespace spacesync-system"), "{said}");
    }
}
