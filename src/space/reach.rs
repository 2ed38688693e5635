//! stub
use crate::store::StoreError;
/// stub
#[derive(Default, Debug)]
pub struct Reach;
impl Reach {
    /// stub
    pub fn note(&self, _m: &str, _o: Result<(), StoreError>, _at: jiff::Timestamp) -> bool {
        false
    }
}
