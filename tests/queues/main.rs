//! Job queues in real homes: a folder, Apache with mod_dav, MariaDB; and workers that die at any instant.

mod bc;
mod dav;
mod mysql;
mod proxies;
#[path = "../support/mod.rs"]
mod support;
mod worker;
