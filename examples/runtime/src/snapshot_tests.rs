//! A mount as the kubelet writes it, in all the states in which it may be found.

use std::{
    fs,
    os::unix::fs::symlink,
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;

/// A folder that is swapped as the kubelet swaps it.
pub struct Mount {
    folder: PathBuf,
    swaps: AtomicUsize,
}

impl Mount {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("light-runtime-{}-{number}", process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        Self { folder, swaps: AtomicUsize::new(0) }
    }

    pub fn path(&self) -> &Path {
        &self.folder
    }

    pub fn read(&self) -> Result<Snapshot, Damage> {
        read(&self.folder)
    }

    /// The whole of a revision, each value a text.
    pub fn swap(&self, revision: &str, values: &[(&str, &str)]) {
        let meta = Self::meta(revision, &values.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        let files: Vec<(&str, &str)> = values.iter().copied().chain([(META, meta.as_str())]).collect();
        self.swap_files(&files);
    }

    /// These files and no others; what the pod was told stays.
    pub fn swap_files(&self, files: &[(&str, &str)]) {
        let number = self.swaps.fetch_add(1, Ordering::Relaxed);
        let (name, data) = (format!("..{number}"), self.folder.join(DATA));
        let (new, old) = (self.folder.join(&name), fs::canonicalize(&data).ok());
        fs::create_dir_all(new.join(OWN_FOLDER)).expect("a folder");
        if let Some(old) = &old {
            for own in fs::read_dir(old.join(OWN_FOLDER)).expect("a folder").flatten() {
                fs::copy(own.path(), new.join(OWN_FOLDER).join(own.file_name())).expect("a copy");
            }
        }
        for (name, content) in files {
            fs::write(new.join(name), content).expect("a file");
        }
        let link = self.folder.join("..data_tmp");
        symlink(&name, &link).expect("a link");
        fs::rename(link, data).expect("a rename");
        if !self.folder.join(OWN_FOLDER).exists() {
            symlink("..data/.spacesync", self.folder.join(OWN_FOLDER)).expect("a link");
        }
        if let Some(old) = old {
            fs::remove_dir_all(old).expect("it goes");
        }
    }

    /// A file below `.spacesync`.
    pub fn own(&self, name: &str, content: &str) {
        if !self.folder.join(DATA).exists() {
            self.swap_files(&[]);
        }
        fs::write(self.folder.join(DATA).join(OWN_FOLDER).join(name), content).expect("a file");
    }

    /// The annotation on the pod.
    pub fn told(&self, revision: &str) {
        self.own("revision", revision);
    }

    pub fn meta(revision: &str, keys: &[&str]) -> String {
        let keys: Vec<_> = keys.iter().map(|name| serde_json::json!({"name": name, "format": "text"})).collect();
        let (version, _) = revision.split_once('-').expect("a revision");
        let version: u64 = version.parse().expect("a number");
        serde_json::json!({"space": "newsroom", "version": version, "revision": revision, "keys": keys}).to_string()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[track_caller]
fn assert_damage(mount: &Mount, problem: Problem, revision: Option<&str>) {
    let expected = Damage { problem, revision: revision.map(str::to_owned) };
    assert_eq!(mount.read().err(), Some(expected));
}

#[test]
fn a_whole_folder_is_read_with_every_key_and_nothing_else() {
    let mount = Mount::new();
    mount.told("7-f");
    mount.swap("7-f", &[("KEY", "one"), (".hidden", "two"), ("EMPTY", "")]);
    let snapshot = mount.read().unwrap_or_else(|damage| panic!("{damage:?}"));
    assert_eq!((snapshot.meta.version, snapshot.meta.revision.as_str()), (7, "7-f"));
    let lengths: Vec<_> = snapshot.values.iter().map(|(name, value)| (name.as_str(), value.len())).collect();
    assert_eq!(lengths, [(".hidden", 3), ("EMPTY", 0), ("KEY", 3)]);
}

#[test]
fn without_a_mount_or_a_secret_it_is_missing() {
    let mount = Mount::new();
    assert_damage(&mount, Problem::SnapshotMissing, None);
    mount.swap_files(&[]);
    assert_damage(&mount, Problem::SnapshotMissing, None);
    mount.told("7-f");
    assert_damage(&mount, Problem::SnapshotMissing, Some("7-f"));
}

#[test]
fn a_missing_key_and_a_file_too_many_are_both_incomplete() {
    let mount = Mount::new();
    mount.swap_files(&[(META, &Mount::meta("7-f", &["A", "B"])), ("A", "1")]);
    assert_damage(&mount, Problem::SnapshotIncomplete, Some("7-f"));
    mount.swap_files(&[(META, &Mount::meta("7-f", &["A"])), ("A", "1"), ("B", "2")]);
    assert_damage(&mount, Problem::SnapshotIncomplete, Some("7-f"));
}

#[test]
fn half_a_description_is_malformed_and_is_of_the_revision_that_was_told() {
    let mount = Mount::new();
    mount.told("7-f");
    let meta = Mount::meta("7-f", &["A"]);
    mount.swap_files(&[(META, &meta[..meta.len() / 2]), ("A", "1")]);
    assert_damage(&mount, Problem::SnapshotMalformed, Some("7-f"));
}

#[test]
fn a_value_that_is_not_of_its_format_is_malformed() {
    let mount = Mount::new();
    let meta = Mount::meta("7-f", &["A"]).replace("text", "json");
    mount.swap_files(&[(META, &meta), ("A", "{\"half\":")]);
    assert_damage(&mount, Problem::SnapshotMalformed, Some("7-f"));
    mount.swap_files(&[(META, &meta), ("A", "{\"whole\": 1}")]);
    assert!(mount.read().is_ok());
}

#[test]
fn a_format_and_a_field_of_another_day_are_no_damage() {
    let mount = Mount::new();
    let meta = Mount::meta("7-f", &["A"]).replace("text", "yaml").replace("\"keys\"", "\"later\":1,\"keys\"");
    mount.swap_files(&[(META, &meta), ("A", "1")]);
    assert!(mount.read().is_ok());
}

#[test]
fn a_key_that_is_no_file_is_unreadable() {
    // A folder, because root can read any file.
    let mount = Mount::new();
    mount.swap_files(&[(META, &Mount::meta("7-f", &["A"]))]);
    fs::create_dir(mount.path().join(DATA).join("A")).expect("a folder");
    assert_damage(&mount, Problem::SnapshotUnreadable, Some("7-f"));
}

#[test]
fn a_key_never_leads_out_of_the_folder() {
    let mount = Mount::new();
    mount.swap_files(&[(META, &Mount::meta("7-f", &["../../etc/hostname"]))]);
    assert_damage(&mount, Problem::SnapshotIncomplete, Some("7-f"));
}

#[test]
fn a_read_amid_swaps_is_of_one_revision() {
    let mount = Mount::new();
    mount.swap("1-x", &[("A", "1"), ("B", "1")]);
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            for number in 2..300_usize {
                // As long as its number, in both.
                let value = "x".repeat(number);
                mount.swap(&format!("{number}-x"), &[("A", &value), ("B", &value)]);
            }
        });
        while !swapping.is_finished() {
            if let Ok(snapshot) = mount.read() {
                let version = usize::try_from(snapshot.meta.version).expect("a small number");
                let lengths: Vec<_> = snapshot.values.values().map(Value::len).collect();
                assert_eq!(lengths, [version; 2]);
            }
        }
    });
    assert_eq!(mount.read().map(|snapshot| snapshot.meta.version).ok(), Some(299));
}
