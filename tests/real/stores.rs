//! OpenBao as the store, through the real operator.

mod entries;
mod kubernetes_login;
mod logins;
mod outages;
mod policies;
mod proxy;
mod vault;
