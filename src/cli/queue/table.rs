//! A queue as lines for people. Names and errors come from files of others: they are made harmless for a terminal.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use super::told::{Eta, ToldClaim, ToldGrade, ToldOverview, ToldPage, ToldQueue, ToldState, ToldWorker};
use crate::core::cluster::{Span, Timestamp};
use crate::core::format::{age, counted, duration, one_line};

/// Characters of a name, and of a sentence.
const NAME: usize = 60;
const SENTENCE: usize = 300;

/// The whole queue.
pub(super) fn table(queue: &ToldQueue) -> String {
    let mut out = String::new();
    let head = format!("{} ({})", queue.name, queue.source);
    match &queue.state {
        ToldState::Unread { trouble } => push(&mut out, &format!("{head}: {}", one_line(trouble, SENTENCE))),
        ToldState::Read(read) => {
            let finished = counted(read.done, "page is done", "pages are done");
            let waiting = counted(read.waiting, "page waits", "pages wait");
            push(&mut out, &format!("{head}: {waiting}, {} claimed, {finished}", read.claims.len()));
            pages(&mut out, read);
            claims(&mut out, read);
            workers(&mut out, read);
            set_aside(&mut out, read);
        }
    }
    out
}

/// Writes a line; writing into a String cannot fail.
fn push(out: &mut String, line: &str) {
    let _ = writeln!(out, "{}", line.trim_end());
}

/// Rows under their heads, each column as wide as its widest cell; the last one has no width.
fn rows<const N: usize>(out: &mut String, heads: [&str; N], rows: &[[String; N]]) {
    if rows.is_empty() {
        return;
    }
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(|column| width(column).max(heads[column].width())).collect();
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| {
            let blanks = width.saturating_sub(cell.width());
            format!("  {cell}{:blanks$}", "")
        });
        padded.collect::<String>()
    };
    push(out, "");
    push(out, &line(heads));
    for row in rows {
        push(out, &line(std::array::from_fn(|column| row[column].as_str())));
    }
}

fn pages(out: &mut String, read: &ToldOverview) {
    let row = |page: &ToldPage| {
        let name = one_line(&page.name, NAME);
        let since = page.since.map_or_else(|| "-".to_owned(), |since| age(read.now.since(since.0)));
        let jobs = page.jobs.map_or_else(|| "?".to_owned(), |jobs| jobs.to_string());
        let grades = page.grades.as_deref().map_or_else(String::new, by_grade);
        let name = if page.returned { format!("{name} (returned)") } else { name };
        [name, since, jobs, grades, one_line(&page.waits.text, SENTENCE)]
    };
    rows(out, ["PAGE", "SINCE", "JOBS", "BY GRADE", "WHY IT WAITS"], &read.pages.iter().map(row).collect::<Vec<_>>());
    let more = (read.waiting as usize).saturating_sub(read.pages.len());
    if more > 0 {
        push(out, &format!("  and {more} more"));
    }
    for refused in &read.refused {
        let (name, reason) = (one_line(&refused.name, NAME), one_line(&refused.reason, SENTENCE));
        push(out, &format!("  {name} is not worked: {reason}"));
    }
}

/// `2 grade a, 3 grade b`.
fn by_grade(grades: &[ToldGrade]) -> String {
    const SHOWN: usize = 4;
    let grade = |ToldGrade { grade, jobs }: &ToldGrade| match one_line(grade, NAME) {
        grade if grade.is_empty() => format!("{jobs} without a grade"),
        grade => format!("{jobs} {grade}"),
    };
    let more = if grades.len() > SHOWN { ", …" } else { "" };
    grades.iter().take(SHOWN).map(grade).collect::<Vec<_>>().join(", ") + more
}

fn claims(out: &mut String, read: &ToldOverview) {
    let row = |claim: &ToldClaim| {
        let left = claim.left.iter().map(|grade| grade.jobs).sum::<u32>();
        let page = one_line(&claim.page, NAME);
        let trouble = claim.trouble.as_ref().map(|trouble| one_line(trouble, SENTENCE));
        [
            one_line(&claim.name, NAME),
            page,
            format!("{}/{}", claim.done, claim.jobs),
            claim.failed.to_string(),
            left.to_string(),
            in_hand(claim, read.now),
            trouble.unwrap_or_else(|| eta(claim)),
        ]
    };
    let heads = ["CLAIM", "PAGE", "DONE", "SET ASIDE", "LEFT", "IN HAND", "TAKES"];
    rows(out, heads, &read.claims.iter().map(row).collect::<Vec<_>>());
}

fn in_hand(claim: &ToldClaim, now: Timestamp) -> String {
    let Some(first) = claim.hand.iter().min_by_key(|hand| hand.since) else { return "-".to_owned() };
    let attempt = if first.attempt > 1 { format!(", try {}", first.attempt) } else { String::new() };
    let more = claim.hand.len() - 1;
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("job {} for {}{attempt}{more}", first.job, age(now.since(first.since)))
}

fn eta(claim: &ToldClaim) -> String {
    let words = |seconds: f64| duration(Span::from_secs_f64(seconds));
    match (claim.eta, &claim.eta_unknown) {
        (Some(Eta { low, middle, high }), _) if low == high => format!("{} more", words(middle)),
        (Some(Eta { low, middle, high }), _) => {
            format!("{} more ({} to {})", words(middle), words(low), words(high))
        }
        (None, Some(why)) => format!("unknown: {}", one_line(why, SENTENCE)),
        (None, None) => "unknown".to_owned(),
    }
}

fn workers(out: &mut String, read: &ToldOverview) {
    let row = |worker: &ToldWorker| {
        let seen = worker.beat.map_or_else(|| "-".to_owned(), |beat| age(read.now.since(beat.0)));
        let site = one_line(worker.site.as_deref().unwrap_or("-"), NAME);
        [one_line(&worker.vm, NAME), worker.state.word().to_owned(), site, seen, orders(worker, read.now)]
    };
    rows(out, ["WORKER", "STATE", "SITE", "SEEN", ""], &read.workers.iter().map(row).collect::<Vec<_>>());
}

/// What is asked of a worker, and what keeps it from working.
fn orders(worker: &ToldWorker, now: Timestamp) -> String {
    let mut parts = Vec::new();
    for (order, does) in [(&worker.paused, "paused by"), (&worker.engine, "claims nothing, asked by")] {
        let Some(order) = order else { continue };
        let until = order.until.map_or_else(String::new, |until| format!(" for {} more", duration(until.since(now))));
        let why = if order.why.is_empty() { String::new() } else { format!(": {}", order.why) };
        parts.push(format!("{does} {}{until}{why}", order.by));
    }
    if worker.alive && !worker.obeys && !parts.is_empty() {
        parts.push("it has not confirmed that yet".to_owned());
    }
    parts.extend(worker.trouble.as_ref().map(|trouble| format!("cannot work: {trouble}")));
    one_line(&parts.join("; "), SENTENCE)
}

/// Which jobs were set aside, and how they are tried again.
fn set_aside(out: &mut String, read: &ToldOverview) {
    let failed: Vec<&ToldClaim> = read.claims.iter().chain(&read.finished).filter(|claim| claim.failed > 0).collect();
    if failed.is_empty() {
        return;
    }
    let row = |claim: &&ToldClaim| {
        [one_line(&claim.name, NAME), counted(claim.failed, "job", "jobs"), numbers(claim.failed_jobs.as_slice())]
    };
    rows(out, ["SET ASIDE IN", "HOW MANY", "JOBS"], &failed.iter().map(row).collect::<Vec<_>>());
}

/// `4, 7-9, …`.
fn numbers(ranges: &[(u32, u32)]) -> String {
    const SHOWN: usize = 8;
    let range = |(first, last): &(u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let more = if ranges.len() > SHOWN { ", …" } else { "" };
    ranges.iter().take(SHOWN).map(range).collect::<Vec<_>>().join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::super::told::tests::{look, queue};
    use super::*;

    const TABLE: &str = "\
render (dir): 4 pages wait, 2 claimed, 17 pages are done

  PAGE      SINCE  JOBS  BY GRADE              WHY IT WAITS
  render-7  4m     5     2 grade a, 3 grade b  nii4 works on render-6 (3 of 10 jobs done); tenant is paused by root for 2 h \
more: the disk is full; no worker has ever run in nii5
  bad page  3m     ?                           the page is no text
  render-8  2m     1     1 without a grade     nii4 works on render-6 (3 of 10 jobs done); tenant is paused by root for 2 h \
more: the disk is full; no worker has ever run in nii5; 1 older page comes first
  and 1 more

  CLAIM                  PAGE      DONE  SET ASIDE  LEFT  IN HAND               TAKES
  nii4.0123456789ab.1    render-6  3/10  1          6     job 5 for 20s, try 2  8 min more (7 min to 9 min)
  tenant.0123456789ab.2  render-6  3/10  0          10    -                     unknown: jobs without a grade have 0 of 5 \
finished jobs in home

  WORKER  STATE      SITE  SEEN
  nii4    working    home  3s
  nii5    never ran  -     -
  tenant  paused     home  3s    paused by root for 2 h more: the disk is full; it has not confirmed that yet

  SET ASIDE IN         HOW MANY  JOBS
  nii4.0123456789ab.1  1 job     3
  old.1                1 job     3
";

    #[test]
    fn a_queue_in_lines_harmless_for_a_terminal() {
        let told = ToldQueue::new(&queue(), &["nii4", "nii5"], Ok(look()));
        assert_eq!(table(&told), TABLE);
        let told = ToldQueue::new(&queue(), &[], Err("no answer\u{1b}[2J from it".to_owned()));
        assert_eq!(table(&told), "render (dir): no answer from it\n");
    }

    #[test]
    fn numbers_are_ranges_and_not_too_many() {
        assert_eq!(numbers(&[(1, 1), (3, 5)]), "1, 3-5");
        let many: Vec<(u32, u32)> = (0..20).map(|n| (n * 2, n * 2)).collect();
        assert_eq!(numbers(&many), "0, 2, 4, 6, 8, 10, 12, 14, …");
    }
}
