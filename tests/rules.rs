//! `docs/rules.md` names tests that exist: one that was renamed or deleted is missed.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names of all functions that are tests.
fn tests() -> BTreeSet<String> {
    let (mut files, mut tests) = (Vec::new(), BTreeSet::new());
    for folder in ["src", "tests", "devcluster"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    for file in files {
        let text = fs::read_to_string(file).expect("a source");
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some((_, name)) = line.split_once("fn ").filter(|_| is_test) {
                tests.insert(name.split('(').next().unwrap_or_default().to_owned());
                is_test = false;
            }
        }
    }
    tests
}

#[test]
fn every_rule_names_tests_that_exist_and_every_clause_one() {
    let (page, tests) = (include_str!("../docs/rules.md"), tests());
    let mut rules = 0;
    for line in page.lines() {
        rules += usize::from(line.starts_with("## "));
        let Some((clause, held_by)) = line.strip_prefix("| ").and_then(|row| row.split_once(" | ")) else { continue };
        if clause == "clause" {
            continue;
        }
        let named: Vec<_> = held_by.split('`').skip(1).step_by(2).collect();
        assert!(named.iter().any(|name| !name.contains('/')), "no test holds: {clause}");
        let missing: Vec<_> = named.iter().filter(|name| !tests.contains(**name) && !name.contains('/')).collect();
        assert!(missing.is_empty(), "{clause}: no test is called {missing:?}");
    }
    assert_eq!(rules, 11);
}
