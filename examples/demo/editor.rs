//! What the flows in the pods answer, and what their editor shows.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value as Json, json};

use crate::{
    pods::FlowPods,
    story::{self, expect},
};

const ANSWER_LIMIT: Duration = Duration::from_secs(5);

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

/// What somebody who may only look finds in the editor.
pub async fn chapter(pods: &FlowPods) -> Result<()> {
    let Some(address) = pods.addresses().next() else { return Ok(()) };
    story::chapter("6. The editor");
    let masked = async {
        let token = sign_in(&address, "viewer", "read").await?;
        let context = format!("http://{address}/context/global/SECRETS");
        let seen = json_of(reqwest::Client::new().get(context).bearer_auth(token)).await?.to_string();
        if !seen.contains("MY_API_TOKEN") || seen.contains("token-") || seen.contains("smtp.example.org") {
            bail!("the context that the viewer sees should name the keys and mask the values, but is {seen}");
        }
        Ok(())
    };
    story::step("a viewer finds SECRETS in the context, its keys named and its values masked", masked).await
}

/// Where the editor is, and as whom to sign in.
pub fn addresses(pods: &FlowPods) {
    if let Some(address) = pods.addresses().next() {
        println!("  The editor: http://{address}");
        println!("    sign in as editor (password: editor) or viewer (password: viewer)");
        println!("    its flow: curl http://{address}/token\n");
    }
}

/// A token of the editor's own API.
async fn sign_in(address: &str, who: &str, scope: &str) -> Result<String> {
    let form = format!("client_id=node-red-editor&grant_type=password&scope={scope}&username={who}&password={who}");
    let request = reqwest::Client::new()
        .post(format!("http://{address}/auth/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let answer = json_of(request).await?;
    Ok(answer["access_token"].as_str().with_context(|| format!("{who} cannot sign in: {answer}"))?.to_owned())
}

async fn json_of(request: reqwest::RequestBuilder) -> Result<Json> {
    let answer = request.timeout(ANSWER_LIMIT).send().await?;
    let (status, body) = (answer.status(), answer.bytes().await?);
    if !status.is_success() {
        bail!("{status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(serde_json::from_slice(&body)?)
}
