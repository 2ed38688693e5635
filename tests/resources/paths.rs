//! Mount paths: which are refused, and which only look so.

/// Mount paths that are no absolute path.
pub const NOT_A_PATH: &[&str] = &[
    "a",
    "./a",
    "../etc",
    "~/a",
    " /a",
    "/a/../etc",
    "/..",
    "/../",
    "/a/..",
    "/.",
    "/a/./b",
    "/./etc",
    "/a:b",
    "/a:ro",
    "/a\\nb",
    "/etc\\n",
    "/a\\tb",
    "/a\\u0000",
    "\\\\etc",
];

/// Mount paths that would take something from the container that it needs, in every spelling.
pub const FORBIDDEN_PATHS: &[&str] = &[
    "/",
    "//",
    "///",
    "/etc",
    "/etc/",
    "//etc",
    "///etc//",
    "/etc/ssl",
    "/etc//ssl",
    "/proc",
    "/proc/1",
    "//proc//1/root",
    "/sys",
    "/sys/fs/cgroup",
    "/dev",
    "/dev/shm",
    "/dev/",
    "/var/run/secrets",
    "/var/run/secrets/",
    "/var/run/secrets/x",
    "//var/run/secrets",
    "/var//run///secrets/kubernetes.io",
    "/run/secrets",
    "/run/secrets/x",
    "//run//secrets",
    "/var",
    "/var/",
    "//var",
    "/var/run",
    "/var/run/",
    "/var//run",
    "/run",
    "/run/",
];

/// Mount paths that only look alike.
pub const FINE_PATHS: &[&str] = &[
    "/var/run/spacesync",
    "/etcetera",
    "/data/etc",
    "/process",
    "/system",
    "/devel",
    "/var/run/secretsync",
    "/var/run/secrets.d",
    "/var/lib/x",
    "/running",
    "/data/..x",
    "/data/x..",
    "/data/...",
    "/data/a b",
    "/srv/größe",
    "/opt/",
];

/// A FlowApp that mounts there.
pub fn mounted_at(path: &str) -> String {
    format!("{{version: 5.3.0, workloadRef: {{kind: Deployment, name: a}}, mountPath: \"{path}\"}}")
}
