//! Words for errors: what was probably meant, and lists.

use std::collections::HashSet;

use crate::core::cluster::Span;

/// Longer than any sensible setting.
pub(super) const A_YEAR: Span = Span::from_hours(366 * 24);
/// Longer than any history; sums of such spans cannot overflow.
pub(super) const TEN_YEARS: Span = Span::from_hours(3_653 * 24);

/// The word that was probably meant, if one is near enough.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let length = lower.chars().count();
    // A word of one letter is near to every other, so it is near to none.
    let allowed = (length / 3).clamp(1, 3).min(length.saturating_sub(1));
    // If the lengths differ by more, so do the words.
    let similar = known.into_iter().filter(|k| k.chars().count().abs_diff(length) <= allowed);
    let near = similar.map(|k| (strsim::osa_distance(&lower, &k.to_lowercase()), k));
    near.filter(|&(d, _)| d <= allowed).min_by_key(|&(d, _)| d).map(|(_, k)| k)
}

/// A word of the file for a message, in quotes: ` 'x'`. Empty if it is near to none of these, because then it may be a secret.
pub(super) fn if_near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    if nearest(word, known).is_some() { format!(" '{word}'") } else { String::new() }
}

/// `did you mean 'x'?`, or the whole choice.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("did you mean '{near}'?"),
        None if known.clone().into_iter().next().is_none() => "there is none here yet: add one".to_owned(),
        None => format!("known here: {}", known.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// The name, with a number if it is taken. It is taken from then on.
pub fn free_name(name: String, taken: &mut HashSet<String>) -> String {
    let more = (2..).map(|n| format!("{name}-{n}"));
    let free = std::iter::once(name.clone()).chain(more).find(|name| taken.insert(name.clone()));
    free.unwrap_or(name)
}

/// Reads `45s`, `1m30s`, `500ms`, `2d`: whole numbers, each with its unit, largest unit first; not more than `most`.
pub(super) fn duration(text: &str, most: Span) -> Result<Span, &'static str> {
    const UNITS: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut rest = text.trim();
    if rest.starts_with('-') {
        return Err("it is negative");
    }
    if rest.is_empty() {
        return Err("it is empty");
    }
    let (mut total, mut units) = (0_i64, UNITS.as_slice());
    while !rest.is_empty() {
        let (number, tail) = split_while(rest, |c| c.is_ascii_digit());
        let (unit, tail) = split_while(tail, |c| !c.is_ascii_digit());
        let unit = unit.trim();
        let number: i64 = match number.parse() {
            Ok(number) => number,
            Err(_) if number.is_empty() => return Err("it does not begin with a whole number"),
            Err(_) => return Err("it is too long"),
        };
        let Some(at) = units.iter().position(|(name, _)| *name == unit) else {
            return Err(if unit.is_empty() { "it has no unit" } else { "it has an unknown unit, or one out of order" });
        };
        total = number.checked_mul(units[at].1).and_then(|ms| ms.checked_add(total)).ok_or("it is too long")?;
        units = &units[at + 1..];
        rest = tail.trim_start();
    }
    match Span::from_millis(total) {
        total if total <= most => Ok(total),
        _ if most == A_YEAR => Err("it is longer than a year"),
        _ => Err("it is longer than ten years"),
    }
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !keep(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::format::exact_span;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let keys = ["threshold", "tarry", "low_threshold", "url"];
        let near = |word| nearest(word, keys);
        assert_eq!(near("treshold"), Some("threshold"));
        assert_eq!(near("taryr"), Some("tarry"));
        assert_eq!(near("URL"), Some("url"));
        assert_eq!(near("lowthreshold"), Some("low_threshold"));
        assert_eq!(near("colour"), None);
        assert_eq!(nearest("b", ["a"]), None);
    }

    #[test]
    fn durations_are_numbers_with_units() {
        let ms = |text| duration(text, A_YEAR).map(Span::millis);
        assert_eq!(ms("45s"), Ok(45_000));
        assert_eq!(ms("1m30s"), Ok(90_000));
        assert_eq!(ms("1h 5m"), Ok(3_900_000));
        assert_eq!(ms("500ms"), Ok(500));
        assert_eq!(ms("2d"), Ok(172_800_000));
        assert_eq!(ms("0s"), Ok(0));
        assert_eq!(duration("400d", TEN_YEARS).map(Span::millis), Ok(400 * 86_400_000));
        assert!(duration("4000d", TEN_YEARS).is_err());
    }

    #[test]
    fn other_texts_are_no_durations() {
        for text in ["", "-5s", "5", "s", "1.5h", "5 minutes", "30s1m", "5s5s", "99999999999999999999s", "400d", "5µs"]
        {
            assert!(duration(text, A_YEAR).is_err(), "{text}");
        }
    }

    #[test]
    fn a_written_duration_reads_back() {
        for text in ["0s", "45s", "1m30s", "500ms", "2d", "1h1s"] {
            assert_eq!(duration(text, A_YEAR).map(exact_span), Ok(text.to_owned()));
        }
    }
}
