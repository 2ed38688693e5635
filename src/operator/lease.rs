//! stub
use crate::cluster::Cluster;
/// stub
#[derive(Clone)]
pub struct Lead;
impl Lead {
    /// stub
    pub fn start(_c: Cluster, _ns: &str) -> Self {
        Self
    }
    /// stub
    pub fn may_write(&self) -> bool {
        true
    }
    /// stub
    pub async fn acquired(&self) {}
    /// stub
    pub async fn lost(&self) {
        std::future::pending().await
    }
    /// stub
    pub async fn release(&self) {}
}
