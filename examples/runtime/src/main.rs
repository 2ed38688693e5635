//! A light runtime: what docs/contract.md asks of a program that reads a space's secrets, and nothing else.
//!
//! ```text
//!   mount ──watch──► read ──► State ──► flows (an HTTP endpoint that answers with lengths)
//!                               └─────► acknowledger ──► the pods' API
//! ```
//! It knows nothing of the operator but that page.

mod acknowledger;
mod api;
mod flows;
mod snapshot;
mod state;
mod watch;

use std::{env, io, net::TcpListener, path::PathBuf, sync::Arc, sync::atomic::AtomicBool, thread};

use acknowledger::Acknowledger;
use state::State;
use watch::Watch;

fn main() -> io::Result<()> {
    // As process 1 of a container it would not be ended by a signal that it does not ask for.
    signal_hook::flag::register_conditional_shutdown(15, 0, Arc::new(AtomicBool::new(true)))?;
    let setting = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let mount = PathBuf::from(setting("SPACESYNC_MOUNT_PATH", "/var/run/spacesync"));
    let listener = TcpListener::bind(setting("LISTEN", "0.0.0.0:8080"))?;

    let state = Arc::new(State::default());
    let flows = state.clone();
    thread::spawn(move || flows::serve(&listener, &flows));
    let acknowledger = Acknowledger::start(mount.clone());

    let mut watch = Watch::new(mount.clone());
    let mut renamed = true;
    loop {
        // Armed before it is read: a swap in between is seen again rather than missed.
        watch.arm();
        let news = state.take(snapshot::read(&mount));
        if let Some(line) = news.log {
            eprintln!("{line}");
        }
        match news.acknowledge {
            Some(ack) => acknowledger.say(ack),
            // The same content was mounted anew: perhaps with the token or address that was missing.
            None if renamed => acknowledger.hurry(),
            None => {}
        }
        renamed = watch.wait();
    }
}
