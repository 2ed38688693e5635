//! Heads of many entries in few requests.
//!
//! OpenBao lists a folder with what it knows of each entry, a page at a time. HashiCorp Vault does not, and a policy may
//! forbid it: then each entry is asked for by itself.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    OpenBao,
    answer::{self, No, Page},
};
use crate::store::{Head, Heads, StoreError};

/// How many entries a page is asked to tell: about 1 MB of entries with one version, 4 MB of entries with ten.
pub const PAGE: usize = 2500;

/// So few entries are not worth one more page of a folder that may be mostly others'.
const FEW: usize = 4;

/// After this a server that refused to list is asked to once more: policies are amended, servers upgraded.
pub(super) const ASK_AGAIN: Duration = Duration::from_hours(1);

/// What is known of the server's listing.
#[derive(Debug)]
pub(super) struct Bulk {
    state: Mutex<State>,
    page: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Untried,
    Works,
    Refused(Instant),
}

impl Default for Bulk {
    fn default() -> Self {
        Self { state: Mutex::new(State::Untried), page: AtomicUsize::new(PAGE) }
    }
}

impl Bulk {
    pub(super) fn may_be_asked(&self) -> bool {
        !matches!(self.state(), State::Refused(at) if at.elapsed() < ASK_AGAIN)
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// Entries of one folder by their names in it, each with the path that it is known by here.
type Wanted<'a> = BTreeMap<String, &'a str>;

/// What came of listing one folder.
#[derive(Default)]
struct Listed<'a> {
    heads: Vec<(&'a str, Result<Head, StoreError>)>,
    /// To be asked for one by one.
    rest: Vec<&'a str>,
    /// The folder was said to be empty by a server that has not shown yet that it can list at all.
    doubtful: bool,
}

impl OpenBao {
    /// The heads of many entries, in as few requests as the server allows. An error is one of the store as a whole.
    pub async fn heads(&self, paths: &[String]) -> Result<Heads, StoreError> {
        let mut heads = Heads::with_capacity(paths.len());
        let mut folders = BTreeMap::<String, Wanted<'_>>::new();
        for path in paths {
            if let Err(wrong) = self.client.place.check(path) {
                heads.insert(path.clone(), Err(wrong));
                continue;
            }
            let full = self.client.place.full(path);
            let (folder, name) = full.rsplit_once('/').unwrap_or(("", &full));
            folders.entry(folder.to_owned()).or_default().insert(name.to_owned(), path);
        }
        // Collected first: a closure over borrowed items held across an await is not `Send` enough for the compiler.
        let lists: Vec<_> = folders.into_iter().map(|(folder, wanted)| self.list(folder, wanted)).collect();
        let listed: Vec<Listed<'_>> = stream::iter(lists).buffer_unordered(self.width).try_collect().await?;
        let (mut rest, mut doubtful) = (Vec::new(), HashSet::new());
        for listed in listed {
            heads.extend(listed.heads.into_iter().map(|(path, head)| (path.to_owned(), head)));
            if listed.doubtful {
                doubtful.extend(listed.rest.iter().copied());
            }
            rest.extend(listed.rest);
        }
        let single: Vec<_> = rest.into_iter().map(|path| async move { (path, self.head(path).await) }).collect();
        let mut asked = stream::iter(single).buffer_unordered(self.width);
        while let Some((path, head)) = asked.next().await {
            match head {
                Err(error) if is_of_the_store(&error) => return Err(error),
                Ok(_) if doubtful.contains(path) => self.bulk.set(State::Refused(Instant::now())),
                _ => {}
            }
            heads.insert(path.to_owned(), head);
        }
        Ok(heads)
    }

    async fn list<'a>(&self, folder: String, mut wanted: Wanted<'a>) -> Result<Listed<'a>, StoreError> {
        let mut listed = Listed::default();
        let mut after: Option<String> = None;
        let mut few = 1;
        while wanted.len() > few && self.bulk.may_be_asked() {
            let limit = self.bulk.page.load(Relaxed);
            let page = match self.page(&folder, limit, after.as_deref(), &wanted).await {
                Ok(page) => page,
                Err(No::Missing) if after.is_none() && !matches!(self.bulk.state(), State::Works) => {
                    listed.doubtful = true;
                    break;
                }
                // Of an empty folder, and of the page after the last.
                Err(No::Missing) => Page::default(),
                Err(No::Unsupported | No::Error(StoreError::Forbidden(_))) => {
                    self.bulk.set(State::Refused(Instant::now()));
                    break;
                }
                // Entries with hundreds of versions: smaller pages, from now on.
                Err(No::Error(StoreError::TooLarge(_))) if limit > 1 => {
                    self.bulk.page.fetch_min((limit / 8).max(1), Relaxed);
                    continue;
                }
                Err(no) => return Err(self.error(no, &folder).await),
            };
            self.bulk.set(State::Works);
            for (name, known) in page.found {
                if let Some(path) = wanted.remove(&name) {
                    let known = known.and_then(|known| known.ok_or_else(|| self.not_found(path)));
                    // As a read will tell it.
                    let known = known.map(|known| if self.hidden.is(path) { known.brief() } else { known });
                    listed.heads.push((path, known.map(|known| known.head)));
                }
            }
            // A server that does not page ends here too, instead of beginning anew for ever.
            if page.len != limit || page.last == after {
                let missing = std::mem::take(&mut wanted).into_values();
                listed.heads.extend(missing.map(|path| (path, Err(self.not_found(path)))));
            }
            after = page.last;
            few = FEW;
        }
        listed.rest = wanted.into_values().collect();
        Ok(listed)
    }

    async fn page(&self, folder: &str, limit: usize, after: Option<&str>, wanted: &Wanted<'_>) -> Result<Page, No> {
        self.asked.pages.fetch_add(1, Relaxed);
        let place = &self.client.place;
        let doing = format!("list {}/detailed-metadata/{folder}", place.mount());
        let body = self.client.ask(&place.page(folder, limit, after), &doing).await?;
        let page = answer::page(&body, |name| wanted.contains_key(name), Timestamp::now()).map_err(No::Error)?;
        // Where nothing is left to list, OpenBao says so by a 404. KV version 1 has an empty page for any path.
        if page.len == 0 { Err(No::Unsupported) } else { Ok(page) }
    }
}

/// Whether the next entry would meet the same error.
fn is_of_the_store(error: &StoreError) -> bool {
    match error {
        StoreError::Unreachable(_)
        | StoreError::Tls(_)
        | StoreError::Unauthorized(_)
        | StoreError::Sealed
        | StoreError::RateLimited
        | StoreError::UnknownHost
        | StoreError::NoToken(_)
        | StoreError::TimedOut
        | StoreError::Config(_) => true,
        StoreError::Server(status) => *status >= 500,
        StoreError::Forbidden(_)
        | StoreError::NotFound(_)
        | StoreError::Deleted(_)
        | StoreError::Malformed(_)
        | StoreError::Truncated
        | StoreError::TooLarge(_) => false,
    }
}
