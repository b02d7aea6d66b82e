//! Job queues in real homes: a folder, Apache with mod_dav, MariaDB; and workers that die at any instant.

mod audit;
mod bc;
mod chaos;
mod fleet;
mod home;
mod instants;
mod late;
mod mysql;
mod pages;
mod proxies;
#[path = "../support/mod.rs"]
mod support;
mod tables;
mod worker;
