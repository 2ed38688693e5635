//! Spacesync keeps every running flow app in step with the secrets of its space, and proves that they arrived.
//!
//! ```text
//!  Secret Manager ──head (no values)──► sync ──read (only when the head moved)──► managed Secret
//!    (OpenBao, http, Kubernetes)         ▲                                            │ the kubelet mounts it
//!                                        │ sync-requested (annotation)                ▼
//!                                        │                      delivery ──revision──► pod ──► plugin ──► global.SECRETS
//!                                        └──────── ack, sync now, settings ────────────────────────┘
//! ```
//!
//! One direction, no back and forth. All state lives in API objects: any replica may be killed at any moment.

pub mod cli;
pub mod cluster;
pub mod delivery;
pub mod operator;
pub mod pod_api;
pub mod resources;
pub mod secret;
pub mod space;
pub mod store;
pub mod sync;
