//! A proxy before a real OpenBao, which damages its answers as no OpenBao would.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It arrives as it was sent.
    None,
    /// Its second half is missing.
    Half,
    /// It is a page for people, with status 200.
    Page,
    /// It is the proxy's own 502.
    BadGateway,
    /// It announces more than anybody would take.
    Endless,
    /// The connection is closed instead.
    Nothing,
}

/// A proxy that runs as long as the process.
pub struct Proxy {
    /// Where it listens.
    pub url: String,
    damage: Arc<Mutex<Damage>>,
}

impl Proxy {
    /// One before the server at this plain URL.
    pub fn before(server: &str) -> Self {
        let to = server.strip_prefix("http://").expect("a plain URL").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let damage = Arc::new(Mutex::new(Damage::None));
        let shared = damage.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (to, damage) = (to.clone(), *shared.lock().expect("no panic"));
                thread::spawn(move || relay(client, &to, damage));
            }
        });
        Self { url, damage }
    }

    /// From now on.
    pub fn does(&self, damage: Damage) {
        *self.damage.lock().expect("no panic") = damage;
    }
}

/// One request of a client, which has no body, on a connection of its own.
fn relay(mut client: TcpStream, to: &str, damage: Damage) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let mut server = TcpStream::connect(to).ok()?;
    head.truncate(head.len() - 2);
    server.write_all(&head).ok()?;
    server.write_all(b"Connection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;
    let page = "<html>Please sign in</html>";
    let instead = match damage {
        Damage::None => answer,
        Damage::Half => answer[..answer.len() - 40].to_vec(),
        Damage::Page => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len()).into_bytes(),
        Damage::BadGateway => b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n".to_vec(),
        Damage::Endless => b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec(),
        Damage::Nothing => Vec::new(),
    };
    client.write_all(&instead).ok()
}
