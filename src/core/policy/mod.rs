//! The four policies: pure functions of (state, settings, observation).

mod decide;
mod differences;
mod hours;
mod settings;
#[cfg(test)]
mod tests;

pub use decide::{Decision, Observation, Place, Poll, State, Verdict, What, decide};
pub use differences::{KeyChange, Scope, TomlValue};
pub use hours::{Edge, HoursError, Window, WorkingHours};
pub use settings::{
    Bound, Bounds, BreakEven, DEFAULT_HOME_TARRY, DEFAULT_MARGIN, DEFAULT_SETTLE, DEFAULT_STALE_AFTER, Field,
    HomeAfter, PolicyKind, Resting, Rule, Settings, SettingsError, SiteRule,
};
