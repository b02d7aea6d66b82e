//! `whimbrel whatif`: what settings would have done over recorded samples.

mod compared;
mod table;
mod wanted;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use color_eyre::eyre::{Result, WrapErr, eyre};
use serde::Serialize;

use crate::core::cluster::{Direction, Span, in_words};
use crate::core::insight::{Outcome, Prices, Recording, Variant, compare};
use crate::edge::recording;
use crate::runtime::steady_clock;

use super::{load, past, refuse};
use compared::Compared;
use wanted::Wanted;

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
pub(super) struct WhatIf {
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
    wanted: Wanted,
    /// Which way is worse [default: higher; of a config's VM its own]
    #[arg(long, value_enum, conflicts_with = "config")]
    direction: Option<Worse>,
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

/// What was asked, and what came of it: the text, or why there is none.
type Said = Result<Result<String, ExitCode>>;

impl WhatIf {
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

    fn over_file(&self, csv: &Path) -> Said {
        let recording = match recording::load(csv) {
            Ok(recording) => recording,
            Err(error) => return Ok(Err(refuse(&error.to_string()))),
        };
        let direction = match self.direction {
            None | Some(Worse::Higher) => Direction::HigherIsWorse,
            Some(Worse::Lower) => Direction::LowerIsWorse,
        };
        let settings = match self.wanted.alone(direction) {
            Ok(settings) => settings,
            Err(why) => return Ok(Err(refuse(&format!("error: {why}")))),
        };
        let answer = Answer { outcome: recording.replay(&settings), sensitivity: recording.strip(&settings) };
        Ok(Ok(match self.format {
            Format::Json => serde_json::to_string(&answer)? + "\n",
            Format::Table => table::table(&answer.outcome, &answer.sensitivity, &recording, &settings),
        }))
    }

    fn over_history(&self, config: &Path, name: &str) -> Said {
        let config = match load(config) {
            Ok(config) => config,
            Err(code) => return Ok(Err(code)),
        };
        let vm = match past::vm(&config, name) {
            Ok(vm) => vm,
            Err(why) => return Ok(Err(refuse(&why))),
        };
        let old = &config.cluster.vm(vm).policy;
        let new = match self.wanted.over(old) {
            Ok(new) => new,
            Err(why) => return Ok(Err(refuse(&format!("error: {name}: {why}")))),
        };
        let past = past::Past::of(&config)?;
        let (to, back) = (steady_clock(), Span::from_hours(24 * i64::from(self.days.unwrap_or(DAYS))));
        let entries = past.reader.readings(name, to - back, to).wrap_err("the history cannot be read")?;
        let recording = Recording::of_entries(&entries).ok_or_else(|| {
            let (file, span) = (past.path.display(), in_words(back));
            eyre!("{file}: no sample of {name} within {span}\nhelp: let whimbrel run for a while, or give more --days")
        })?;
        let prices = Prices::of(&config.cluster, vm);
        let mut comparison = compare(&recording, old, &new, prices)?;
        comparison.strip = recording.strip(&new);
        let compared = Compared { vm: name, recording: &recording, old, new: &new, prices, comparison: &comparison };
        Ok(Ok(match self.format {
            Format::Json => compared.json()?,
            Format::Table => compared.table(),
        }))
    }
}
