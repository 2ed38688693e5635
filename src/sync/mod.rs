//! SpaceSecretSync: brings one space's secrets into one namespace.
//!
//! gather → plan → apply → status. Only the first reads, only the last two write, and `plan` decides everything.

pub mod apply;
pub mod build;
pub mod change;
pub mod controller;
#[cfg(test)]
mod day;
pub mod gather;
pub mod last_words;
pub mod look;
pub mod plan;
pub mod request;
pub mod rhythm;
#[cfg(test)]
mod sample;
pub mod schedule;
pub mod status;
pub mod ticker;
pub mod turnstile;
pub mod wake;
