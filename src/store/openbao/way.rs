//! The ways to log in: where, with what, and what a refusal means.

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use url::Url;

use super::{
    answer,
    place::Place,
    settings::{Credential, TokenSource},
    wire::Body,
};
use crate::store::StoreError;

/// A way to log in.
pub(super) enum Way {
    /// A token that somebody else made: it can be renewed, but there is no other.
    Given,
    Kubernetes {
        mount: String,
        role: String,
        token: TokenSource,
    },
    AppRole {
        mount: String,
        role_id: String,
        secret_id: SecretString,
    },
}

impl Way {
    pub(super) fn of(credential: &Credential) -> Self {
        match credential.clone() {
            Credential::Token(_) => Self::Given,
            Credential::Kubernetes { mount, role, token } => Self::Kubernetes { mount, role, token },
            Credential::AppRole { mount, role_id, secret_id } => Self::AppRole { mount, role_id, secret_id },
        }
    }

    pub(super) fn is_given(&self) -> bool {
        matches!(self, Self::Given)
    }

    /// Where to log in; `None` where there is no need to.
    pub(super) fn url(&self, place: &Place) -> Result<Option<Url>, StoreError> {
        match self {
            Self::Given => Ok(None),
            Self::Kubernetes { mount, .. } | Self::AppRole { mount, .. } => place.login(mount).map(Some),
        }
    }

    /// What to send there.
    pub(super) async fn body(&self) -> Result<Body, StoreError> {
        #[derive(Serialize)]
        struct ByToken<'a> {
            role: &'a str,
            jwt: &'a str,
        }
        #[derive(Serialize)]
        struct BySecret<'a> {
            role_id: &'a str,
            secret_id: &'a str,
        }
        match self {
            Self::Given => Err(self.refused()),
            Self::Kubernetes { role, token, .. } => {
                Ok(body(&ByToken { role, jwt: token.make().await?.expose_secret() }))
            }
            Self::AppRole { role_id, secret_id, .. } => {
                Ok(body(&BySecret { role_id, secret_id: secret_id.expose_secret().trim() }))
            }
        }
    }

    /// What a token that is not good is told as.
    pub(super) fn refused(&self) -> StoreError {
        StoreError::Unauthorized(match self {
            Self::Given => {
                "the token is unknown, revoked or expired: renew it in the Secret that auth.tokenSecret names"
                    .to_owned()
            }
            _ => "a token was refused right after the login that made it".to_owned(),
        })
    }

    /// What is told where nothing answers to this way.
    pub(super) fn is_not_there(&self) -> StoreError {
        match self {
            Self::Given => StoreError::Server(404),
            Self::Kubernetes { mount, .. } | Self::AppRole { mount, .. } => {
                StoreError::Config(format!("no auth method is mounted at {mount}"))
            }
        }
    }

    /// In words of our own: what the server says may quote what was sent to it.
    pub(super) fn why_refused(&self, body: &[u8]) -> String {
        let said = answer::errors(body);
        let says = |words: &str| said.iter().any(|text| text.contains(words));
        match self {
            Self::Given => "the token cannot be renewed".to_owned(),
            Self::AppRole { mount, .. } if says("role") => format!(
                "auth/{mount} knows no such role ID, or the secret ID is wrong, used up or expired: renew it in the \
                 Secret that auth.appRole names"
            ),
            Self::AppRole { mount, .. } => {
                format!("nobody can log in at auth/{mount}: mount the AppRole auth method there, or correct its mount")
            }
            Self::Kubernetes { mount, role, .. } if says("invalid role name") || says("could not be found") => {
                format!("auth/{mount} has no role {role}: create it, or correct auth.kubernetes.role")
            }
            Self::Kubernetes { mount, role, .. } if says("audience") => {
                format!("role {role} of auth/{mount} is for another audience than auth.kubernetes.audience")
            }
            Self::Kubernetes { mount, role, .. } if says("not authorized") => {
                format!("role {role} of auth/{mount} is not bound to the operator's service account and its namespace")
            }
            Self::Kubernetes { mount, .. } => format!(
                "auth/{mount} did not accept the operator's service account token: see whether an auth method is \
                 mounted there that can have tokens of this cluster reviewed"
            ),
        }
    }
}

/// Without growing, which would leave copies behind.
fn body(of: &impl Serialize) -> Body {
    let length = {
        let mut count = Count(0);
        serde_json::to_writer(&mut count, of).expect("two strings are always JSON");
        count.0
    };
    let mut body = Body::new(Vec::with_capacity(length));
    serde_json::to_writer(&mut *body, of).expect("two strings are always JSON");
    body
}

struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
