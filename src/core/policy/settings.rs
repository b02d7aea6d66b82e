//! A policy's settings: bounds and tarries, and which of them are valid together.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::WorkingHours;
use crate::core::cluster::{Direction, Span};

/// A bound and how many samples in a row must be past it before the policy acts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// In the indicator's unit. A value equal to it is not past it.
    pub at: f64,
    /// Samples in a row, at least 1.
    pub tarry: u32,
}

/// What is done with readings outside the working hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resting {
    /// Samples are recorded, not counted.
    #[default]
    Record,
    /// The service is not read.
    Off,
}

/// Whether the break-even of a move between sites binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BreakEven {
    /// It is shown.
    #[default]
    Show,
    /// No move away unless it pays.
    Require,
}

/// How long a VM without work stays at the other site, beside its empty polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HomeAfter {
    /// No longer than those.
    #[default]
    Off,
    /// Until it has been idle for as long as the way out and back takes. Whoever leaves then never pays more than twice what
    /// somebody would pay who knew when the next queue comes (ski rental).
    Auto,
    /// Until it has been idle for so long.
    Idle(Span),
}

/// The site policy's settings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SiteRule {
    /// Big jobs in the queue as claimed, at and above which it is worked away from home. At least 1.
    pub threshold: u32,
    /// Empty polls in a row away from home before the VM goes home. At least 1.
    pub home_tarry: u32,
    /// And it has been idle there for so long.
    pub home_after: HomeAfter,
    /// Whether the break-even binds.
    pub break_even: BreakEven,
    /// So many times the way out and back must a move away save (thesis 3.5: 1.5). At least 1.
    pub margin: f64,
}

/// Which of the four policies, with what it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Rule {
    /// Policy 1: move when beyond.
    Threshold {
        /// The threshold and its tarry.
        high: Bound,
    },
    /// Policy 2: and to the base when low.
    Base {
        /// The threshold and its tarry.
        high: Bound,
        /// The low threshold and its tarry.
        low: Bound,
    },
    /// Policy 3: policy 2 inside working hours, the base outside them.
    Schedule {
        /// The threshold and its tarry.
        high: Bound,
        /// The low threshold and its tarry.
        low: Bound,
        /// When the policy works.
        hours: WorkingHours,
        /// What is done with readings outside them.
        resting: Resting,
    },
    /// Policy 4: big queues are worked away from home.
    Site(SiteRule),
}

/// Which of the four policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyKind {
    /// Policy 1.
    Threshold,
    /// Policy 2.
    Base,
    /// Policy 3.
    Schedule,
    /// Policy 4.
    Site,
}

/// One VM's policy, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Which of the four, with its bounds.
    pub rule: Rule,
    /// Which way of the indicator is bad.
    pub direction: Direction,
    /// After a move, the time in which nothing counts.
    pub settle: Span,
    /// Gaps in a row at which the VM is stale. At least 1.
    pub stale_after: u32,
}

impl SiteRule {
    /// A policy with the defaults.
    pub const fn new(threshold: u32) -> Self {
        Self {
            threshold,
            home_tarry: DEFAULT_HOME_TARRY,
            home_after: HomeAfter::Off,
            break_even: BreakEven::Show,
            margin: DEFAULT_MARGIN,
        }
    }

    /// Whether so many big jobs are worked at the other site.
    pub const fn is_big(&self, jobs: u32) -> bool {
        jobs >= self.threshold
    }

    /// How long a VM without work stays at the other site at least. `round_trip`: how long the way out and back takes; if that
    /// is not known, the empty polls alone decide.
    pub fn idle_at_least(&self, round_trip: Option<Span>) -> Span {
        match self.home_after {
            HomeAfter::Off => Span::ZERO,
            HomeAfter::Auto => round_trip.unwrap_or_default(),
            HomeAfter::Idle(span) => span,
        }
    }
}

/// The time after a move in which nothing counts, unless set.
pub const DEFAULT_SETTLE: Span = Span::from_secs(45);
/// Gaps in a row at which a VM is stale, unless set.
pub const DEFAULT_STALE_AFTER: u32 = 3;
/// Empty polls away from home before the VM goes home, unless set.
pub const DEFAULT_HOME_TARRY: u32 = 3;
/// The margin of the site break-even, unless set (thesis 3.5).
pub const DEFAULT_MARGIN: f64 = 1.5;

/// A number of the policy that an operator can change while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The threshold (site policy: big jobs).
    Threshold,
    /// Its tarry.
    Tarry,
    /// The low threshold.
    LowThreshold,
    /// Its tarry (site policy: `home_tarry`).
    LowTarry,
}

impl Field {
    /// The field's name in the config.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::Tarry => "tarry",
            Self::LowThreshold => "low_threshold",
            Self::LowTarry => "low_tarry",
        }
    }

    /// The field in an operator's words: `low threshold`.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::Tarry => "tarry",
            Self::LowThreshold => "low threshold",
            Self::LowTarry => "low tarry",
        }
    }
}

/// The bounds that a value is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Bounds {
    /// The threshold.
    pub high: Option<f64>,
    /// The low threshold.
    pub low: Option<f64>,
    /// Which way is bad.
    pub direction: Direction,
    /// A value that equals the threshold is past it (site policy: big jobs).
    pub inclusive: bool,
}

impl Bounds {
    /// Past the threshold, as the policy decides it.
    pub fn is_beyond(self, value: f64) -> bool {
        let past = |high| self.direction.is_beyond(value, high) || self.inclusive && value == high;
        self.high.is_some_and(past)
    }

    /// Past the low threshold, as the policy decides it.
    pub fn is_low(self, value: f64) -> bool {
        self.low.is_some_and(|low| self.direction.is_low(value, low))
    }

    /// The bounds for readings that were rounded to an `f32`: rounded alike, so that a reading that equals a bound still
    /// equals it.
    pub fn rounded(self) -> Self {
        let round = |bound: f64| f64::from(bound as f32);
        Self { high: self.high.map(round), low: self.low.map(round), ..self }
    }
}

/// Why settings are not valid, and which would be.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SettingsError {
    /// A tarry below 1 would act on nothing, a margin below 1 on a loss.
    #[error("{0} must be at least 1")]
    TooSmall(&'static str),
    /// A tarry is a whole number.
    #[error("{0} must be a whole number")]
    NotWhole(&'static str),
    /// NaN or infinite.
    #[error("{0} must be a finite number")]
    NotFinite(&'static str),
    /// The bounds touch or cross.
    #[error("low_threshold {low} must be {must} threshold {high}")]
    BoundsCross {
        /// The low threshold.
        low: f64,
        /// The threshold.
        high: f64,
        /// `below` or `above`, by the direction.
        must: &'static str,
    },
    /// The policy has no such number.
    #[error("a {kind} policy has no {field}")]
    NoSuchField {
        /// The policy's word.
        kind: &'static str,
        /// The field's key.
        field: &'static str,
    },
}

impl PolicyKind {
    /// Its word in the config and on screen.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::Base => "base",
            Self::Schedule => "schedule",
            Self::Site => "site",
        }
    }
}

impl Rule {
    /// Which of the four policies it is.
    pub const fn kind(&self) -> PolicyKind {
        match self {
            Self::Threshold { .. } => PolicyKind::Threshold,
            Self::Base { .. } => PolicyKind::Base,
            Self::Schedule { .. } => PolicyKind::Schedule,
            Self::Site(_) => PolicyKind::Site,
        }
    }

    /// The threshold and its tarry; none for the site policy.
    pub const fn high(&self) -> Option<Bound> {
        match self {
            Self::Threshold { high } | Self::Base { high, .. } | Self::Schedule { high, .. } => Some(*high),
            Self::Site(_) => None,
        }
    }

    /// The low threshold and its tarry, where the policy has them.
    pub const fn low(&self) -> Option<Bound> {
        match self {
            Self::Base { low, .. } | Self::Schedule { low, .. } => Some(*low),
            Self::Threshold { .. } | Self::Site(_) => None,
        }
    }

    pub(crate) const fn high_mut(&mut self) -> Option<&mut Bound> {
        match self {
            Self::Threshold { high } | Self::Base { high, .. } | Self::Schedule { high, .. } => Some(high),
            Self::Site(_) => None,
        }
    }

    fn low_mut(&mut self) -> Option<&mut Bound> {
        match self {
            Self::Base { low, .. } | Self::Schedule { low, .. } => Some(low),
            Self::Threshold { .. } | Self::Site(_) => None,
        }
    }
}

impl Settings {
    /// Settings with the default settle and staleness.
    pub const fn new(rule: Rule, direction: Direction) -> Self {
        Self { rule, direction, settle: DEFAULT_SETTLE, stale_after: DEFAULT_STALE_AFTER }
    }

    /// Beyond the threshold in the worse direction; an equal value is not.
    #[inline]
    pub fn is_beyond(&self, value: f64, high: Bound) -> bool {
        self.direction.is_beyond(value, high.at)
    }

    /// Beyond the low threshold in the better direction; an equal value is not.
    #[inline]
    pub fn is_low(&self, value: f64, low: Bound) -> bool {
        self.direction.is_low(value, low.at)
    }

    /// The bounds of a value; a site policy compares the queue's big jobs with its threshold.
    pub fn bounds(&self) -> Bounds {
        let inclusive = matches!(self.rule, Rule::Site(_));
        let (high, low) = (self.get(Field::Threshold), self.get(Field::LowThreshold));
        Bounds { high, low, direction: self.direction, inclusive }
    }

    /// Checks whether these settings are valid.
    ///
    /// # Errors
    /// A tarry of 0, a bound that is not finite, or bounds that touch or cross.
    pub fn check(&self) -> Result<(), SettingsError> {
        if let Rule::Site(site) = &self.rule {
            return check_site(site);
        }
        if let Some(high) = self.rule.high() {
            check_bound(high, "threshold", "tarry")?;
        }
        if let Some(low) = self.rule.low() {
            check_bound(low, "low_threshold", "low_tarry")?;
        }
        match (self.rule.high(), self.rule.low()) {
            (Some(high), Some(low)) => self.check_order(high.at, low.at),
            _ => Ok(()),
        }
    }

    fn check_order(&self, high: f64, low: f64) -> Result<(), SettingsError> {
        let (apart, must) = match self.direction {
            Direction::HigherIsWorse => (low < high, "below"),
            Direction::LowerIsWorse => (low > high, "above"),
        };
        if apart { Ok(()) } else { Err(SettingsError::BoundsCross { low, high, must }) }
    }

    /// The number in a field, where the policy has it.
    pub fn get(&self, field: Field) -> Option<f64> {
        if let Rule::Site(site) = &self.rule {
            return match field {
                Field::Threshold => Some(f64::from(site.threshold)),
                Field::LowTarry => Some(f64::from(site.home_tarry)),
                Field::Tarry | Field::LowThreshold => None,
            };
        }
        match field {
            Field::Threshold => self.rule.high().map(|b| b.at),
            Field::Tarry => self.rule.high().map(|b| f64::from(b.tarry)),
            Field::LowThreshold => self.rule.low().map(|b| b.at),
            Field::LowTarry => self.rule.low().map(|b| f64::from(b.tarry)),
        }
    }

    /// These settings with one number changed.
    ///
    /// # Errors
    /// The policy has no such number, it is of the wrong form, or the result is not valid.
    pub fn with(&self, field: Field, value: f64) -> Result<Self, SettingsError> {
        let mut new = self.clone();
        let missing = SettingsError::NoSuchField { kind: self.rule.kind().word(), field: field.key() };
        if let Rule::Site(site) = &mut new.rule {
            match field {
                Field::Threshold => site.threshold = whole(value, "threshold")?,
                Field::LowTarry => site.home_tarry = whole(value, "home_tarry")?,
                Field::Tarry | Field::LowThreshold => return Err(missing),
            }
        } else {
            let bound = match field {
                Field::Threshold | Field::Tarry => new.rule.high_mut(),
                Field::LowThreshold | Field::LowTarry => new.rule.low_mut(),
            };
            let bound = bound.ok_or(missing)?;
            match field {
                Field::Threshold | Field::LowThreshold => bound.at = value,
                Field::Tarry | Field::LowTarry => bound.tarry = whole(value, field.key())?,
            }
        }
        new.check().map(|()| new)
    }
}

fn check_bound(bound: Bound, at: &'static str, tarry: &'static str) -> Result<(), SettingsError> {
    if !bound.at.is_finite() {
        return Err(SettingsError::NotFinite(at));
    }
    if bound.tarry == 0 { Err(SettingsError::TooSmall(tarry)) } else { Ok(()) }
}

fn check_site(site: &SiteRule) -> Result<(), SettingsError> {
    if site.threshold == 0 {
        return Err(SettingsError::TooSmall("threshold"));
    }
    if site.home_tarry == 0 {
        return Err(SettingsError::TooSmall("home_tarry"));
    }
    if !site.margin.is_finite() {
        return Err(SettingsError::NotFinite("margin"));
    }
    if site.margin < 1.0 { Err(SettingsError::TooSmall("margin")) } else { Ok(()) }
}

fn whole(value: f64, key: &'static str) -> Result<u32, SettingsError> {
    if value.fract() != 0.0 || !value.is_finite() {
        return Err(SettingsError::NotWhole(key));
    }
    if value < 1.0 {
        return Err(SettingsError::TooSmall(key));
    }
    Ok(value.min(f64::from(u32::MAX)) as u32)
}
