//! What is in memory stays there: no core dump is ever made of a process that holds secrets.
//!
//! Values are zeroed when they are dropped, but a crash comes while they are held, and buffers of HTTP and TLS are not
//! ours. So the kernel is told to write down nothing.

use std::io;

/// Forbids core dumps of this process. To be called before it reads its first secret.
///
/// Either alone leaves a gap: a limit of zero does not stop a `core_pattern` that pipes to a program, as systemd's does,
/// and the flag is forgotten where a container runtime starts us by another `execve`. Not being dumpable also keeps every
/// process but root's from reading `/proc/PID/mem`.
#[cfg(target_os = "linux")]
pub fn forbid_core_dumps() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?)
}

/// Nothing runs the operator there but a developer.
#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_wraps, reason = "the same signature everywhere")]
pub fn forbid_core_dumps() -> io::Result<()> {
    Ok(())
}
