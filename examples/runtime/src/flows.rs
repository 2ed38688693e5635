//! In place of flows: an HTTP endpoint that uses the snapshot. It answers with lengths, never with values.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value as Json, json};

use crate::state::{Held, State};

const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_HEAD: u64 = 8192;

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
    read_head(&stream)?;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// To its end, the empty line: what is left unread when a connection is closed would reset it.
fn read_head(stream: &TcpStream) -> io::Result<()> {
    for line in BufReader::new(stream.take(LONGEST_HEAD)).lines() {
        if line?.is_empty() {
            break;
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;
    use crate::snapshot::tests::Mount;

    /// Sent in pieces, as some clients do.
    fn get(address: std::net::SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).expect("a connection");
        for piece in ["GET / HT", "TP/1.0\r\nHost: flows\r\n", "\r\n"] {
            stream.write_all(piece.as_bytes()).expect("it is sent");
            thread::sleep(Duration::from_millis(20));
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    #[test]
    fn flows_answer_with_what_they_read_and_never_with_a_value() {
        let (state, mount) = (Arc::new(State::default()), Mount::new());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let flows = state.clone();
        thread::spawn(move || serve(&listener, &flows));
        assert!(get(address).contains("\"revision\":null"));
        mount.swap("7-f", &[("KEY", "hunter2")]);
        state.take(mount.read());
        let answer = get(address);
        assert!(answer.contains("\"version\":7") && answer.contains("{\"KEY\":7}"), "{answer}");
        assert!(!answer.contains("hunter2"));
    }
}
