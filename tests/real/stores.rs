//! OpenBao as the store, through the real operator.

mod entries;
mod kubernetes_login;
mod logins;
mod outages;
mod vault;
