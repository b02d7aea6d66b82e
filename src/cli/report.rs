//! `whimbrel report`: what was done over a span, from the history, as a table, as JSON and as CSV. Keys and columns stay
//! (`docs/report.md`).

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::SecondsFormat;
use clap::{Args, ValueEnum};
use color_eyre::eyre::{Result, WrapErr};

use super::{load, open_history, refuse, span, vm_named};
use crate::core::cluster::{Span, Timestamp};
use crate::core::engine::{Happened, Record};
use crate::core::format::{counted, measured};
use crate::core::insight::{Activity, HostOccupancy, Hour, HoursAndCost, activity, whole_hour};
use crate::core::policy::Rule;
use crate::edge::config::Config;
use crate::edge::history::{HistoryError, Order, Reader};
use crate::runtime::steady_clock;

/// How far back a report looks unless told.
const SINCE: Span = Span::from_hours(48);
/// The state a VM was in is among the last few things that were told of it.
const LAST_WORDS: usize = 32;

/// Say what was done: requests an hour, edits, VMs on hosts, migration times, hours and their cost
///
/// Read from the config's history, also while an engine writes it. Hours are whole hours of UTC. The Activity screen (`v`
/// in the console) shows the same. docs/report.md explains the JSON and the CSV.
#[derive(Debug, Args)]
pub(super) struct ReportCommand {
    /// The config
    config: PathBuf,
    /// So far back: 6h, 48h, 7d [default: 48h]
    #[arg(long, value_name = "SPAN", value_parser = span)]
    since: Option<Span>,
    /// Of this VM alone
    #[arg(long, value_name = "NAME")]
    vm: Option<String>,
    /// What standard output gets
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
}

/// What standard output gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum ReportFormat {
    #[default]
    Table,
    Json,
    Csv,
}

impl ReportCommand {
    pub(super) fn run(self) -> Result<ExitCode> {
        let config = match load(&self.config) {
            Ok(config) => config,
            Err(code) => return Ok(code),
        };
        let vm = self.vm.as_deref();
        if let Some(Err(why)) = vm.map(|name| vm_named(&config, name)) {
            return Ok(refuse(&why));
        }
        let reader = open_history(&config)?;
        let to = steady_clock();
        let from = whole_hour(to - self.since.unwrap_or(SINCE));
        let done = read(&reader, &config, vm, from, to).wrap_err("the history cannot be read")?;
        let text = report(&done, self.format)?;
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
    told.extend(reader.records(vm, from, to, Order::OldestFirst, usize::MAX)?);
    let mut placed = reader.placed(from, to)?;
    placed.retain(|one| config.cluster.vm_named(&one.vm).is_some());
    Ok(activity(&told, &placed, from, to, vm))
}

/// The state each VM with working hours was in at an instant, oldest first: a rest may have begun long before.
fn rests_before(reader: &Reader, config: &Config, at: Timestamp) -> Result<Vec<Record>, HistoryError> {
    let mut states = Vec::new();
    for vm in config.cluster.vms.iter().filter(|vm| matches!(vm.policy.rule, Rule::Schedule { .. })) {
        let newest = reader.records(Some(&vm.name), Timestamp::default(), at, Order::NewestFirst, LAST_WORDS)?;
        states.extend(newest.into_iter().find(|one| matches!(one.what, Happened::State { .. })));
    }
    states.sort_by_key(|one| one.at);
    Ok(states)
}

/// What was done, of a VM or of the whole cluster.
fn report(activity: &Activity, format: ReportFormat) -> serde_json::Result<String> {
    match format {
        ReportFormat::Table => Ok(table(activity)),
        ReportFormat::Json => Ok(serde_json::to_string(activity)? + "\n"),
        ReportFormat::Csv => Ok(csv(activity)),
    }
}

/// One row for each hour.
fn csv(activity: &Activity) -> String {
    let mut out = "hour,requests,by_hand,confirmed,failed,blocked\n".to_owned();
    for Hour { begin, requests, by_hand, confirmed, failed, blocked } in &activity.hours {
        let at = begin.utc().to_rfc3339_opts(SecondsFormat::Secs, true);
        // Writing into a String cannot fail.
        let _ = writeln!(out, "{at},{requests},{by_hand},{confirmed},{failed},{blocked}");
    }
    out
}

/// The longest bar of the histogram, in characters.
const BAR: u32 = 40;

fn table(activity: &Activity) -> String {
    let mut out = String::new();
    let whose = activity.vm.as_deref().unwrap_or("all VMs");
    // Writing into a String cannot fail.
    let _ = writeln!(out, "{whose}, {} to {} UTC\n", minute(activity.from), minute(activity.to));
    histogram(&mut out, activity);
    hosts(&mut out, &activity.hosts);
    times(&mut out, activity);
    stays(&mut out, activity);
    out
}

fn minute(at: Timestamp) -> String {
    at.utc().format("%Y-%m-%d %H:%M").to_string()
}

/// A bar an hour of everything that was asked for; edits stand under the hour in which they were made.
fn histogram(out: &mut String, activity: &Activity) {
    let _ = writeln!(
        out,
        "{:<16} {:>8} {:>7} {:>9} {:>6} {:>7}",
        "HOUR", "REQUESTS", "BY HAND", "CONFIRMED", "FAILED", "BLOCKED"
    );
    let asked = |hour: &Hour| hour.requests + hour.by_hand;
    let most = activity.hours.iter().map(asked).max().unwrap_or_default();
    for hour in &activity.hours {
        let bar = "#".repeat(scaled(asked(hour), most));
        let line = format!("{:<16} {} {bar}", minute(hour.begin), counts(hour));
        let _ = writeln!(out, "{}", line.trim_end());
        let end = hour.begin + Span::from_hours(1);
        for edit in activity.edits.iter().filter(|edit| (hour.begin..end).contains(&edit.at)) {
            let vm = edit.vm.as_ref().map_or_else(String::new, |vm| format!("{vm}: "));
            let _ = writeln!(out, "{:>16} {vm}{}", edit.at.utc().format("%H:%M"), edit.text);
        }
    }
    let mut all = Hour::default();
    for each in &activity.hours {
        all.requests += each.requests;
        all.by_hand += each.by_hand;
        all.confirmed += each.confirmed;
        all.failed += each.failed;
        all.blocked += each.blocked;
    }
    let _ = writeln!(out, "{:<16} {}", "ALL", counts(&all));
}

fn counts(hour: &Hour) -> String {
    let Hour { requests, by_hand, confirmed, failed, blocked, .. } = hour;
    format!("{requests:>8} {by_hand:>7} {confirmed:>9} {failed:>6} {blocked:>7}")
}

/// Any request shows; one of few is one character.
fn scaled(requests: u32, most: u32) -> usize {
    let scaled =
        if most <= BAR { requests } else { (u64::from(requests) * u64::from(BAR)).div_ceil(u64::from(most)) as u32 };
    scaled as usize
}

fn hosts(out: &mut String, hosts: &[HostOccupancy]) {
    if hosts.is_empty() {
        return;
    }
    let width = hosts.iter().map(|on| on.host.chars().count()).max().unwrap_or_default().max(16);
    let _ = writeln!(out, "\n{:<width$} {:>8} {:>7} {:>9}", "VMS ON", "MEAN", "LEAST", "MOST");
    // Before the first hour with a VM the history knows nothing: those hours do not count.
    let known = |on: &HostOccupancy| on.vms.iter().position(|vms| *vms > 0.0);
    let begins = hosts.iter().filter_map(known).min().unwrap_or_default();
    for on in hosts {
        let vms = || on.vms.iter().copied().skip(begins);
        let mean = vms().sum::<f32>() / vms().count().max(1) as f32;
        let (least, most) = (vms().fold(f32::MAX, f32::min), vms().fold(0.0, f32::max));
        let _ = writeln!(out, "{:<width$} {mean:>8.2} {least:>7.2} {most:>9.2}", on.host);
    }
}

fn times(out: &mut String, activity: &Activity) {
    let Some(times) = activity.times else { return };
    let [mean, median, least, most] = [times.mean, times.median, times.least, times.most].map(measured);
    let _ = writeln!(
        out,
        "\n{} took {mean} in the mean, {median} in the median, {least} to {most}",
        counted(times.count, "confirmed migration", "confirmed migrations")
    );
}

fn stays(out: &mut String, activity: &Activity) {
    let stays = activity.stays;
    let total = stays.total();
    if total == HoursAndCost::default() {
        return;
    }
    let _ = writeln!(out, "\n{:<16} {:>8} {:>10}", "VM-HOURS", "HOURS", "COST");
    let all = [
        ("in the ring", stays.ring),
        ("at base, resting", stays.rest),
        ("at base", stays.base),
        ("away", stays.away),
        ("all", total),
    ];
    for (place, stay) in all.into_iter().filter(|(_, stay)| *stay != HoursAndCost::default()) {
        let _ = writeln!(out, "{place:<16} {:>8.2} {:>10.2}", stay.hours, stay.cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::{Span, Timestamp};
    use crate::core::insight::{EditedSetting, HostOccupancy, Hour, HoursAndCost, MigrationTimes, Occupancy};

    const BEGIN: Timestamp = Timestamp::from_secs(1_241_611_200);

    fn activity() -> Activity {
        let begin = |n| BEGIN + Span::from_hours(n);
        let first = Hour { begin: begin(0), requests: 14, by_hand: 1, confirmed: 13, failed: 2, blocked: 3 };
        let second = Hour { begin: begin(1), requests: 7, confirmed: 7, ..Hour::default() };
        let (at, vm) = (BEGIN + Span::from_mins(95), Some("nii1".into()));
        let secs = Span::from_secs;
        Activity {
            from: BEGIN,
            to: BEGIN + Span::from_mins(150),
            vm: vm.clone(),
            hours: vec![first, second, Hour { begin: begin(2), ..Hour::default() }],
            edits: vec![EditedSetting { at, vm, text: "threshold 20 → 50".to_owned() }],
            hosts: vec![
                HostOccupancy { host: "mln1".into(), vms: vec![1.0, 0.5, 0.0] },
                HostOccupancy { host: "mln2".into(), vms: vec![0.0, 0.5, 1.0] },
            ],
            times: Some(MigrationTimes { count: 20, mean: secs(9), median: secs(8), least: secs(5), most: secs(190) }),
            stays: Occupancy {
                ring: HoursAndCost { hours: 2.0, cost: 0.4 },
                rest: HoursAndCost { hours: 0.25, cost: 0.02 },
                base: HoursAndCost { hours: 0.25, cost: 0.01 },
                away: HoursAndCost::default(),
            },
        }
    }

    #[test]
    fn the_table_is_a_histogram_with_its_edits_and_what_it_cost() {
        let said = report(&activity(), ReportFormat::Table).unwrap();
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

20 confirmed migrations took 9 s in the mean, 8 s in the median, 5 s to 3 min 10 s

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
        let hosts = vec![HostOccupancy { host: "mln1".into(), vms: vec![0.0, 0.0, 2.0] }];
        let times = activity().times.map(|times| MigrationTimes { count: 1, ..times });
        let said = report(&Activity { hosts, times, ..activity() }, ReportFormat::Table).unwrap();
        assert!(said.contains("\nmln1                 2.00    2.00      2.00\n"), "{said}");
        assert!(said.contains("\n1 confirmed migration took "), "{said}");
    }

    #[test]
    fn the_bars_of_a_busy_cluster_fit_and_every_request_shows() {
        let hours = activity().hours.into_iter().zip([4_000, 1, 2_000]);
        let hours = hours.map(|(hour, requests)| Hour { requests, by_hand: 0, ..hour }).collect();
        let activity = Activity { hours, ..activity() };
        let said = report(&activity, ReportFormat::Table).unwrap();
        let bars: Vec<usize> = said.lines().skip(3).take(4).map(|line| line.matches('#').count()).collect();
        assert_eq!(bars, [40, 1, 0, 20], "{said}");
    }

    #[test]
    fn nothing_done_is_said_in_full() {
        let said = report(&Activity::default(), ReportFormat::Table).unwrap();
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
        assert_eq!(report(&activity(), ReportFormat::Csv).unwrap(), expected);
    }

    #[test]
    fn json_has_keys_that_stay() {
        let said = report(&activity(), ReportFormat::Json).unwrap();
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
        let cluster = report(&Activity::default(), ReportFormat::Json).unwrap();
        assert!(cluster.contains(r#""vm":null,"hours":[],"#) && cluster.contains(r#""times":null"#), "{cluster}");
    }
}
