//! Space and SecretManager: who has which namespace, and whether the stores can be reached.

pub mod binding;
pub mod controller;
pub mod manager;
pub mod reach;
