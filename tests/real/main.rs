//! Spacesync as its users meet it: the real operator, under its own role, on a real API server.
//!
//! One control plane and one operator serve all tests; each test has a namespace, a space and an entry of its own. Tests
//! that break something for everybody start a world of their own.

mod acknowledgements;
mod an_unchanged_world;
mod asking;
mod canary;
mod content;
mod flow_apps;
mod growth;
mod killed;
mod managers;
mod memory;
mod permissions;
mod pod_api;
mod proxy;
mod restarted_world;
mod restarts;
mod running;
mod scan;
mod signals;
mod some_namespaces;
mod spaces;
mod starving;
mod stopped;
mod stores;
mod target;
mod telling;
mod tenant;
mod tenants;
mod undone;
mod uninstall;
mod verbs;
mod workload;
mod world;
