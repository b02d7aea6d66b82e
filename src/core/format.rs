//! Writes durations, sizes, numbers and names: for the screen, the log, reports and the config.
//!
//! ```text
//! age         45s, 4m, 2h, 3d             the time since something, in a narrow cell; rounded down
//! left        45s, 10m, 3h                the time until something, in a narrow cell; rounded up
//! took        4.2s, 45s, 4m               how long something took, in a narrow cell
//! duration    45 s, 11 min, 3 d 4 h       a duration in a sentence; rounded up
//! measured    38 ms, 41.2 s, 3 min 5 s    how long something took; to a tenth of a second
//! exact_span  1m30s                       as the config writes it; nothing is rounded
//! ```

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Display;

use super::cluster::Span;

/// Longer than any sensible setting.
pub const A_YEAR: Span = Span::from_hours(366 * 24);
/// Longer than any history; sums of such spans cannot overflow.
pub const TEN_YEARS: Span = Span::from_hours(3_653 * 24);

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// An age in a narrow cell: one unit, rounded down: `0s`, `45s`, `4m`, `2h`, `3d`.
pub fn age(span: Span) -> String {
    let seconds = span.millis() / 1_000;
    match seconds {
        0..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => format!("{}m", seconds / MINUTE),
        HOUR..172_800 => format!("{}h", seconds / HOUR),
        _ => format!("{}d", seconds / DAY),
    }
}

/// The time that is left, in a narrow cell: one unit, rounded up: `45s`, `10m`, `3h`. `0s` means that no time is left.
pub fn left(span: Span) -> String {
    let seconds = seconds_up(span);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", up(seconds, MINUTE)),
        7_200..172_800 => format!("{}h", up(seconds, HOUR)),
        _ => format!("{}d", up(seconds, DAY)),
    }
}

/// How long something took, in a narrow cell: `4.2s` below ten seconds, above that like an age.
pub fn took(span: Span) -> String {
    match span.millis() {
        ms @ 1..9_950 => format!("{:.1}s", ms as f64 / 1_000.0),
        _ => age(span),
    }
}

/// A duration in a sentence, rounded up: `45 s`, `11 min`, `2 h 5 min`, `3 d 4 h`. `0 s` means no time at all.
pub fn duration(span: Span) -> String {
    let seconds = seconds_up(span);
    let (minutes, hours) = (up(seconds, MINUTE), up(seconds, HOUR));
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{minutes} min"),
        7_200..172_800 => two_units(minutes / 60, "h", minutes % 60, "min"),
        _ => two_units(hours / 24, "d", hours % 24, "h"),
    }
}

fn two_units(large: i64, unit: &str, small: i64, rest: &str) -> String {
    if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {rest}") }
}

/// How long something took, in a sentence: `38 ms`, `41.2 s`, `3 min 5 s`, `1 h 4 min`.
pub fn measured(span: Span) -> String {
    let ms = span.millis();
    // Rounds before it chooses the unit: 59.96 s is 1 min, not 60 s.
    let (tenths, seconds) = ((ms + 50) / 100, (ms + 500) / 1_000);
    match () {
        () if ms < 1_000 => format!("{ms} ms"),
        () if tenths < 600 && tenths % 10 == 0 => format!("{} s", tenths / 10),
        () if tenths < 600 => format!("{}.{} s", tenths / 10, tenths % 10),
        () if seconds < HOUR => two_units(seconds / MINUTE, "min", seconds % MINUTE, "s"),
        () => two_units(seconds / HOUR, "h", seconds / MINUTE % 60, "min"),
    }
}

/// A duration as the config has it: `1m30s`. It reads back as the same duration.
pub fn exact_span(span: Span) -> String {
    let mut ms = span.millis();
    let mut text = String::new();
    for (unit, size) in [("d", DAY * 1_000), ("h", HOUR * 1_000), ("m", MINUTE * 1_000), ("s", 1_000), ("ms", 1)] {
        if ms >= size {
            text.push_str(&format!("{}{unit}", ms / size));
            ms %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Reads `45s`, `1m30s`, `500ms`, `2d`: whole numbers, each with its unit, largest unit first; not more than `most`.
///
/// # Errors
/// What is wrong with it, as a clause: `it has no unit`.
pub fn parse_span(text: &str, most: Span) -> Result<Span, &'static str> {
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

const fn seconds_up(span: Span) -> i64 {
    up(span.millis(), 1_000)
}

const fn up(n: i64, unit: i64) -> i64 {
    n / unit + (n % unit != 0) as i64
}

/// A number of bytes, in the unit that makes it short: `92 MB`, `1.7 GB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    // A number that would be rounded to 1000 becomes 1 of the next unit.
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1e3;
        unit += 1;
    }
    let decimals = usize::from(size < 9.95 && unit > 0);
    format!("{} {}", decimal(size, decimals), UNITS[unit])
}

/// A number in five columns or fewer, where that is possible: `88`, `2.5`, `12.3k`, `4M`.
pub fn number(value: f64) -> String {
    let (scaled, suffix) = match value.abs() {
        _ if !value.is_finite() => return "-".into(),
        size if (0.005..0.95).contains(&size) => return decimal(value, 2),
        size if size < 999.5 => (value, ""),
        size if size < 999_950.0 => (value / 1e3, "k"),
        size if size < 999_950_000.0 => (value / 1e6, "M"),
        _ => (value / 1e9, "G"),
    };
    decimal(scaled, usize::from(scaled.abs() < 99.95)) + suffix
}

/// A number in a sentence: not scaled, with few decimals: `50`, `0.25`, `1234.6`.
pub fn plain(value: f64) -> String {
    decimal(value, if value.abs() < 1.0 { 3 } else { 1 })
}

/// A number with all its digits, which reads back as the same number: `50`, `1250`, `0.25`.
pub fn exact(value: f64) -> String {
    // From 9e15 on no float has decimals, and not far above that a whole number is too large for TOML.
    if value.fract() == 0.0 && value.abs() < 9e15 { format!("{value:.0}") } else { format!("{value:?}") }
}

/// A number with up to this many decimals, without zeros at the end, and without a minus before a zero.
pub fn decimal(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A share, from 0 to 1, as a whole percentage: `42%`.
pub fn percent(share: impl Into<f64>) -> String {
    format!("{:.0}%", share.into() * 100.0)
}

/// A number and its noun: `1 VM`, `2 VMs`.
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(n: N, one: &str, many: &str) -> String {
    format!("{n} {}", if n == N::from(1) { one } else { many })
}

/// The order of two names in which numbers count: `nii2` comes before `nii10`. Different names are never equal.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    while !rest_a.is_empty() && !rest_b.is_empty() {
        let ((word_a, number_a), (word_b, number_b));
        (word_a, number_a, rest_a) = word_and_number(rest_a);
        (word_b, number_b, rest_b) = word_and_number(rest_b);
        let order = word_a.cmp(word_b).then_with(|| by_value(number_a, number_b));
        if order.is_ne() {
            return order;
        }
    }
    rest_a.len().cmp(&rest_b.len()).then_with(|| a.cmp(b))
}

/// The text before the first digits, these digits, and the rest.
fn word_and_number(text: &str) -> (&str, &str, &str) {
    let begin = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    let (word, rest) = text.split_at(begin);
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, rest) = rest.split_at(end);
    (word, number, rest)
}

/// The order of two numbers of any length.
fn by_value(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Whether a character could disturb a terminal or mislead the reader: it moves the cursor, begins an escape sequence, breaks the
/// line, changes the direction of the text, or is invisible.
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' // soft hyphen
                | '\u{34f}' // combining grapheme joiner
                | '\u{61c}' // Arabic letter mark: bidi
                | '\u{115f}'..='\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
                | '\u{17b4}'..='\u{17b5}' // Khmer vowels that are not shown
                | '\u{180b}'..='\u{180f}' // Mongolian selectors
                | '\u{200b}'..='\u{200f}' // zero width, and the marks of direction
                | '\u{2028}'..='\u{2029}' // line and paragraph separator
                | '\u{202a}'..='\u{202e}' // bidi embedding and override
                | '\u{2060}'..='\u{206f}' // word joiner, invisible operators, bidi isolates
                | '\u{fe00}'..='\u{fe0f}' // variation selectors
                | '\u{feff}' // byte order mark
                | '\u{fff0}'..='\u{fffb}' // interlinear annotation
                | '\u{1bca0}'..='\u{1bca3}' // shorthand format
                | '\u{1d173}'..='\u{1d17a}' // musical format
                | '\u{e0000}'..='\u{e0fff}' // tags, and more variation selectors
        )
}

/// A text that is safe to show: a blank replaces each hostile character.
pub fn tame(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_hostile) {
        Cow::Owned(text.chars().map(|c| if is_hostile(c) { ' ' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// The text of another program as one line of up to `most` characters, with `…` where it is cut. It leaves out escape sequences,
/// and makes white space and hostile characters single blanks.
pub fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    let mut blank = false;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c == '\u{1b}' {
            skip_sequence(&mut characters);
        }
        if c.is_whitespace() || is_hostile(c) {
            blank = !line.is_empty();
            continue;
        }
        for c in blank.then_some(' ').into_iter().chain([c]) {
            if length == most {
                line.push('…');
                return line;
            }
            line.push(c);
            length += 1;
        }
        blank = false;
    }
    line
}

/// Skips the rest of an escape sequence, such as a colour.
fn skip_sequence(characters: &mut std::str::Chars<'_>) {
    let mut ahead = characters.clone();
    if ahead.next() == Some('[') {
        ahead.by_ref().find(|c| ('@'..='~').contains(c));
        *characters = ahead;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans<const N: usize>(ms: [i64; N], form: fn(Span) -> String) -> [String; N] {
        ms.map(|ms| form(Span::from_millis(ms)))
    }

    #[test]
    fn ages_keep_one_unit() {
        let ages = [0, 59, 60, 3_599, 3_600, 172_799, 172_800].map(|s| age(Span::from_secs(s)));
        assert_eq!(ages, ["0s", "59s", "1m", "59m", "1h", "47h", "2d"]);
    }

    #[test]
    fn what_is_left_is_never_rounded_to_nothing() {
        let shown = spans([0, 1, 1_000, 44_001, 120_000, 599_000, 600_001, 7_200_000, 172_800_000], left);
        assert_eq!(shown, ["0s", "1s", "1s", "45s", "2m", "10m", "11m", "2h", "2d"]);
    }

    #[test]
    fn what_something_took_keeps_tenths_of_a_second_where_they_matter() {
        assert_eq!(spans([0, 40, 4_210, 9_949, 9_950, 65_000], took), ["0s", "0.0s", "4.2s", "9.9s", "9s", "1m"]);
    }

    #[test]
    fn a_duration_in_a_sentence_is_rounded_up() {
        let words = spans([1, 1_001, 119_000, 120_001, 660_000, 7_500_000, 7_200_000], duration);
        assert_eq!(words, ["1 s", "2 s", "119 s", "3 min", "11 min", "2 h 5 min", "2 h"]);
        let days = spans([172_800_000, 172_800_001, 259_200_000, 255_600_001, 345_599_999], duration);
        assert_eq!(days, ["2 d", "2 d 1 h", "3 d", "3 d", "4 d"], "an hour counts where days are few");
    }

    #[test]
    fn what_something_took_has_tenths_of_a_second_under_a_minute() {
        let words = spans([0, 38, 999, 1_000, 4_520, 59_949, 59_950, 125_000, 180_400, 3_599_500, 3_840_000], measured);
        let expected =
            ["0 ms", "38 ms", "999 ms", "1 s", "4.5 s", "59.9 s", "1 min", "2 min 5 s", "3 min", "1 h", "1 h 4 min"];
        assert_eq!(words, expected);
    }

    #[test]
    fn the_config_writes_every_unit_of_a_duration() {
        assert_eq!(spans([0, 1, 90_000, 90_061_001], exact_span), ["0s", "1ms", "1m30s", "1d1h1m1s1ms"]);
    }

    #[test]
    fn numbers_keep_one_decimal_at_most() {
        let shown = [0.0, 0.25, 0.3, 2.5, 9.96, 62.0, 62.4, 999.6, 2_500.0, 12_340.0, 4e6, -3.0, f64::NAN].map(number);
        let expected = ["0", "0.25", "0.3", "2.5", "10", "62", "62.4", "1k", "2.5k", "12.3k", "4M", "-3", "-"];
        assert_eq!(shown, expected);
        assert_eq!([-0.001, -0.04].map(number), ["0", "-0.04"]);
    }

    #[test]
    fn a_number_in_a_sentence_is_not_scaled() {
        assert_eq!([50.0, 0.25, 0.0626, 1_234.56, 12_000.0].map(plain), ["50", "0.25", "0.063", "1234.6", "12000"]);
    }

    #[test]
    fn an_exact_number_is_shown_as_it_is() {
        assert_eq!([50.0, 1_250.0, 0.25, 12_345_678.0].map(exact), ["50", "1250", "0.25", "12345678"]);
        for value in [50.0, -3.0, 0.5, 1e-9, 1.5e300, 123_456_789.25, f64::MIN_POSITIVE].map(exact) {
            assert!(toml::from_str::<toml::Table>(&format!("x = {value}")).is_ok(), "{value}");
        }
    }

    #[test]
    fn bytes_have_the_unit_in_which_they_are_short() {
        let shown = [0, 999, 1_000, 92_300_000, 999_700_000, 1_740_000_000, 4_294_967_296, 96_000_000_000].map(bytes);
        assert_eq!(shown, ["0 B", "999 B", "1 kB", "92 MB", "1 GB", "1.7 GB", "4.3 GB", "96 GB"]);
    }

    #[test]
    fn shares_are_whole_percentages() {
        assert_eq!([percent(0.424_f32), percent(1.0_f64)], ["42%", "100%"]);
    }

    #[test]
    fn one_of_a_thing_has_its_own_noun() {
        assert_eq!([0_usize, 1, 2].map(|n| counted(n, "VM", "VMs")), ["0 VMs", "1 VM", "2 VMs"]);
    }

    #[test]
    fn names_are_ordered_as_people_count() {
        let mut names = ["web12", "nii10", "nii2", "web2-10", "web2-9", "web2", "db", "nii002"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["db", "nii002", "nii2", "nii10", "web2", "web2-9", "web2-10", "web12"]);
        let long = ["x100000000000000000000000", "x99999999999999999999999"];
        assert_eq!(natural(long[0], long[1]), Ordering::Greater);
    }

    #[test]
    fn every_class_of_hostile_characters_is_stopped() {
        let classes = [
            ("C0", "\0\u{1}\u{7}\u{8}\t\n\u{b}\u{c}\r\u{1f}"),
            ("escape", "\u{1b}"),
            ("delete", "\u{7f}"),
            ("C1", "\u{80}\u{85}\u{9b}\u{9d}\u{9f}"),
            ("bidi marks", "\u{200e}\u{200f}\u{61c}"),
            ("bidi embedding and override", "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}"),
            ("bidi isolates", "\u{2066}\u{2067}\u{2068}\u{2069}"),
            ("line and paragraph separators", "\u{2028}\u{2029}"),
            ("zero width", "\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{34f}"),
            ("invisible operators", "\u{2061}\u{2062}\u{2063}\u{2064}"),
            ("deprecated format", "\u{206a}\u{206f}"),
            ("soft hyphen", "\u{ad}"),
            ("annotation", "\u{fff9}\u{fffa}\u{fffb}"),
            ("variation selectors", "\u{fe00}\u{fe0f}\u{180b}\u{180d}\u{e0100}\u{e01ef}"),
            ("tags", "\u{e0001}\u{e0020}\u{e007f}"),
            ("fillers", "\u{115f}\u{1160}\u{3164}\u{ffa0}\u{17b4}\u{17b5}\u{180e}"),
            ("musical and shorthand format", "\u{1d173}\u{1d17a}\u{1bca0}\u{1bca3}"),
        ];
        for (class, characters) in classes {
            for c in characters.chars() {
                assert!(is_hostile(c), "{class}: {}", c.escape_unicode());
                assert_eq!(tame(&format!("a{c}b")), "a b", "{class}: {}", c.escape_unicode());
                // An escape character alone: no sequence follows it.
                assert_eq!(one_line(&format!("a{c}b"), 9), "a b", "{class}: {}", c.escape_unicode());
            }
        }
    }

    #[test]
    fn harmless_text_stays_as_it_is() {
        for text in ["vm-01 62 /min > 50", "größer", "東京データ", "עברית", "العربية", "e\u{301}", "≥2.5k │ ●", "🚀"]
        {
            assert!(matches!(tame(text), Cow::Borrowed(same) if same == text), "{text}");
            assert_eq!(one_line(text, 99), text);
        }
    }

    #[test]
    fn another_programs_text_becomes_one_short_line() {
        assert_eq!(one_line("Table 'x'\n  does\tnot exist ", 60), "Table 'x' does not exist");
        assert_eq!(one_line("two \x1b[31mred\x1b[0m\x07 ones", 60), "two red ones");
        assert_eq!(one_line("\u{1b}[2Jgone\u{202e}", 60), "gone");
        assert_eq!(one_line(&"ø".repeat(61), 60), format!("{}…", "ø".repeat(60)));
        assert_eq!(one_line(&"ø".repeat(60), 60), "ø".repeat(60));
        assert_eq!(one_line(" \n\t", 60), "");
    }

    #[test]
    fn durations_are_numbers_with_units() {
        let ms = |text| parse_span(text, A_YEAR).map(Span::millis);
        assert_eq!(ms("45s"), Ok(45_000));
        assert_eq!(ms("1m30s"), Ok(90_000));
        assert_eq!(ms("1h 5m"), Ok(3_900_000));
        assert_eq!(ms("500ms"), Ok(500));
        assert_eq!(ms("2d"), Ok(172_800_000));
        assert_eq!(ms("0s"), Ok(0));
        assert_eq!(parse_span("400d", TEN_YEARS).map(Span::millis), Ok(400 * 86_400_000));
        assert!(parse_span("4000d", TEN_YEARS).is_err());
    }

    #[test]
    fn other_texts_are_no_durations() {
        for text in ["", "-5s", "5", "s", "1.5h", "5 minutes", "30s1m", "5s5s", "99999999999999999999s", "400d", "5µs"]
        {
            assert!(parse_span(text, A_YEAR).is_err(), "{text}");
        }
    }

    #[test]
    fn a_written_duration_reads_back() {
        for text in ["0s", "45s", "1m30s", "500ms", "2d", "1h1s"] {
            assert_eq!(parse_span(text, A_YEAR).map(exact_span), Ok(text.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn no_text_gets_past_the_sanitiser(text in any::<String>(), most in 0_usize..80) {
            prop_assert!(!tame(&text).chars().any(is_hostile));
            let line = one_line(&text, most);
            prop_assert!(!line.chars().any(is_hostile));
            prop_assert!(line.chars().count() <= most + 1);
        }

        #[test]
        fn an_exact_number_reads_back_as_the_same(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            prop_assert_eq!(exact(value).parse(), Ok(value));
        }

        #[test]
        fn the_order_of_names_is_total(a in "[a0-2]{0,5}", b in "[a0-2]{0,5}", c in "[a0-2]{0,5}") {
            prop_assert_eq!(natural(&a, &b), natural(&b, &a).reverse());
            prop_assert_eq!(natural(&a, &b).is_eq(), a == b);
            if natural(&a, &b).is_le() && natural(&b, &c).is_le() {
                prop_assert!(natural(&a, &c).is_le());
            }
        }
    }
}
