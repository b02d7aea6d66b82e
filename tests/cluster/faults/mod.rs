//! Everything that can break while a VM moves, broken on purpose, under the real binary and a real libvirt cluster: what
//! whimbrel says of it, in which order, and what the hosts themselves say.
//!
//! With `--nocapture` each fault prints a row of a table: the fault, what was seen, seconds to the outcome.

mod before;
mod cables;
mod during;
mod handover;
mod instant;
mod standstill;
mod tale;
