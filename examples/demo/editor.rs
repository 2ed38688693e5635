//! What the flows in the pods answer, and what their editor shows.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value as Json, json};

use crate::{
    pods::FlowPods,
    story::{self, expect},
};

const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const SYNC_LIMIT: Duration = Duration::from_secs(40);

/// Every pod's flow answers with this token's length and this version.
pub async fn flows_read(pods: &FlowPods, token: &str, version: u64) -> Result<()> {
    let Some(first) = pods.addresses().next() else { return Ok(()) };
    let wanted = json!({"masked": "•".repeat(token.len()), "length": token.len(), "version": version});
    let asking = async {
        for address in pods.addresses() {
            let answer = json_of(reqwest::Client::new().get(format!("http://{address}/token"))).await?;
            expect(&format!("the answer of the flow at {address}"), &wanted, &answer)?;
        }
        Ok(())
    };
    story::step(&format!("GET http://{first}/token, and in each pod: {wanted}"), asking).await
}

/// What people find in the editor, asked as the editor itself asks.
pub async fn chapter(pods: &FlowPods) -> Result<()> {
    let Some(address) = pods.addresses().next() else { return Ok(()) };
    story::chapter("6. The editor");
    let viewer = Session::sign_in(&address, "viewer", "read").await?;
    let masked = async {
        let seen = viewer.get("context/global/SECRETS").await?.to_string();
        if !seen.contains("MY_API_TOKEN") || seen.contains("token-") || seen.contains("smtp.example.org") {
            bail!("the context that the viewer sees should name the keys and mask the values, but is {seen}");
        }
        Ok(())
    };
    story::step("a viewer finds SECRETS in the context, its keys named and its values masked", masked).await?;
    let state = async {
        // The first look has the operator asked, so it may come before the answer.
        for _ in 0..100 {
            let state = viewer.get("secret-manager/state").await?;
            if state["operator"]["status"]["sync"] == "secrets" {
                return expect("the version that the sidebar shows", &json!(4), &state["snapshot"]["version"]);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the sidebar was not told of the sync: {}", viewer.get("secret-manager/state").await?)
    };
    story::step("the Secret Manager tab shows version 4, and what the operator says of it", state).await?;
    let refused = async {
        let answer = viewer.sync_now().await?;
        expect("the status of a viewer's Sync now", &false, &answer.status().is_success())
    };
    story::step("Sync now is not the viewer's", refused).await?;
    let editor = Session::sign_in(&address, "editor", "*").await?;
    let newest = async {
        let answer: Json = serde_json::from_slice(&editor.sync_now().await?.bytes().await?)?;
        expect("what came of the editor's Sync now", &json!("newest"), &answer["outcome"])
    };
    story::step("the editor's Sync now asks the store, and ends: already the newest", newest).await
}

/// Where the editor is, and as whom to sign in.
pub fn addresses(pods: &FlowPods) {
    if let Some(address) = pods.addresses().next() {
        println!("  The editor: http://{address}");
        println!("    sign in as editor (password: editor) or viewer (password: viewer)");
        println!("    its flow: curl http://{address}/token\n");
    }
}

/// Somebody who is signed in to the editor.
struct Session {
    address: String,
    token: String,
}

impl Session {
    async fn sign_in(address: &str, who: &str, scope: &str) -> Result<Self> {
        let form = format!("client_id=node-red-editor&grant_type=password&scope={scope}&username={who}&password={who}");
        let request = reqwest::Client::new()
            .post(format!("http://{address}/auth/token"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = json_of(request).await?;
        let token = answer["access_token"].as_str().with_context(|| format!("{who} cannot sign in: {answer}"))?;
        Ok(Self { address: address.to_owned(), token: token.to_owned() })
    }

    async fn get(&self, path: &str) -> Result<Json> {
        json_of(reqwest::Client::new().get(format!("http://{}/{path}", self.address)).bearer_auth(&self.token)).await
    }

    async fn sync_now(&self) -> Result<reqwest::Response> {
        let request = reqwest::Client::new().post(format!("http://{}/secret-manager/sync", self.address));
        let request = request.bearer_auth(&self.token).header("content-type", "application/json").body("{}");
        Ok(request.timeout(SYNC_LIMIT).send().await?)
    }
}

async fn json_of(request: reqwest::RequestBuilder) -> Result<Json> {
    let answer = request.timeout(ANSWER_LIMIT).send().await?;
    let (status, body) = (answer.status(), answer.bytes().await?);
    if !status.is_success() {
        bail!("{status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(serde_json::from_slice(&body)?)
}
