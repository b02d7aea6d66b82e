//! The real binary, as its users run it: no server, no root, no cluster but the simulated one.

mod command_line;
mod command_templates;
mod drain;
mod policy_editor;
mod queue;
mod reload;
mod reports;
mod restarts;
mod runtime_faults;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
mod whatif;
