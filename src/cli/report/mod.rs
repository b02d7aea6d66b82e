//! `whimbrel report`: what was done over a span, from the history.

mod form;
mod table;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use color_eyre::eyre::{Result, WrapErr};

use crate::core::cluster::{Span, Timestamp};
use crate::core::insight::{Activity, Story, Told, activity, whole_hour};
use crate::core::policy::Rule;
use crate::edge::config::Config;
use crate::edge::history::{HistoryError, Order, Reader};
use crate::runtime::steady_clock;

use super::{load, past, refuse, span};

/// How far back a report looks unless told.
const SINCE: Span = Span::from_hours(48);
/// The state a VM was in is among the last few things that were told of it.
const LAST_WORDS: usize = 32;

/// UiCommand what was done: requests an hour, edits, VMs on hosts, migration times, hours and their cost
///
/// Read from the config's history, also while an engine writes it. Hours are whole hours of UTC. The Activity screen (`v`
/// in the console) shows the same. docs/report.md explains the JSON and the CSV.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// The config
    config: PathBuf,
    /// So far back: 6h, 48h, 7d [default: 48h]
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    since: Option<Span>,
    /// Of this VM alone
    #[arg(long, value_name = "NAME")]
    vm: Option<String>,
    /// What standard output gets
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What standard output gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
    Csv,
}

impl Report {
    pub(super) fn run(self) -> Result<ExitCode> {
        let config = match load(&self.config) {
            Ok(config) => config,
            Err(code) => return Ok(code),
        };
        let vm = self.vm.as_deref();
        if let Some(Err(why)) = vm.map(|name| past::vm(&config, name)) {
            return Ok(refuse(&why));
        }
        let past = past::Past::of(&config)?;
        let to = steady_clock();
        let from = whole_hour(to - self.since.unwrap_or(SINCE));
        let done = read(&past.reader, &config, vm, from, to).wrap_err("the history cannot be read")?;
        let text = report(&done, vm, self.format)?;
        io::stdout().write_all(text.as_bytes()).wrap_err("standard output cannot be written")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What the history knows of a span, of the VMs the config has: when another one left is not known.
fn read(
    reader: &Reader,
    config: &Config,
    vm: Option<&str>,
    from: Timestamp,
    to: Timestamp,
) -> Result<Activity, HistoryError> {
    let mut told = rests_before(reader, config, from)?;
    told.extend(reader.told(vm, from, to, Order::OldestFirst, usize::MAX)?);
    let mut placed = reader.placed(from, to)?;
    placed.retain(|one| config.cluster.vm_named(&one.vm).is_some());
    Ok(activity(&told, &placed, from, to, vm))
}

/// The state each VM with working hours was in at an instant, oldest first: a rest may have begun long before.
fn rests_before(reader: &Reader, config: &Config, at: Timestamp) -> Result<Vec<Told>, HistoryError> {
    let mut states = Vec::new();
    for vm in config.cluster.vms.iter().filter(|vm| matches!(vm.policy.rule, Rule::Schedule { .. })) {
        let newest = reader.told(Some(&vm.name), Timestamp::default(), at, Order::NewestFirst, LAST_WORDS)?;
        states.extend(newest.into_iter().find(|one| matches!(one.what, Story::State { .. })));
    }
    states.sort_by_key(|one| one.at);
    Ok(states)
}

/// What was done, of a VM or of the whole cluster.
fn report(activity: &Activity, vm: Option<&str>, format: Format) -> serde_json::Result<String> {
    match format {
        Format::Table => Ok(table::table(activity, vm.unwrap_or("all VMs"))),
        Format::Json => form::json(activity, vm),
        Format::Csv => Ok(form::csv(activity)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::cluster::{Span, Timestamp};
    use crate::core::insight::{Edited, Hour, OnHost, Stay, Stays, Times};

    const BEGIN: Timestamp = Timestamp::from_secs(1_241_611_200);

    fn activity() -> Activity {
        let hour =
            |requests, by_hand, confirmed, failed, blocked| Hour { requests, by_hand, confirmed, failed, blocked };
        let (at, vm) = (BEGIN + Span::from_mins(95), Arc::from("nii1"));
        let secs = Span::from_secs;
        Activity {
            from: BEGIN,
            to: BEGIN + Span::from_mins(150),
            hours: vec![hour(14, 1, 13, 2, 3), hour(7, 0, 7, 0, 0), Hour::default()],
            edits: vec![Edited { at, vm, text: "threshold 20 → 50".to_owned() }],
            hosts: vec![
                OnHost { host: Arc::from("mln1"), vms: vec![1.0, 0.5, 0.0] },
                OnHost { host: Arc::from("mln2"), vms: vec![0.0, 0.5, 1.0] },
            ],
            times: Some(Times { count: 20, mean: secs(9), median: secs(8), least: secs(5), most: secs(190) }),
            stays: Stays {
                ring: Stay { hours: 2.0, cost: 0.4 },
                rest: Stay { hours: 0.25, cost: 0.02 },
                base: Stay { hours: 0.25, cost: 0.01 },
                away: Stay::default(),
            },
        }
    }

    #[test]
    fn the_table_is_a_histogram_with_its_edits_and_what_it_cost() {
        let said = report(&activity(), Some("nii1"), Format::Table).unwrap();
        let expected = "\
nii1, 2009-05-06 12:00 to 2009-05-06 14:30 UTC

HOUR             REQUESTS BY HAND CONFIRMED FAILED BLOCKED
2009-05-06 12:00       14       1        13      2       3 ###############
2009-05-06 13:00        7       0         7      0       0 #######
           13:35 nii1: threshold 20 → 50
2009-05-06 14:00        0       0         0      0       0
ALL                    21       1        20      2       3

VMS ON               MEAN   LEAST      MOST
mln1                 0.50    0.00      1.00
mln2                 0.50    0.00      1.00

20 confirmed migrations took 9.0 s in the mean, 8.0 s in the median, 5.0 s to 4 min

VM-HOURS            HOURS       COST
in the ring          2.00       0.40
at base, resting     0.25       0.02
at base              0.25       0.01
all                  2.50       0.43
";
        assert_eq!(said, expected, "\n{said}");
    }

    #[test]
    fn hours_before_the_history_are_no_hours_without_vms() {
        let hosts = vec![OnHost { host: Arc::from("mln1"), vms: vec![0.0, 0.0, 2.0] }];
        let times = activity().times.map(|times| Times { count: 1, ..times });
        let said = report(&Activity { hosts, times, ..activity() }, None, Format::Table).unwrap();
        assert!(said.contains("\nmln1                 2.00    2.00      2.00\n"), "{said}");
        assert!(said.contains("\n1 confirmed migration took "), "{said}");
    }

    #[test]
    fn the_bars_of_a_busy_cluster_fit_and_every_request_shows() {
        let busy = |requests| Hour { requests, ..Hour::default() };
        let activity = Activity { hours: vec![busy(4_000), busy(1), busy(2_000)], ..activity() };
        let said = report(&activity, None, Format::Table).unwrap();
        let bars: Vec<usize> = said.lines().skip(3).take(4).map(|line| line.matches('#').count()).collect();
        assert_eq!(bars, [40, 1, 0, 20], "{said}");
    }

    #[test]
    fn nothing_done_is_said_in_full() {
        let said = report(&Activity::default(), None, Format::Table).unwrap();
        assert!(said.starts_with("all VMs, ") && said.contains("\nALL                     0       0"), "{said}");
        assert!(!said.contains("VM-HOURS") && !said.contains("took"), "{said}");
    }

    #[test]
    fn csv_is_a_row_an_hour() {
        let expected = "\
hour,requests,by_hand,confirmed,failed,blocked
2009-05-06T12:00:00Z,14,1,13,2,3
2009-05-06T13:00:00Z,7,0,7,0,0
2009-05-06T14:00:00Z,0,0,0,0,0
";
        assert_eq!(report(&activity(), None, Format::Csv).unwrap(), expected);
    }

    #[test]
    fn json_has_keys_that_stay() {
        let said = report(&activity(), Some("nii1"), Format::Json).unwrap();
        let expected = concat!(
            r#"{"from":"2009-05-06T12:00:00Z","to":"2009-05-06T14:30:00.000Z","vm":"nii1","hours":["#,
            r#"{"hour":"2009-05-06T12:00:00Z","requests":14,"by_hand":1,"confirmed":13,"failed":2,"blocked":3},"#,
            r#"{"hour":"2009-05-06T13:00:00Z","requests":7,"by_hand":0,"confirmed":7,"failed":0,"blocked":0},"#,
            r#"{"hour":"2009-05-06T14:00:00Z","requests":0,"by_hand":0,"confirmed":0,"failed":0,"blocked":0}],"#,
            r#""edits":[{"at":"2009-05-06T13:35:00.000Z","vm":"nii1","text":"threshold 20 → 50"}],"#,
            r#""hosts":[{"host":"mln1","vms":[1.0,0.5,0.0]},{"host":"mln2","vms":[0.0,0.5,1.0]}],"#,
            r#""times":{"count":20,"mean_s":9.0,"median_s":8.0,"least_s":5.0,"most_s":190.0},"#,
            r#""stays":{"ring":{"hours":2.0,"cost":0.4},"rest":{"hours":0.25,"cost":0.02},"#,
            r#""base":{"hours":0.25,"cost":0.01},"away":{"hours":0.0,"cost":0.0},"#,
            r#""total":{"hours":2.5,"cost":0.43}}}"#,
            "\n",
        );
        assert_eq!(said, expected);
        let cluster = report(&Activity::default(), None, Format::Json).unwrap();
        assert!(cluster.contains(r#""vm":null,"hours":[],"#) && cluster.contains(r#""times":null"#), "{cluster}");
    }
}
