//! What a cluster or a VM did over a span: requests an hour, migration times, stays and their cost.

use std::sync::Arc;

use crate::core::cluster::{Span, Timestamp};

/// What was done over a span (the thesis's figures 4.1, 4.3, 4.4, 4.6 and its costs 3.1–3.4).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Activity {
    /// The first hour's begin: a whole hour.
    pub from: Timestamp,
    /// The present.
    pub to: Timestamp,
    /// Hour by hour, oldest first.
    pub hours: Vec<Hour>,
    /// Settings that were changed, oldest first.
    pub edits: Vec<Edited>,
    /// VMs on each host, hour by hour (of one VM: its share of the hour there).
    pub hosts: Vec<OnHost>,
    /// How long confirmed migrations took; `None` without any.
    pub times: Option<Times>,
    /// Where VMs stayed, and what that cost.
    pub stays: Stays,
}

/// One hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hour {
    /// Requests by policies and schedules.
    pub requests: u32,
    /// Requests by operators.
    pub by_hand: u32,
    /// Migrations confirmed.
    pub confirmed: u32,
    /// Migrations that ended otherwise.
    pub failed: u32,
    /// Decisions that a gate stopped.
    pub blocked: u32,
}

/// A setting that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// When.
    pub at: Timestamp,
    /// Of which VM.
    pub vm: Arc<str>,
    /// In words: `threshold 20 → 50`.
    pub text: String,
}

/// VMs on one host.
#[derive(Debug, Clone, PartialEq)]
pub struct OnHost {
    /// Its name.
    pub host: Arc<str>,
    /// The mean of VMs there in each hour, as many as there are hours.
    pub vms: Vec<f32>,
}

/// How long migrations took, from running to confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How many.
    pub count: usize,
    /// Their mean.
    pub mean: Span,
    /// Their median.
    pub median: Span,
    /// The shortest.
    pub least: Span,
    /// The longest.
    pub most: Span,
}

/// VM-hours by place, and what they cost (thesis 3.1–3.4: `C_t = ΣC_b + ΣC_a`).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stays {
    /// In the ring.
    pub ring: Stay,
    /// On the base, outside working hours: scheduled rest.
    pub rest: Stay,
    /// On the base otherwise.
    pub base: Stay,
    /// At another site.
    pub away: Stay,
}

/// Time and money.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stay {
    /// VM-hours.
    pub hours: f64,
    /// In the currency of the config.
    pub cost: f64,
}
