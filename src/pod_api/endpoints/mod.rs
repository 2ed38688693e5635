//! What can be asked: one file each.

pub mod acks;
pub mod settings;
pub mod status;
pub mod sync;
