//! whimbrel: a terminal operations console for VM clusters in which each VM's own service decides when the VM moves.

pub mod cli;
pub mod console;
pub mod core;
pub mod edge;
pub mod runtime;
pub mod view;
