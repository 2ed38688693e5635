//! Spaces and Secret Managers: who has a namespace, and whether a store can be used.

mod apply;
pub mod binding;
pub mod controller;
mod gather;
pub mod manager;
mod plan;
pub mod reach;
pub mod rush;
mod status;
