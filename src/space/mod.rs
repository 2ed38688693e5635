//! Space and SecretManager: binding, reachability.
pub mod binding;
pub mod controller;
pub mod manager;
pub mod reach;
