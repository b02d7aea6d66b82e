//! A length of time on the command line.

use crate::core::cluster::Span;

/// `30s`, `10m`, `24h`, `7d`, and several one after the other: `1h30m`. A number alone is seconds.
pub(super) fn parse(text: &str) -> Result<Span, String> {
    let mut rest = text;
    let mut millis: i64 = 0;
    loop {
        let split = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(split);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        if number.is_empty() {
            return Err("use a number and a unit: 30s, 10m, 24h, 7d, 1h30m".to_owned());
        }
        let more = number.parse::<i64>().ok().and_then(|number| number.checked_mul(unit_ms(unit)?));
        match more.and_then(|more| millis.checked_add(more)) {
            Some(sum) => millis = sum,
            None if unit_ms(unit).is_none() => return Err(format!("'{unit}' is no unit: use ms, s, m, h or d")),
            None => return Err("it is too long".to_owned()),
        }
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    if millis == 0 { Err("it must be above 0".to_owned()) } else { Ok(Span::from_millis(millis)) }
}

fn unit_ms(unit: &str) -> Option<i64> {
    match unit {
        "ms" => Some(1),
        "s" | "" => Some(1_000),
        "m" | "min" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_whole_number_and_a_unit() {
        let ms = |text| parse(text).map(Span::millis);
        for (text, millis) in [("500ms", 500), ("30s", 30_000), ("30", 30_000), ("10m", 600_000), ("10min", 600_000)] {
            assert_eq!(ms(text), Ok(millis), "{text}");
        }
        assert_eq!((ms("24h"), ms("7d")), (Ok(86_400_000), Ok(604_800_000)));
        assert_eq!(ms("1h30m"), Ok(5_400_000));
    }

    #[test]
    fn what_is_no_span_is_said() {
        for (text, why) in [
            ("", "a number and a unit"),
            ("-5s", "a number and a unit"),
            ("h", "a number and a unit"),
            ("0s", "above 0"),
            ("3y", "'y' is no unit"),
            ("1.5h", "'.' is no unit"),
            ("5µs", "'µs' is no unit"),
            ("9223372036854775807d", "too long"),
            ("99999999999999999999s", "too long"),
        ] {
            assert!(parse(text).is_err_and(|said| said.contains(why)), "{text}: {:?}", parse(text));
        }
    }
}
