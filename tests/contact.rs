//! First contact with a cluster: hosts over ssh and what keeps them from answering, a config made from what is there, and
//! a machine without libvirt.
//!
//! The tests share one lab and run one at a time, like those of `migrations`.

#[path = "contact/discover.rs"]
mod discover;
#[path = "support/lab/mod.rs"]
mod lab;
#[path = "contact/late.rs"]
mod late;
#[path = "contact/missing.rs"]
mod missing;
#[path = "support/pty.rs"]
mod pty;
mod services;
// It serves more tests than these.
#[allow(dead_code)]
#[path = "migrations/setting.rs"]
mod setting;
#[path = "contact/ssh.rs"]
mod ssh;
mod support;
#[path = "contact/twice.rs"]
mod twice;
