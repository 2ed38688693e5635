//! OpenBao as the store, through the real operator.

mod docs;
mod entries;
mod kubernetes_login;
mod limits;
mod logins;
mod outages;
mod policies;
mod proxy;
mod standing_by;
mod vault;
