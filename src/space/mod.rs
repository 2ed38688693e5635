//! Spaces and Secret Managers: who has a namespace, and whether a store can be used.

pub mod binding;
pub mod controller;
pub mod manager;
pub mod reach;
