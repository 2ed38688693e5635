//! The pods' API as a runtime meets it: over HTTPS, with a real projected token.

mod client;
mod refusals;
mod serving;

pub use client::{Pod, Said};
