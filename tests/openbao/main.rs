//! The store on a real OpenBao. What it asked is counted in the server's own audit log.

mod failures;
mod folder;
mod heads;
mod logins;
mod policies;
mod values;
