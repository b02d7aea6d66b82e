//! What was done, as an operator reads it.

use std::fmt::Write;

use super::form::hour;
use crate::core::cluster::{Span, Timestamp, in_words};
use crate::core::insight::{Activity, Hour, OnHost, Stay};

/// The longest bar of the histogram, in characters.
const BAR: u32 = 40;

/// `whose`: what the report is of, in words.
pub(super) fn table(activity: &Activity, whose: &str) -> String {
    let mut out = String::new();
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
    for (place, each) in activity.hours.iter().enumerate() {
        let begin = hour(activity, place);
        let bar = "#".repeat(scaled(asked(each), most));
        let line = format!("{:<16} {} {bar}", minute(begin), counts(each));
        let _ = writeln!(out, "{}", line.trim_end());
        let end = begin + Span::from_hours(1);
        for edit in activity.edits.iter().filter(|edit| (begin..end).contains(&edit.at)) {
            let vm = if edit.vm.is_empty() { String::new() } else { format!("{}: ", edit.vm) };
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
    let Hour { requests, by_hand, confirmed, failed, blocked } = hour;
    format!("{requests:>8} {by_hand:>7} {confirmed:>9} {failed:>6} {blocked:>7}")
}

/// Any request shows; one of few is one character.
fn scaled(requests: u32, most: u32) -> usize {
    let scaled =
        if most <= BAR { requests } else { (u64::from(requests) * u64::from(BAR)).div_ceil(u64::from(most)) as u32 };
    scaled as usize
}

fn hosts(out: &mut String, hosts: &[OnHost]) {
    if hosts.is_empty() {
        return;
    }
    let width = hosts.iter().map(|on| on.host.chars().count()).max().unwrap_or_default().max(16);
    let _ = writeln!(out, "\n{:<width$} {:>8} {:>7} {:>9}", "VMS ON", "MEAN", "LEAST", "MOST");
    // Hours before the first that anything is known of are no hours without VMs.
    let known = |on: &OnHost| on.vms.iter().position(|vms| *vms > 0.0);
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
    let s = |span: Span| if span < Span::from_mins(2) { format!("{:.1} s", span.secs_f64()) } else { in_words(span) };
    let said = [s(times.mean), s(times.median), s(times.least), s(times.most)];
    let [mean, median, least, most] = said;
    let _ = writeln!(
        out,
        "\n{} confirmed migration{} took {mean} in the mean, {median} in the median, {least} to {most}",
        times.count,
        if times.count == 1 { "" } else { "s" }
    );
}

fn stays(out: &mut String, activity: &Activity) {
    let stays = activity.stays;
    let total = stays.total();
    if total == Stay::default() {
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
    for (place, stay) in all.into_iter().filter(|(_, stay)| *stay != Stay::default()) {
        let _ = writeln!(out, "{place:<16} {:>8.2} {:>10.2}", stay.hours, stay.cost);
    }
}
