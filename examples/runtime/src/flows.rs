//! In place of flows: an HTTP endpoint that uses the snapshot. It answers with lengths, never with values.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value as Json, json};

use crate::state::{Held, State};

const PATIENCE: Duration = Duration::from_secs(2);

/// Answers every request alike.
pub fn serve(listener: &TcpListener, state: &State) {
    for stream in listener.incoming().flatten() {
        let body = answer(&state.held()).to_string();
        // Whoever goes away early does not want it.
        let _ = reply(stream, &body);
    }
}

fn reply(mut stream: TcpStream, body: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // A request without a body fits into one packet.
    let _ = stream.read(&mut [0; 4096])?;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn answer(held: &Held) -> Json {
    let Some(snapshot) = &held.snapshot else {
        return json!({"version": null, "revision": null, "problem": held.problem});
    };
    let lengths: Map<String, Json> =
        snapshot.values.iter().map(|(name, value)| (name.clone(), value.len().into())).collect();
    let since = held.since.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    json!({
        "version": snapshot.meta.version,
        "revision": snapshot.meta.revision,
        "loadedAtMs": since.map(|since| u64::try_from(since.as_millis()).unwrap_or_default()),
        "problem": held.problem,
        "lengths": lengths,
    })
}
