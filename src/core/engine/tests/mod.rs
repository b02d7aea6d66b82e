//! The specification, section by section, against the engine.

mod amends;
mod commands;
mod deadlines;
mod destinations;
mod drains;
mod facts;
mod gates;
mod harness;
mod listings;
mod observations;
mod operators;
mod outcomes;
mod properties;
mod restarts;
mod rules;
mod whatif;
mod why;
