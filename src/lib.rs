//! whimbrel: a terminal operations console for VM clusters in which each VM's own service decides when the VM moves.
//!
//! The layout is the architecture. From the inside out:
//!
//! | room | its story |
//! | --- | --- |
//! | [`core`] | pure: no I/O, no clock, no tokio |
//! | [`core::cluster`] | the nouns: site, array, host, VM, indicator, ids and units |
//! | [`core::policy`] | the four policies, one function of state, settings and observation; working hours |
//! | [`core::engine`] | what happens next: events in, effects out |
//! | [`core::queue`] | job queues: pages, claims, what workers report, how long jobs take |
//! | [`core::queue::bc`] | what GNU bc answers to a line, to the digit and within limits |
//! | [`core::insight`] | questions over the past: what-if, activity and its cost, long series in a few columns |
//! | [`core::simulation`] | a simulated cluster, driver and monitors in one, and its scenarios |
//! | [`edge`] | what touches the world: each part knows the core, and none knows another but for `net` |
//! | [`edge::config`] | read, check and explain a config; edit, save and watch its file |
//! | [`edge::net`] | what the clients of services share: TLS, passwords, the words for what goes wrong |
//! | [`edge::monitor`] | read a service's indicator |
//! | [`edge::recording`] | read recorded samples from a CSV file |
//! | [`edge::control`] | commands from another process, on a socket beside the history |
//! | [`edge::driver`] | move a VM |
//! | [`edge::queue`] | pages, claims and results in a folder, on a WebDAV server or in a database |
//! | [`edge::history`] | samples, events and decisions on disk |
//! | [`runtime`] | the tokio shell that ties core to edge |
//! | [`view`] | what a screen may know and say, and the words for what happened |
//! | [`console`] | the terminal |
//! | [`cli`] | one file a subcommand |
//!
//! `core ← edge ← runtime` and `core ← view ← {runtime, console}`: `tests/house/` reads the `use` lines and fails when
//! a room knows what it may not. Where to begin: [`core::engine::Engine::step`] decides, [`runtime::EventLoop`] wakes it,
//! [`view::Snapshot`] is what a screen sees of it.

pub mod cli;
pub mod console;
pub mod core;
pub mod edge;
pub mod runtime;
pub mod view;
