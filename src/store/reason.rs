//! stub
use super::StoreError;
use crate::resources::{Reason, condition::Verdict};
impl From<&StoreError> for Reason {
    fn from(_: &StoreError) -> Self {
        Reason::SourceError
    }
}
/// stub
pub fn verdict(error: &StoreError, manager: &str, path: &str) -> Verdict {
    Verdict::new(false, Reason::from(error), &[("manager", manager), ("path", path), ("why", "x")])
}
