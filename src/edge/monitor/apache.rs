//! `apache`: one line of mod_status's page for machines.

use reqwest::Url;

use super::{Failure, http, text};

/// A busy server's page has a scoreboard of some kilobytes.
const LONGEST_PAGE: usize = 64 << 10;

/// Fetches a status page and finds a field in it.
pub(super) async fn read(url: &str, field: &str) -> Result<f64, Failure> {
    let reply = http::get(for_machines(http::parse(url)?)).await?;
    let status = reply.status();
    if status != reqwest::StatusCode::OK {
        let what = if status.is_redirection() { "a redirect" } else { "an error" };
        return Err(Failure::Answered(format!("{what} (status {}), not a status page", status.as_u16())));
    }
    let mut page = Vec::new();
    http::body(reply, LONGEST_PAGE, |chunk| page.extend_from_slice(chunk)).await?;
    find(&String::from_utf8_lossy(&page), field).map_err(Failure::Answered)
}

/// The URL with `auto` in its query: the page without it is for people.
fn for_machines(mut url: Url) -> Url {
    let query = match url.query() {
        Some(query) if query.split('&').any(|part| part == "auto" || part.starts_with("auto=")) => return url,
        Some(query) if !query.is_empty() => format!("{query}&auto"),
        _ => "auto".to_owned(),
    };
    url.set_query(Some(&query));
    url
}

/// The number in a field of a status page.
///
/// # Errors
/// The page is none, has no such field, or the field is not a number from 0.
fn find(page: &str, field: &str) -> Result<f64, String> {
    let lines = || page.lines().filter_map(|line| line.split_once(": "));
    if let Some((_, text)) = lines().find(|(key, _)| *key == field) {
        return match text::number(text) {
            Ok(value) if value < 0.0 => Err(format!("{}: {value} is below zero", text::short(field))),
            Ok(value) => Ok(value),
            Err(why) => Err(format!("{}: {why}", text::short(field))),
        };
    }
    if lines().any(|(key, _)| matches!(key, "BusyWorkers" | "Scoreboard" | "Total Accesses")) {
        return Err(format!("the status page has no {}", text::short(field)));
    }
    let start = page.trim_start();
    Err(match start.lines().next() {
        None => "an empty reply, not a status page".to_owned(),
        Some(_) if start.starts_with('<') => "an HTML page, not a status page".to_owned(),
        Some(line) => format!("'{}', not a status page", text::short(line)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAGE: &str = "127.0.0.1\nServerVersion: Apache/2.4.62 (Debian)\nTotal Accesses: 12\nReqPerSec: .0133\n\
                        BusyWorkers: 1\nIdleWorkers: 9\nCPULoad: nan\nDelta: -1\nScoreboard: W_________\n";

    #[test]
    fn a_field_of_the_page_is_the_value() {
        assert_eq!(find(PAGE, "IdleWorkers"), Ok(9.0));
        assert_eq!(find(PAGE, "Total Accesses"), Ok(12.0));
        assert_eq!(find(PAGE, "ReqPerSec"), Ok(0.0133));
        assert_eq!(find(&PAGE.replace('\n', "\r\n"), "IdleWorkers"), Ok(9.0));
    }

    #[test]
    fn what_is_no_number_from_zero_is_a_gap() {
        assert_eq!(find(PAGE, "CPULoad").unwrap_err(), "CPULoad: NaN is not a value");
        assert_eq!(find(PAGE, "Delta").unwrap_err(), "Delta: -1 is below zero");
        assert_eq!(find(PAGE, "Scoreboard").unwrap_err(), "Scoreboard: 'W_________' is not a number");
        assert_eq!(find("IdleWorkers: 1e999", "IdleWorkers").unwrap_err(), "IdleWorkers: infinity is not a value");
    }

    #[test]
    fn a_missing_field_is_told_from_a_wrong_page() {
        assert_eq!(find(PAGE, "Idle").unwrap_err(), "the status page has no Idle");
        assert_eq!(find("\n<!DOCTYPE html><title>Log in", "x").unwrap_err(), "an HTML page, not a status page");
        assert_eq!(find("ok\nfine", "x").unwrap_err(), "'ok', not a status page");
        assert_eq!(find(" \n", "x").unwrap_err(), "an empty reply, not a status page");
    }

    #[test]
    fn the_page_for_machines_is_asked_for() {
        let asked = |url| for_machines(Url::parse(url).unwrap()).to_string();
        assert_eq!(asked("http://w/server-status"), "http://w/server-status?auto");
        assert_eq!(asked("http://w/server-status?"), "http://w/server-status?auto");
        assert_eq!(asked("http://w/server-status?auto"), "http://w/server-status?auto");
        assert_eq!(asked("http://w/server-status?notable&auto"), "http://w/server-status?notable&auto");
        assert_eq!(asked("http://w/s?key=automatic"), "http://w/s?key=automatic&auto");
    }

    proptest! {
        #[test]
        fn no_page_breaks_the_reader(page in any::<String>(), field in "\\PC*") {
            if let Ok(value) = find(&page, &field) {
                prop_assert!(value >= 0.0 && value.is_finite());
            }
        }
    }
}
