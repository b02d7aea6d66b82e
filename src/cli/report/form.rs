//! What was done, as JSON and as CSV: keys and columns that stay (`docs/report.md`).

use std::fmt::Write;

use chrono::SecondsFormat;
use serde::Serialize;

use crate::core::cluster::{Span, Timestamp};
use crate::core::insight::{Activity, Hour, Stay, Times};

/// The begin of the hour at a place in [`Activity::hours`].
pub(super) fn hour(activity: &Activity, place: usize) -> Timestamp {
    activity.from + Span::from_hours(i64::try_from(place).unwrap_or(i64::MAX))
}

fn rfc3339(at: Timestamp) -> String {
    at.utc().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// One row an hour.
pub(super) fn csv(activity: &Activity) -> String {
    let mut out = "hour,requests,by_hand,confirmed,failed,blocked\n".to_owned();
    for (place, each) in activity.hours.iter().enumerate() {
        let Hour { requests, by_hand, confirmed, failed, blocked } = each;
        let at = rfc3339(hour(activity, place));
        // Writing into a String cannot fail.
        let _ = writeln!(out, "{at},{requests},{by_hand},{confirmed},{failed},{blocked}");
    }
    out
}

#[derive(Serialize)]
struct Report<'a> {
    from: String,
    to: String,
    vm: Option<&'a str>,
    hours: Vec<HourForm>,
    edits: Vec<EditForm<'a>>,
    hosts: Vec<HostForm<'a>>,
    times: Option<TimesForm>,
    stays: StaysForm,
}

#[derive(Serialize)]
struct HourForm {
    hour: String,
    requests: u32,
    by_hand: u32,
    confirmed: u32,
    failed: u32,
    blocked: u32,
}

#[derive(Serialize)]
struct EditForm<'a> {
    at: String,
    vm: Option<&'a str>,
    text: &'a str,
}

#[derive(Serialize)]
struct HostForm<'a> {
    host: &'a str,
    vms: Vec<f64>,
}

#[derive(Serialize)]
struct TimesForm {
    count: usize,
    mean_s: f64,
    median_s: f64,
    least_s: f64,
    most_s: f64,
}

#[derive(Serialize)]
struct StaysForm {
    ring: StayForm,
    rest: StayForm,
    base: StayForm,
    away: StayForm,
    total: StayForm,
}

#[derive(Serialize)]
struct StayForm {
    hours: f64,
    cost: f64,
}

/// Six digits: below them sums of halves and thirds are noise.
fn rounded(v: f64) -> f64 {
    (v * 1e6).round() / 1e6
}

impl From<Stay> for StayForm {
    fn from(stay: Stay) -> Self {
        Self { hours: rounded(stay.hours), cost: rounded(stay.cost) }
    }
}

impl From<Times> for TimesForm {
    fn from(times: Times) -> Self {
        let Times { count, mean, median, least, most } = times;
        let [mean_s, median_s, least_s, most_s] = [mean, median, least, most].map(Span::secs_f64);
        Self { count, mean_s, median_s, least_s, most_s }
    }
}

/// One object, and a line's end.
pub(super) fn json(activity: &Activity, vm: Option<&str>) -> serde_json::Result<String> {
    let each = |(place, each): (usize, &Hour)| {
        let Hour { requests, by_hand, confirmed, failed, blocked } = *each;
        HourForm { hour: rfc3339(hour(activity, place)), requests, by_hand, confirmed, failed, blocked }
    };
    let edits = activity.edits.iter().map(|edit| EditForm {
        at: edit.at.rfc3339(),
        vm: Some(&*edit.vm).filter(|vm| !vm.is_empty()),
        text: &edit.text,
    });
    let hosts = activity
        .hosts
        .iter()
        .map(|on| HostForm { host: &on.host, vms: on.vms.iter().map(|vms| rounded(f64::from(*vms))).collect() });
    let stays = activity.stays;
    let report = Report {
        from: rfc3339(activity.from),
        to: activity.to.rfc3339(),
        vm,
        hours: activity.hours.iter().enumerate().map(each).collect(),
        edits: edits.collect(),
        hosts: hosts.collect(),
        times: activity.times.map(TimesForm::from),
        stays: StaysForm {
            ring: stays.ring.into(),
            rest: stays.rest.into(),
            base: stays.base.into(),
            away: stays.away.into(),
            total: stays.total().into(),
        },
    };
    Ok(serde_json::to_string(&report)? + "\n")
}
