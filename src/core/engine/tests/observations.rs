//! observations
