//! Who this operator is to the API server, and tokens that prove it to somebody else.

use http::Method;
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, TokenReview, TokenReviewSpec};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Cluster, Error, Result};

/// The shortest that the API server makes. It is used once, at once.
const LIFETIME: u32 = 600;

/// A service account by its namespace and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ServiceAccount {
    /// The one that a user name of the API server stands for.
    fn of(username: &str) -> Option<Self> {
        let (namespace, name) = username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
        Some(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl Cluster {
    /// The service account that this operator runs as; another kind of user by its name.
    pub async fn own_account(&self) -> Result<std::result::Result<ServiceAccount, String>> {
        let review = self.create(&SelfSubjectReview::default()).await?;
        let username = review.status.and_then(|status| status.user_info?.username).unwrap_or_default();
        Ok(ServiceAccount::of(&username).ok_or(username))
    }

    /// A new token of a service account, for one audience.
    pub async fn token_of(&self, account: &ServiceAccount, audience: &str) -> Result<SecretString> {
        #[derive(Deserialize)]
        struct Answer {
            status: Status,
        }
        #[derive(Deserialize)]
        struct Status {
            token: Zeroizing<String>,
        }
        let ServiceAccount { namespace, name } = account;
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let spec = json!({"audiences": [audience], "expirationSeconds": LIFETIME});
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        let body = self.send_secret(Method::POST, &path, body.to_string().into_bytes()).await?;
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|error| Error::Malformed(format!("line {} column {}", error.line(), error.column())))?;
        Ok(SecretString::from(answer.status.token.as_str()))
    }

    /// Whether the API server itself would let somebody in with this token.
    pub async fn accepts(&self, token: &str) -> Result<bool> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: None };
        let review = self.create(&TokenReview { spec, ..TokenReview::default() }).await?;
        Ok(review.status.and_then(|status| status.authenticated).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_is_told_from_other_users() {
        let account = ServiceAccount { namespace: "spacesync-system".into(), name: "spacesync".into() };
        assert_eq!(ServiceAccount::of("system:serviceaccount:spacesync-system:spacesync"), Some(account));
        for other in ["", "admin", "system:serviceaccount:", "system:node:one"] {
            assert_eq!(ServiceAccount::of(other), None, "{other}");
        }
    }
}
