//! Real libvirt hosts on this machine, and guests that really move between them: see `docs/lab.md`.

mod command_driver;
mod contact;
mod faults;
mod lab;
mod libvirt_memory;
mod migrations;
mod setting;
#[path = "../support/mod.rs"]
mod support;
