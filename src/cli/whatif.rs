//! `whimbrel whatif`: what settings would have done over recorded samples.

use std::fmt::Write;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::SecondsFormat;
use clap::{Args, ValueEnum};
use color_eyre::eyre::{Result, WrapErr};
use serde::Serialize;

use crate::core::cluster::{Direction, Span, in_words};
use crate::core::insight::{Outcome, Recording, Variant};
use crate::core::policy::{Bound, DEFAULT_SETTLE, Resting, Rule, Settings, WorkingHours};
use crate::edge::recording;

use super::{WRONG_INPUT, span};

/// Ask what a threshold would have done over recorded samples
///
/// The VM starts in the ring, watching; every move confirms at once; there are no gates. The samples were taken where the
/// VM then was, so the answer is an estimate, not a promise.
#[derive(Debug, Args)]
pub(super) struct WhatIf {
    /// Samples: columns timestamp,value; RFC 3339, or YYYY-MM-DD HH:MM:SS in UTC
    #[arg(long, value_name = "FILE")]
    csv: PathBuf,
    /// The threshold
    #[arg(long, value_name = "V", allow_negative_numbers = true)]
    threshold: f64,
    /// So many samples in a row beyond it make a move
    #[arg(long, value_name = "N")]
    tarry: u32,
    /// The low threshold: samples past it lead to the base
    #[arg(long, value_name = "V", requires = "low_tarry", allow_negative_numbers = true)]
    low_threshold: Option<f64>,
    /// So many in a row
    #[arg(long, value_name = "N", requires = "low_threshold")]
    low_tarry: Option<u32>,
    /// After a move nothing counts for so long [default: 45s]
    #[arg(long, value_name = "SPAN", value_parser = settle)]
    settle: Option<Span>,
    /// Which way is worse
    #[arg(long, value_enum, default_value_t = Worse::Higher)]
    direction: Worse,
    /// Working hours, such as "Mon-Fri 09:00-16:00"; outside them the VM is on the base
    #[arg(long, value_name = "HOURS", requires = "low_threshold")]
    hours: Option<String>,
    /// Their time zone [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "hours")]
    zone: Option<chrono_tz::Tz>,
    /// What standard output gets
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Worse {
    Higher,
    Lower,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    outcome: Outcome,
    sensitivity: Vec<Variant>,
}

/// A settle may be nothing at all.
fn settle(text: &str) -> Result<Span, String> {
    if matches!(text, "0" | "0s") { Ok(Span::ZERO) } else { span::parse(text) }
}

impl WhatIf {
    pub(super) fn run(self) -> Result<ExitCode> {
        let recording = match recording::load(&self.csv) {
            Ok(recording) => recording,
            Err(error) => return Ok(refuse(&error.to_string())),
        };
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(why) => return Ok(refuse(&format!("error: {why}"))),
        };
        let answer = Answer { outcome: recording.replay(&settings), sensitivity: recording.strip(&settings) };
        let text = match self.format {
            Format::Json => serde_json::to_string(&answer)? + "\n",
            Format::Table => table(&answer, &recording, &settings),
        };
        io::stdout().write_all(text.as_bytes()).wrap_err("standard output cannot be written")?;
        Ok(ExitCode::SUCCESS)
    }

    fn settings(&self) -> Result<Settings, String> {
        let high = Bound { at: self.threshold, tarry: self.tarry };
        let low = self.low_threshold.zip(self.low_tarry).map(|(at, tarry)| Bound { at, tarry });
        let zone = self.zone.unwrap_or(chrono_tz::UTC);
        let hours = self.hours.as_deref().map(|text| WorkingHours::parse(text, zone));
        let rule = match (low, hours.transpose().map_err(|why| why.to_string())?) {
            (None, _) => Rule::Threshold { high },
            (Some(low), None) => Rule::Base { high, low },
            (Some(low), Some(hours)) => Rule::Schedule { high, low, hours, resting: Resting::Record },
        };
        let direction = match self.direction {
            Worse::Higher => Direction::HigherIsWorse,
            Worse::Lower => Direction::LowerIsWorse,
        };
        let mut settings = Settings::new(rule, direction);
        settings.settle = self.settle.unwrap_or(DEFAULT_SETTLE);
        settings.check().map_err(|why| why.to_string()).map(|()| settings)
    }
}

fn refuse(text: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::from(WRONG_INPUT)
}

/// What an operator reads.
fn table(answer: &Answer, recording: &Recording, settings: &Settings) -> String {
    let outcome = &answer.outcome;
    let seconds = |s: f64| in_words(Span::from_millis((s * 1_000.0) as i64));
    let mut lines = vec![
        ("samples", format!("{} every {}", outcome.samples, in_words(recording.median()))),
        ("gaps", outcome.gaps.to_string()),
        ("span", seconds(outcome.span_s)),
        ("ring moves", outcome.moves.to_string()),
        ("quick repeats", format!("{} within an hour of the one before", outcome.quick_moves)),
        ("beyond the threshold", seconds(outcome.beyond_s)),
    ];
    if settings.rule.low().is_some() {
        lines.insert(4, ("moves to base", outcome.moves_to_base.to_string()));
    }
    let ends = [outcome.move_at.first(), outcome.move_at.last()]
        .map(|at| at.map_or_else(|| "-".to_owned(), |at| at.utc().to_rfc3339_opts(SecondsFormat::Secs, true)));
    lines.push(("first and last move", ends.join("  ")));
    let mut out = String::new();
    for (name, value) in lines {
        // Writing into a String cannot fail.
        let _ = writeln!(out, "{name:<22}{value}");
    }
    let _ = writeln!(out, "\n{:>12} {:>6} {:>7}", "threshold", "tarry", "moves");
    for variant in &answer.sensitivity {
        let _ = writeln!(out, "{:>12} {:>6} {:>7}", round(variant.threshold), variant.tarry, variant.moves);
    }
    out.push_str("\nrecorded where it ran then: an estimate, not a promise\n");
    out
}

/// At most four decimals, none that are needless.
fn round(v: f64) -> String {
    let text = format!("{v:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
