//! When the mount is to be read again.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    fs::inotify::{self, CreateFlags, WatchFlags},
    io,
};

/// The net below the watch.
const POLL: Duration = Duration::from_secs(15);
/// How often the link is looked at where it cannot be watched. A user may have so many watches on a node, often 128, in all
/// pods together.
const GLANCE: Duration = Duration::from_millis(250);

/// A watch of the mounted folder, not of a file in it: a watch of a file, or of `..data`, follows the old target and is
/// deaf after the first swap.
pub struct Watch {
    mount: PathBuf,
    events: Option<OwnedFd>,
    target: Option<PathBuf>,
}

impl Watch {
    /// Not armed yet.
    pub fn new(mount: PathBuf) -> Self {
        Self { mount, events: None, target: None }
    }

    /// Forgets what was seen before, and sees every rename to a name in the folder from now on. A folder that was mounted
    /// later, or mounted over, is watched as well; one that is watched already stays so.
    pub fn arm(&mut self) {
        self.target = self.target_now();
        self.events = self.events.take().or_else(|| inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok());
        let Some(events) = &self.events else { return };
        // What they say does not matter: the folder is read next.
        while io::read(events, &mut [0; 4096]).is_ok() {}
        if inotify::add_watch(events, self.mount.as_path(), WatchFlags::MOVED_TO | WatchFlags::ONLYDIR).is_err() {
            self.events = None;
        }
    }

    /// Waits for a rename since [`Watch::arm`], a while at most. Says whether there was one.
    pub fn wait(&self) -> bool {
        let Some(events) = &self.events else { return self.glance() };
        let limit = Timespec { tv_sec: POLL.as_secs().cast_signed(), tv_nsec: 0 };
        match poll(&mut [PollFd::new(events, PollFlags::IN)], Some(&limit)) {
            Ok(count) => count > 0,
            Err(_) => false,
        }
    }

    fn glance(&self) -> bool {
        let began = Instant::now();
        while began.elapsed() < POLL {
            thread::sleep(GLANCE);
            if self.target_now() != self.target {
                return true;
            }
        }
        false
    }

    fn target_now(&self) -> Option<PathBuf> {
        fs::read_link(self.mount.join("..data")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::tests::Mount;

    #[test]
    fn every_swap_is_seen_not_only_the_first() {
        let mount = Mount::new();
        let mut watch = Watch::new(mount.path().to_owned());
        for revision in ["1-a", "2-b", "3-c"] {
            watch.arm();
            let began = Instant::now();
            mount.swap(revision, &[]);
            assert!(watch.wait());
            assert!(began.elapsed() < POLL / 2);
        }
    }

    #[test]
    fn where_nothing_can_be_watched_a_swap_is_seen_all_the_same() {
        let mount = Mount::new();
        let mut watch = Watch::new(mount.path().to_owned());
        for revision in ["1-a", "2-b"] {
            watch.arm();
            watch.events = None;
            let began = Instant::now();
            mount.swap(revision, &[]);
            assert!(watch.wait());
            assert!(began.elapsed() < POLL / 2);
        }
    }
}
