//! When the change came to the store that a sync's status tells of: what `spacesync_sync_seconds` and
//! `spacesync_delivery_seconds` count begins there.
//!
//! Known only where the sync's current revision brought another version: a new key filter or a repaired Secret brings a
//! revision whose values may be as old as they like, and so does the first one of a sync.
//!
//! No later than the change was read, and otherwise the store's own time of it. Where that has only whole seconds, as the
//! managed fields of an embedded entry, the change may have come at any moment of that second, and the last one counts: so
//! what is counted is up to a second too short for such a store, and never too long.

use jiff::{SignedDuration, Timestamp};

use crate::resources::SpaceSecretSyncStatus;

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// The last moment at which the change can have come.
pub fn came(status: &SpaceSecretSyncStatus) -> Option<Timestamp> {
    let [now, before, ..] = &status.history[..] else { return None };
    let is_of_change = status.revision.as_ref() == Some(&now.revision) && now.version != before.version;
    is_of_change.then_some(began(status.updated_at?.0, status.issued_at?.0))
}

fn began(updated: Timestamp, issued: Timestamp) -> Timestamp {
    let is_whole = updated.subsec_nanosecond() == 0;
    let last = if is_whole { updated.checked_add(SECOND).unwrap_or(updated) } else { updated };
    last.min(issued)
}
