//! Which server, which entries, how to get in, and how hard it may be asked.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use secrecy::SecretString;

use crate::store::StoreError;

/// Which server, which entries, and how to get in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server's URL, such as `https://openbao.openbao.svc:8200`.
    pub address: String,
    /// The namespace of the server that everything is in; `None` for its root.
    pub namespace: Option<String>,
    /// Where the KV version 2 engine is mounted, such as `secret`.
    pub mount: String,
    /// What stands before each path, such as `spaces/`.
    pub path_prefix: String,
    /// The only certificates to trust, in PEM; the system's where there are none.
    pub ca_pem: Option<Vec<u8>>,
    /// How to log in. Another one needs another client.
    pub credential: Credential,
    /// How hard the server may be asked.
    pub limits: Limits,
    /// Who is told of logins and renewals.
    pub observer: Observer,
}

/// How to log in. Never shown.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A token; white space around it does not count.
    Token(SecretString),
    /// A service account token, which the server has reviewed.
    Kubernetes {
        /// Where the auth method is mounted, such as `kubernetes`.
        mount: String,
        /// The role to log in as.
        role: String,
        /// Where the token comes from.
        token: TokenSource,
    },
    /// A role ID and its secret ID.
    AppRole {
        /// Where the auth method is mounted, such as `approle`.
        mount: String,
        /// The role ID.
        role_id: String,
        /// The secret ID; white space around it does not count.
        secret_id: SecretString,
    },
}

/// Makes a new service account token for each login.
#[derive(Clone)]
pub struct TokenSource(Arc<dyn Fn() -> BoxFuture<'static, Result<SecretString, StoreError>> + Send + Sync>);

impl TokenSource {
    /// A source that asks `make`.
    pub fn new<F>(make: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<SecretString, StoreError>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(make())))
    }

    pub(super) async fn make(&self) -> Result<SecretString, StoreError> {
        (self.0)().await
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource")
    }
}

type Told = dyn Fn(&'static str, Option<&StoreError>) + Send + Sync;

/// Is told of every `login` and `renewal`, and how it went.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<Told>>);

impl Observer {
    /// One that calls `told`.
    pub fn new(told: impl Fn(&'static str, Option<&StoreError>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    pub(super) fn tell(&self, what: &'static str, error: Option<&StoreError>) {
        if let Some(told) = &self.0 {
            told(what, error);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// How hard a server may be asked, and how long an answer may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests at once.
    pub concurrency: u32,
    /// Requests a second.
    pub per_second: u32,
    /// For making a connection.
    pub connect: Duration,
    /// For a request and its whole answer.
    pub whole: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrency: 16, per_second: 100, connect: Duration::from_secs(5), whole: Duration::from_secs(10) }
    }
}
