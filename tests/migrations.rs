//! Moves are real: the real binary over a real cluster of three libvirt hosts, whose guests really move.
//!
//! The tests share one lab and run one at a time: there are few processors, and guests need one each.

#[path = "migrations/crash.rs"]
mod crash;
#[path = "migrations/drain.rs"]
mod drain;
#[path = "migrations/figures.rs"]
mod figures;
#[path = "migrations/hand.rs"]
mod hand;
#[path = "support/lab/mod.rs"]
mod lab;
#[path = "migrations/many.rs"]
mod many;
#[path = "migrations/policy.rs"]
mod policy;
#[path = "support/pty.rs"]
mod pty;
mod services;
#[path = "migrations/setting.rs"]
mod setting;
#[path = "migrations/settings.rs"]
mod settings;
mod support;
