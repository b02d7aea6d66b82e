//! `whimbrel whatif`: what other settings would have done, over a VM's history or over a CSV file.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::SecondsFormat;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use color_eyre::eyre::{Result, WrapErr, eyre};
use serde::Serialize;

use super::{load, open_history, refuse, span, vm_named};
use crate::core::cluster::{Direction, Span, Timestamp};
use crate::core::format::{decimal, duration};
use crate::core::insight::{Comparison, NO_WHAT_IF, Outcome, Prices, Recording, Variant, compare};
use crate::core::policy::{Bound, DEFAULT_SETTLE, KeyChange, Resting, Rule, Settings, WorkingHours};
use crate::edge::recording;
use crate::runtime::steady_clock;
use crate::view::what_if_word;

const USAGE: &str = "whimbrel whatif <CONFIG> --vm <NAME> [OPTIONS]
       whimbrel whatif --csv <FILE> --threshold <V> --tarry <N> [OPTIONS]";

const AFTER: &str = "\
Examples:
  whimbrel whatif whimbrel.toml --vm db --threshold 60
  whimbrel whatif whimbrel.toml --vm db --days 7 --tarry 5 --format json
  whimbrel whatif --csv samples.csv --threshold 50 --tarry 3 --direction lower";

/// How far back a VM's history is asked unless told.
const DAYS: u32 = 14;

/// Ask what a threshold would have done over recorded samples
///
/// Over a config's VM and its history, the settings that are given stand against the VM's own; those that are not given
/// stay. Over a CSV file they are given whole: --threshold and --tarry at least. Nothing is changed anywhere.
///
/// The VM starts in the ring, watching; every move confirms at once; there are no gates. The samples were taken where the
/// VM then was, so the answer is an estimate, not a promise.
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_long_help = AFTER)]
pub(super) struct WhatIfCommand {
    /// The config, whose history is asked
    #[arg(value_name = "CONFIG", requires = "vm", required_unless_present = "csv", conflicts_with = "csv")]
    config: Option<PathBuf>,
    /// Samples instead: columns timestamp,value; RFC 3339, or YYYY-MM-DD HH:MM:SS in UTC
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// The VM of the config
    #[arg(long, value_name = "NAME", requires = "config")]
    vm: Option<String>,
    /// So many days of its history [default: 14]
    #[arg(long, value_name = "N", requires = "config", value_parser = clap::value_parser!(u32).range(1..=3_660))]
    days: Option<u32>,
    #[command(flatten)]
    wanted: WantedSettings,
    /// Which way is worse [default: higher; of a config's VM its own]
    #[arg(long, value_parser = direction(), conflicts_with = "config")]
    direction: Option<Direction>,
    /// What standard output gets
    #[arg(long, value_enum, default_value_t = WhatIfFormat::Table)]
    format: WhatIfFormat,
}

/// Reads which way is worse.
fn direction() -> impl TypedValueParser<Value = Direction> {
    PossibleValuesParser::new(["higher", "lower"]).map(|word| match &*word {
        "lower" => Direction::LowerIsWorse,
        _ => Direction::HigherIsWorse,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WhatIfFormat {
    Table,
    Json,
}

#[derive(Serialize)]
struct WhatIfAnswer {
    #[serde(flatten)]
    outcome: Outcome,
    sensitivity: Vec<Variant>,
}

/// What was asked, and what came of it: the text, or why there is none.
type CommandOutput = Result<Result<String, ExitCode>>;

impl WhatIfCommand {
    pub(super) fn run(self) -> Result<ExitCode> {
        let said = match (&self.csv, &self.config, &self.vm) {
            (Some(csv), ..) => self.over_file(csv)?,
            (None, Some(config), Some(vm)) => self.over_history(config, vm)?,
            _ => Err(refuse("error: name a config and --vm, or --csv")),
        };
        let text = match said {
            Ok(text) => text,
            Err(code) => return Ok(code),
        };
        io::stdout().write_all(text.as_bytes()).wrap_err("standard output cannot be written")?;
        Ok(ExitCode::SUCCESS)
    }

    fn over_file(&self, csv: &Path) -> CommandOutput {
        let recording = match recording::load(csv) {
            Ok(recording) => recording,
            Err(error) => return Ok(Err(refuse(&error.to_string()))),
        };
        let settings = match self.wanted.alone(self.direction.unwrap_or_default()) {
            Ok(settings) => settings,
            Err(why) => return Ok(Err(refuse(&format!("error: {why}")))),
        };
        let answer = WhatIfAnswer { outcome: recording.replay(&settings), sensitivity: recording.strip(&settings) };
        Ok(Ok(match self.format {
            WhatIfFormat::Json => serde_json::to_string(&answer)? + "\n",
            WhatIfFormat::Table => table(&answer.outcome, &answer.sensitivity, &recording, &settings),
        }))
    }

    fn over_history(&self, config: &Path, name: &str) -> CommandOutput {
        let config = match load(config) {
            Ok(config) => config,
            Err(code) => return Ok(Err(code)),
        };
        let vm = match vm_named(&config, name) {
            Ok(vm) => vm,
            Err(why) => return Ok(Err(refuse(&why))),
        };
        let old = &config.cluster.vm(vm).policy;
        let new = match self.wanted.over(old) {
            Ok(new) => new,
            Err(why) => return Ok(Err(refuse(&format!("error: {name}: {why}")))),
        };
        let reader = open_history(&config)?;
        let (to, back) = (steady_clock(), Span::from_hours(24 * i64::from(self.days.unwrap_or(DAYS))));
        let entries = reader.readings(name, to - back, to).wrap_err("the history cannot be read")?;
        let recording = Recording::of_entries(&entries).ok_or_else(|| {
            let (file, span) = (reader.path().display(), duration(back));
            eyre!("{file}: no sample of {name} within {span}\nhelp: let whimbrel run for a while, or give more --days")
        })?;
        let prices = Prices::of(&config.cluster, vm);
        let mut comparison = compare(&recording, old, &new, prices).ok_or_else(|| eyre!(NO_WHAT_IF))?;
        comparison.strip = recording.strip(&new);
        let compared = SideBySide { vm: name, comparison, every: recording.median(), prices };
        Ok(Ok(match self.format {
            WhatIfFormat::Json => serde_json::to_string(&compared)? + "\n",
            WhatIfFormat::Table => compared.table(),
        }))
    }
}

/// Over a config's VM, each stands for the VM's own.
#[derive(Debug, Default, Args)]
struct WantedSettings {
    /// The threshold
    #[arg(long, value_name = "V", required_unless_present = "config", allow_negative_numbers = true)]
    threshold: Option<f64>,
    /// So many samples in a row beyond it make a move
    #[arg(long, value_name = "N", required_unless_present = "config")]
    tarry: Option<u32>,
    /// The low threshold: samples past it lead to the base
    #[arg(long, value_name = "V", allow_negative_numbers = true)]
    low_threshold: Option<f64>,
    /// So many in a row
    #[arg(long, value_name = "N")]
    low_tarry: Option<u32>,
    /// After a move nothing counts for so long [default: 45s]
    #[arg(long, value_name = "SPAN", value_parser = settle)]
    settle: Option<Span>,
    /// Working hours, such as "Mon-Fri 09:00-16:00"; outside them the VM is on the base
    #[arg(long, value_name = "HOURS")]
    hours: Option<String>,
    /// Their time zone [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "hours")]
    zone: Option<chrono_tz::Tz>,
}

/// A settle may be nothing at all.
fn settle(text: &str) -> Result<Span, String> {
    if matches!(text, "0" | "0s") { Ok(Span::ZERO) } else { span(text) }
}

/// Both parts of a bound, or neither, where there is none to begin with.
const HALF: &str = "--low-threshold and --low-tarry go together";

impl WantedSettings {
    /// Settings that do not change others. The command line makes sure that there are a threshold and a tarry.
    fn alone(&self, direction: Direction) -> Result<Settings, String> {
        let (at, tarry) = self.threshold.zip(self.tarry).ok_or("--threshold and --tarry go together")?;
        let mut settings = Settings::new(Rule::Threshold { high: Bound { at, tarry } }, direction);
        settings.settle = DEFAULT_SETTLE;
        self.over(&settings)
    }

    /// A VM's own settings, changed as wanted.
    fn over(&self, own: &Settings) -> Result<Settings, String> {
        let high = own.rule.high().ok_or(NO_WHAT_IF)?;
        let high = Bound { at: self.threshold.unwrap_or(high.at), tarry: self.tarry.unwrap_or(high.tarry) };
        let (at, tarry) = (self.low_threshold, self.low_tarry);
        let low = match own.rule.low() {
            Some(low) => Some(Bound { at: at.unwrap_or(low.at), tarry: tarry.unwrap_or(low.tarry) }),
            None if at.is_some() != tarry.is_some() => return Err(HALF.to_owned()),
            None => at.zip(tarry).map(|(at, tarry)| Bound { at, tarry }),
        };
        let (own_hours, resting) = match &own.rule {
            Rule::Schedule { hours, resting, .. } => (Some(hours.clone()), *resting),
            _ => (None, Resting::Record),
        };
        let zone = self.zone.or_else(|| own_hours.as_ref().map(WorkingHours::zone)).unwrap_or(chrono_tz::UTC);
        let hours = match &self.hours {
            Some(text) => Some(WorkingHours::parse(text, zone).map_err(|why| why.to_string())?),
            None => own_hours,
        };
        let rule = match (low, hours) {
            (None, None) => Rule::Threshold { high },
            (None, Some(_)) => return Err("--hours needs --low-threshold and --low-tarry".to_owned()),
            (Some(low), None) => Rule::Base { high, low },
            (Some(low), Some(hours)) => Rule::Schedule { high, low, hours, resting },
        };
        let settings = Settings { rule, settle: self.settle.unwrap_or(own.settle), ..*own };
        settings.check().map_err(|why| why.to_string()).map(|()| settings)
    }
}

/// What these settings would have done.
fn table(outcome: &Outcome, variants: &[Variant], recording: &Recording, settings: &Settings) -> String {
    let mut lines = vec![
        ("samples", format!("{} every {}", outcome.samples, duration(recording.median()))),
        ("gaps", outcome.gaps.to_string()),
        ("span", seconds(outcome.span_s)),
        ("ring moves", outcome.moves.to_string()),
        ("quick repeats", format!("{} within an hour of the one before", outcome.quick_moves)),
        ("beyond the threshold", seconds(outcome.beyond_s)),
    ];
    if settings.rule.low().is_some() {
        lines.insert(4, ("moves to base", outcome.moves_to_base.to_string()));
    }
    let ends = [outcome.all_moves.first(), outcome.all_moves.last()];
    let ends = ends.map(|moved| moved.map_or_else(|| "-".to_owned(), |moved| moment(moved.at)));
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
fn strip(out: &mut String, variants: &[Variant]) {
    let _ = writeln!(out, "\n{:>12} {:>6} {:>7}", "threshold", "tarry", "moves");
    for variant in variants {
        let _ = writeln!(out, "{:>12} {:>6} {:>7}", decimal(variant.threshold, 4), variant.tarry, variant.moves);
    }
    out.push_str("\nrecorded where it ran then: an estimate, not a promise\n");
}

fn seconds(s: f64) -> String {
    duration(Span::from_secs_f64(s))
}

fn moment(at: Timestamp) -> String {
    at.utc().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Old settings and new ones of a VM side by side. Its JSON is docs/whatif.md's.
#[derive(Serialize)]
struct SideBySide<'a> {
    vm: &'a str,
    #[serde(flatten)]
    comparison: Comparison,
    /// The median distance of two readings.
    #[serde(skip)]
    every: Span,
    #[serde(skip)]
    prices: Prices,
}

impl SideBySide<'_> {
    /// The table.
    fn table(&self) -> String {
        let (told, mut out) = (&self.comparison, String::new());
        let outcome = &told.new.outcome;
        // Writing into a String cannot fail.
        let _ = writeln!(out, "{}, {} to {}", self.vm, moment(told.from), moment(told.to));
        let every = duration(self.every);
        let _ = writeln!(out, "{} samples, one every {every}, {} missing\n", outcome.samples, outcome.gaps);
        let mut row = |name: &str, now: &str, would_be: &str| {
            let line = format!("{name:<22}{now:>14}  {would_be:>14}");
            let _ = writeln!(out, "{}", line.trim_end());
        };
        row("", "NOW", "WOULD BE");
        for KeyChange { key, old: now, new: would_be } in &told.changes {
            row(key, or_dash(now), or_dash(would_be));
        }
        for (name, [now, would_be]) in self.figures() {
            row(name, &now, &would_be);
        }
        if !told.differences.is_empty() {
            let _ = writeln!(out, "\n{:<22}{:>14}  {:>14}", "FIRST DIFFERENCES", "NOW", "WOULD BE");
        }
        for each in &told.differences {
            let _ =
                writeln!(out, "{:<22}{:>14}  {:>14}", moment(each.at), what_if_word(each.old), what_if_word(each.new));
        }
        strip(&mut out, &told.strip);
        out
    }

    fn figures(&self) -> Vec<(&'static str, [String; 2])> {
        let sides = [&self.comparison.old, &self.comparison.new];
        let has_base = sides.iter().any(|side| side.outcome.moves_to_base > 0);
        let mut figures = vec![("ring moves", sides.map(|s| s.outcome.moves.to_string()))];
        if has_base {
            figures.push(("moves to base", sides.map(|s| s.outcome.moves_to_base.to_string())));
        }
        figures.push(("quick repeats", sides.map(|s| s.outcome.quick_moves.to_string())));
        figures.push(("beyond the threshold", sides.map(|s| seconds(s.outcome.beyond_s))));
        figures.push(("requests an hour", sides.map(|s| format!("{:.2}", s.requests_per_hour))));
        if has_base {
            figures.push(("time at base", sides.map(|s| duration(s.at_base))));
        }
        if self.prices != Prices::default() {
            figures.push(("cost", sides.map(|s| format!("{:.2}", s.cost))));
        }
        figures
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

#[cfg(test)]
mod settings_tests {
    use super::*;
    use crate::core::policy::SiteRule;

    fn base() -> Settings {
        let (high, low) = (Bound { at: 50.0, tarry: 3 }, Bound { at: 1.0, tarry: 20 });
        Settings::new(Rule::Base { high, low }, Direction::LowerIsWorse)
    }

    fn schedule() -> Settings {
        let (high, low) = (Bound { at: 50.0, tarry: 3 }, Bound { at: 1.0, tarry: 20 });
        let hours = WorkingHours::parse("Mon-Fri 09:00-16:00", chrono_tz::Europe::Oslo).unwrap();
        Settings::new(Rule::Schedule { high, low, hours, resting: Resting::Off }, Direction::HigherIsWorse)
    }

    #[test]
    fn what_is_not_wanted_otherwise_is_the_vms_own() {
        let wanted = WantedSettings { low_tarry: Some(5), settle: Some(Span::ZERO), ..WantedSettings::default() };
        let own = Settings { direction: Direction::HigherIsWorse, stale_after: 7, ..base() };
        let new = wanted.over(&own).unwrap();
        assert_eq!(new.rule.low(), Some(Bound { at: 1.0, tarry: 5 }));
        assert_eq!((new.rule.high(), new.settle, new.stale_after), (own.rule.high(), Span::ZERO, 7));
        assert_eq!(WantedSettings::default().over(&schedule()).unwrap(), schedule());
    }

    #[test]
    fn other_hours_are_in_the_vms_own_zone() {
        let wanted = WantedSettings { hours: Some("Mon-Fri 08:00-12:00".to_owned()), ..WantedSettings::default() };
        let new = wanted.over(&schedule()).unwrap();
        let Rule::Schedule { hours, resting, .. } = new.rule else { panic!("{new:?}") };
        assert_eq!((hours.zone(), resting), (chrono_tz::Europe::Oslo, Resting::Off));
    }

    #[test]
    fn a_policy_may_become_another_one() {
        let threshold = Settings::new(Rule::Threshold { high: Bound { at: 50.0, tarry: 3 } }, Direction::HigherIsWorse);
        let wanted = WantedSettings { low_threshold: Some(1.0), low_tarry: Some(4), ..WantedSettings::default() };
        assert_eq!(wanted.over(&threshold).unwrap().rule.kind().word(), "base");
        let wanted = WantedSettings { hours: Some("09:00-16:00".to_owned()), ..wanted };
        assert_eq!(wanted.over(&threshold).unwrap().rule.kind().word(), "schedule");
    }

    #[test]
    fn what_cannot_be_is_said() {
        let threshold = Settings::new(Rule::Threshold { high: Bound { at: 50.0, tarry: 3 } }, Direction::HigherIsWorse);
        let said = |wanted: WantedSettings, own: &Settings| wanted.over(own).unwrap_err();
        let low = |at, tarry| WantedSettings { low_threshold: at, low_tarry: tarry, ..WantedSettings::default() };
        assert_eq!(said(low(Some(1.0), None), &threshold), HALF);
        assert_eq!(said(low(None, Some(1)), &threshold), HALF);
        let hours = WantedSettings { hours: Some("09:00-16:00".to_owned()), ..WantedSettings::default() };
        assert!(said(hours, &threshold).contains("--hours needs --low-threshold"));
        let crossed = WantedSettings { low_threshold: Some(60.0), ..WantedSettings::default() };
        assert!(said(crossed, &schedule()).contains("below"));
        let site = Settings::new(Rule::Site(SiteRule::new(2)), Direction::HigherIsWorse);
        assert!(said(WantedSettings::default(), &site).contains("queue in hand"));
    }
}

#[cfg(test)]
mod comparison_tests {
    use super::*;
    use crate::core::cluster::{Direction, Timestamp};
    use crate::core::insight::compare;
    use crate::core::policy::{Bound, Rule};

    const PRICES: Prices = Prices { ring: 0.2, base: 0.05 };

    fn said(format: impl Fn(&SideBySide<'_>) -> String) -> String {
        let values = [vec![60.0; 7], vec![30.0; 3], vec![0.0; 10]].concat();
        let at = |n: usize| Timestamp::from_secs(1_241_613_600 + 60 * n as i64);
        let recording = Recording::new(values.iter().enumerate().map(|(n, v)| (at(n), *v))).unwrap();
        let high = |at| Bound { at, tarry: 3 };
        let old = Settings::new(Rule::Threshold { high: high(50.0) }, Direction::HigherIsWorse);
        let rule = Rule::Base { high: high(70.0), low: Bound { at: 1.0, tarry: 4 } };
        let new = Settings { rule, ..old };
        let mut comparison = compare(&recording, &old, &new, PRICES).unwrap();
        comparison.strip = recording.strip(&new);
        format(&SideBySide { vm: "nii1", comparison, every: recording.median(), prices: PRICES })
    }

    #[test]
    fn old_and_new_stand_side_by_side() {
        let said = said(|compared| compared.table());
        let expected = "\
nii1, 2009-05-06T12:40:00Z to 2009-05-06T12:59:00Z
20 samples, one every 60 s, 0 missing

                                 NOW        WOULD BE
kind                     \"threshold\"          \"base\"
threshold                         50              70
low_threshold                      -               1
low_tarry                          -               4
ring moves                         2               0
moves to base                      0               1
quick repeats                      1               0
beyond the threshold           7 min             0 s
requests an hour                6.00            3.00
time at base                     0 s           7 min
cost                            0.07            0.05

FIRST DIFFERENCES                NOW        WOULD BE
2009-05-06T12:42:00Z           moves           stays
2009-05-06T12:45:00Z           moves           stays
2009-05-06T12:53:00Z           stays         to base

   threshold  tarry   moves
          56      3       2
";
        assert!(said.starts_with(expected), "{said}");
        assert!(said.ends_with("an estimate, not a promise\n"), "{said}");
    }

    #[test]
    fn json_has_both_sides_and_the_strip() {
        let said: serde_json::Value = serde_json::from_str(&said(|c| serde_json::to_string(c).unwrap())).unwrap();
        assert_eq!((&said["vm"], &said["from"]), (&"nii1".into(), &"2009-05-06T12:40:00.000Z".into()));
        let change = serde_json::json!({"key": "threshold", "now": "50", "would_be": "70"});
        assert_eq!(said["changes"][1], change);
        assert_eq!((&said["now"]["moves"], &said["would_be"]["moves_to_base"]), (&2.into(), &1.into()));
        assert_eq!(said["would_be"]["at_base_s"], 420.0);
        let first = serde_json::json!({"at": "2009-05-06T12:42:00.000Z", "now": "move", "would_be": "stay"});
        assert_eq!(said["differences"][0], first);
        assert_eq!(said["sensitivity"].as_array().map(Vec::len), Some(8));
    }
}
