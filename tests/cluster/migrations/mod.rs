//! Moves are real: the real binary over a real cluster of three libvirt hosts, whose guests really move.

mod crash;
mod drain;
mod figures;
mod hand;
mod many;
mod policy;
mod settings;
