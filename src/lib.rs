//! Spacesync keeps every running flow app in step with the secrets of its space.
pub mod cluster;
pub mod delivery;
pub mod operator;
pub mod resources;
pub mod secret;
pub mod store;
