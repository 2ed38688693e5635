//! The four custom resources on a real API server: what it refuses and in which words, what it takes, what it shows.

#[path = "../api_server/mod.rs"]
mod api_server;
mod bounds;
mod good;
mod mistakes;
mod paths;
mod sending;
mod shown;
