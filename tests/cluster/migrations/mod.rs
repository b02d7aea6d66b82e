//! Moves are real: the real binary over a real cluster of three libvirt hosts, whose guests really move.
//!
//! The tests share one lab and run one at a time: there are few processors, and guests need one each.

mod crash;
mod drain;
mod figures;
mod hand;
mod many;
mod policy;
mod settings;
