//! Spacesync keeps every running flow app in step with the secrets of its space.
pub mod cli;
pub mod resources;
pub mod secret;
pub mod store;
