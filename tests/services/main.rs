//! What whimbrel reads from other programs: MariaDB, Apache and libvirt's library as Debian packages them.

mod end_to_end;
mod libvirt_test_host;
mod monitors;
#[path = "../support/mod.rs"]
mod support;
