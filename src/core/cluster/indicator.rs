//! What is measured: the indicator, and what one reading of it can be.

use serde::{Deserialize, Serialize};

/// Which way is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Slow queries, response time.
    #[default]
    HigherIsWorse,
    /// Idle workers.
    LowerIsWorse,
}

impl Direction {
    /// Whether a value is past a bound on the bad side. Equal is not. The policy, the screens and the order of the VMs ask
    /// this one function, so that they agree.
    #[inline]
    pub const fn is_beyond(self, value: f64, bound: f64) -> bool {
        match self {
            Self::HigherIsWorse => value > bound,
            Self::LowerIsWorse => value < bound,
        }
    }

    /// Whether a value is past a bound on the good side. Equal is not.
    #[inline]
    pub const fn is_low(self, value: f64, bound: f64) -> bool {
        self.is_beyond(bound, value)
    }
}

/// How a raw reading becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IndicatorKind {
    /// The reading is the value.
    #[default]
    Gauge,
    /// The increase since the last reading, one interval ago, is the value.
    Counter,
}

/// The measured quantity `v` of a VM's service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indicator {
    /// In an operator's words: `slow queries`, `idle workers`.
    pub name: String,
    /// Short, for a table cell: `/min`, `idle`, `ms`. For a counter it names one interval's increase.
    pub unit: String,
    /// Gauge or counter. (Which way is bad stands in the policy's settings, which compare.)
    pub kind: IndicatorKind,
}

/// What a monitor says after one look at the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// The raw number: a gauge's value or a counter's state. Always finite.
    Raw(f64),
    /// The check took longer than its deadline: the value is at least this (shown `≥`).
    AtLeast(f64),
    /// The service was too busy to answer, and the config says that this is beyond (`on_timeout = "beyond"`).
    Busy,
    /// No value, and why, in one short phrase without secrets: `connection refused`.
    Gap(String),
}

/// A sample's value as it is shown and recorded. In JSON two keys of whatever has it: `value`, which is `null` without a
/// number, and `at_least`, which is there only if it is true.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "ValueKeys", into = "ValueKeys")]
pub enum Value {
    /// A number that was read.
    Exact(f64),
    /// The read had no end within the deadline: at least this.
    AtLeast(f64),
    /// Beyond, without a number.
    Busy,
}

impl Value {
    /// The number, if there is one.
    pub const fn number(self) -> Option<f64> {
        match self {
            Self::Exact(v) | Self::AtLeast(v) => Some(v),
            Self::Busy => None,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct ValueKeys {
    value: Option<f64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    at_least: bool,
}

impl From<Value> for ValueKeys {
    fn from(value: Value) -> Self {
        Self { value: value.number(), at_least: matches!(value, Value::AtLeast(_)) }
    }
}

impl From<ValueKeys> for Value {
    fn from(keys: ValueKeys) -> Self {
        match keys.value {
            None => Self::Busy,
            Some(number) if keys.at_least => Self::AtLeast(number),
            Some(number) => Self::Exact(number),
        }
    }
}
