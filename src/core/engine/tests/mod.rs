//! The specification, section by section, against the engine.

mod amends;
mod commands;
mod deadlines;
mod destinations;
mod drains;
mod facts;
mod gates;
mod harness;
mod leaving;
mod listings;
mod observations;
mod outcomes;
mod properties;
mod restarts;
mod rules;
mod sites;
mod whatif;
mod why;
