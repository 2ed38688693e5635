//! Somebody on the node who asks the pods' API all the time, through its Service and over a new connection each time.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use devcluster::Node;

use super::release;

/// Says each question that got no answer, and at the end, which is that of its input, how many there were. The box has Python.
const ASK: &str = r#"
import http.client, select, ssl, sys, time
trust, asked, began = ssl._create_unverified_context(), 0, time.monotonic()
while not select.select([sys.stdin], [], [], 0.01)[0]:
    asked += 1
    connection = http.client.HTTPSConnection(sys.argv[1], 8443, timeout=5, context=trust)
    try:
        connection.request("GET", "/v1/status")
        connection.getresponse().read()
    except Exception as error:
        print(f"after {time.monotonic() - began:.2f} s: {error!r}")
    connection.close()
print(asked)
"#;

/// It ends with the cluster, or when it is told to.
pub struct Asked(Child);

impl Asked {
    /// Begins to ask.
    pub fn start(node: &Node) -> Result<Self> {
        let mut asks = Command::new("nsenter");
        asks.args(["--target", &node.init_pid().to_string(), "--mount", "--pid", "--net", "--"]);
        asks.args(["python3", "-c", ASK, release::ADDRESS]).stdin(Stdio::piped()).stdout(Stdio::piped());
        node.tie(&mut asks);
        Ok(Self(asks.spawn().context("cannot run nsenter")?))
    }

    /// How often it asked. Any answer will do, also that it may not ask; none is an error.
    pub fn was_always_answered(self) -> Result<usize> {
        let out = self.0.wait_with_output()?;
        let said = String::from_utf8(out.stdout)?;
        let (unanswered, asked) = said.trim_end().rsplit_once('\n').unwrap_or(("", said.trim_end()));
        let asked = asked.parse().with_context(|| said.clone())?;
        ensure!(unanswered.is_empty(), "of {asked} questions got no answer:\n{unanswered}");
        Ok(asked)
    }
}
