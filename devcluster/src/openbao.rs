//! OpenBao: a real secret store to synchronize from.

mod client;
mod server;

pub(crate) use client::BaoAddress;
pub use client::BaoClient;
pub use server::{OpenBao, OpenBaoOptions, Storage};
