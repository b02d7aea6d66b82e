//! One side alone as an operator reads it, and what both tables share.

use std::fmt::Write;

use chrono::SecondsFormat;

use crate::core::cluster::{Span, Timestamp, in_words};
use crate::core::insight::{Outcome, Recording, Variant};
use crate::core::policy::Settings;

/// What these settings would have done.
pub(super) fn table(outcome: &Outcome, variants: &[Variant], recording: &Recording, settings: &Settings) -> String {
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
    let ends = [outcome.move_at.first(), outcome.move_at.last()];
    let ends = ends.map(|at| at.map_or_else(|| "-".to_owned(), |at| moment(*at)));
    lines.push(("first and last move", ends.join("  ")));
    let mut out = String::new();
    for (name, value) in lines {
        // Writing into a String cannot fail.
        let _ = writeln!(out, "{name:<22}{value}");
    }
    strip(&mut out, variants);
    out
}

/// The sensitivity strip, and what none of it promises.
pub(super) fn strip(out: &mut String, variants: &[Variant]) {
    let _ = writeln!(out, "\n{:>12} {:>6} {:>7}", "threshold", "tarry", "moves");
    for variant in variants {
        let _ = writeln!(out, "{:>12} {:>6} {:>7}", round(variant.threshold), variant.tarry, variant.moves);
    }
    out.push_str("\nrecorded where it ran then: an estimate, not a promise\n");
}

pub(super) fn seconds(s: f64) -> String {
    in_words(Span::from_millis((s * 1_000.0) as i64))
}

pub(super) fn moment(at: Timestamp) -> String {
    at.utc().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// At most four decimals, none that are needless.
fn round(v: f64) -> String {
    let text = format!("{v:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
