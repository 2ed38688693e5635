//! What a secret is: a value, the snapshot of a space, its revision, and the managed Secret built from it.
//!
//! Everything here is pure. A value leaves its type only through [`Value::expose`], and only these call that: the
//! door to the managed Secret, the fingerprint, and what looks whether a value is JSON.

pub mod change;
pub mod content;
pub mod demand;
pub mod filter;
pub mod managed;
pub mod revision;
pub mod snapshot;
pub mod value;

pub use change::ChangeRecord;
pub use content::Content;
pub use filter::KeyFilter;
pub use managed::{Identity, ManagedSecret, TooLarge};
pub use revision::{Fingerprint, FingerprintKey, Revision};
pub use snapshot::{Entry, Refusal, Refused, Snapshot};
pub use value::{Format, Value};
