//! First contact with a cluster: hosts over ssh and what keeps them from answering, a config made from what is there, and
//! a machine without libvirt.

mod discover;
mod late;
mod missing;
mod ssh;
mod twice;
