//! The pods' API as a runtime meets it: over HTTPS, with a real projected token.

mod asking;
pub mod certificates;
pub mod client;
mod refusals;
mod replicas;
mod serving;
mod tokens;
