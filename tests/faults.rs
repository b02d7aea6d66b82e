//! Everything that can break while a VM moves, broken on purpose, under the real binary and a real libvirt cluster: what
//! whimbrel says of it, in which order, and what the hosts themselves say.
//!
//! With `--nocapture` each fault prints a row of a table: the fault, what was seen, seconds to the outcome.

#[path = "faults/before.rs"]
mod before;
#[path = "faults/cables.rs"]
mod cables;
#[path = "faults/during.rs"]
mod during;
#[path = "faults/handover.rs"]
mod handover;
#[path = "faults/instant.rs"]
mod instant;
#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/moves.rs"]
mod moves;
mod services;
#[path = "faults/stand.rs"]
mod stand;
mod support;
#[path = "faults/tale.rs"]
mod tale;
