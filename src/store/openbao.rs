//! OpenBao or HashiCorp Vault, KV version 2.

use super::Head;
use super::{Heads, Snapshot, StoreError};

/// A client of one server.
#[derive(Debug)]
pub struct OpenBao {}

impl OpenBao {
    pub fn is_bulk(&self) -> bool {
        true
    }

    pub async fn head(&self, _path: &str) -> Result<Head, StoreError> {
        unimplemented!()
    }
    pub async fn heads(&self, _paths: &[String]) -> Result<Heads, StoreError> {
        unimplemented!()
    }
    pub async fn read(&self, _path: &str) -> Result<Snapshot, StoreError> {
        unimplemented!()
    }
}
