//! Service account tokens for stores: of the operator's own service account, for the store's audience and nobody else's.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use crate::{
    cluster::{self, Cluster, Error, identity::ServiceAccount},
    operator::permissions::MEND,
    store::{StoreError, openbao::TokenSource},
};

/// Tokens for one audience. Each is new, and used for one login.
pub fn tokens(cluster: Cluster, audience: String) -> TokenSource {
    let account = Arc::new(OnceCell::new());
    TokenSource::new(move || {
        let (cluster, audience, account) = (cluster.clone(), audience.clone(), account.clone());
        async move {
            // Found out with the first token, which then is the one to use.
            let mut first = None;
            let account = account.get_or_try_init(|| async {
                let (account, token) = first_token(&cluster, &audience).await?;
                first = Some(token);
                Ok::<_, StoreError>(account)
            });
            let account = account.await?.clone();
            match first {
                Some(token) => Ok(token),
                None => cluster.token_of(&account, &audience).await.map_err(|error| no_token(&error)),
            }
        }
    })
}

/// Who we are, and a token that nobody could use against the API server itself.
async fn first_token(cluster: &Cluster, audience: &str) -> Result<(ServiceAccount, SecretString), StoreError> {
    let account = cluster.own_account().await.map_err(|error| no_token(&error))?;
    let account = account.map_err(|user| {
        StoreError::NoToken(format!("it runs as {user}, which is no service account: use another way to log in"))
    })?;
    let token = cluster.token_of(&account, audience).await.map_err(|error| no_token(&error))?;
    if cluster.accepts(token.expose_secret()).await.map_err(|error| no_token(&error))? {
        // Whoever has such a token is the operator.
        return Err(StoreError::Config(format!(
            "the API server itself accepts tokens of the audience {audience}: choose one of the store's own, such as openbao"
        )));
    }
    Ok((account, token))
}

fn no_token(error: &Error) -> StoreError {
    StoreError::NoToken(match error {
        cluster::Error::Forbidden(why) => format!("{MEND}: {why}"),
        other => other.to_string(),
    })
}
