//! What-if over real service metrics (Numenta Anomaly Benchmark), against a count of the test's own.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

fn nab(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/nab").join(name)
}

fn whatif(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_whimbrel")).arg("whatif").args(arguments).output().expect("the binary runs")
}

fn json(file: &str, arguments: &[&str]) -> Value {
    let path = nab(file).display().to_string();
    let out = whatif(&[&["--csv", &path, "--format", "json"], arguments].concat());
    assert!(out.status.success(), "{out:?}");
    serde_json::from_slice(&out.stdout).expect("JSON")
}

/// Seconds since 1970 of `YYYY-MM-DD HH:MM:SS`, by the civil calendar alone.
fn seconds(text: &str) -> f64 {
    let n: Vec<i64> = text.split(['-', ' ', ':']).map(|part| part.parse().expect("a number")).collect();
    let (y, m) = if n[1] <= 2 { (n[0] - 1, n[1] + 9) } else { (n[0], n[1] - 3) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + n[2] - 1 - 719_468;
    (days * 86_400 + n[3] * 3_600 + n[4] * 60 + n[5]) as f64
}

struct Plain {
    threshold: f64,
    tarry: u32,
    low: Option<(f64, u32)>,
    lower_is_worse: bool,
    settle: f64,
}

#[derive(Debug, PartialEq)]
struct Count {
    samples: usize,
    gaps: u64,
    span: f64,
    moves: usize,
    to_base: usize,
    quick: usize,
    beyond: f64,
}

/// Section 2 of the specification written down once more, as plainly as can be.
fn count(file: &str, plain: &Plain) -> Count {
    let text = std::fs::read_to_string(nab(file)).expect("the data");
    let mut rows: Vec<(f64, f64)> = Vec::new();
    for line in text.lines().skip(1) {
        let (at, value) = line.split_once(',').expect("two columns");
        let row = (seconds(at), value.parse().expect("a number"));
        if rows.last().is_some_and(|last| last.0 == row.0) {
            rows.pop();
        }
        rows.push(row);
    }
    let mut distances: Vec<f64> = rows.windows(2).map(|p| p[1].0 - p[0].0).collect();
    distances.sort_by(f64::total_cmp);
    let n = distances.len();
    let median = if n % 2 == 1 { distances[n / 2] } else { (distances[n / 2 - 1] + distances[n / 2]) / 2.0 };
    let sign = if plain.lower_is_worse { -1.0 } else { 1.0 };
    let beyond = |v: f64| (v - plain.threshold) * sign > 0.0;
    let mut c = Count {
        samples: rows.len(),
        gaps: 0,
        span: rows[rows.len() - 1].0 - rows[0].0 + median,
        moves: 0,
        to_base: 0,
        quick: 0,
        beyond: 0.0,
    };
    let (mut high, mut low, mut on_base, mut settled, mut last_ring) = (0, 0, false, f64::MIN, f64::MIN);
    for (i, (at, v)) in rows.iter().enumerate() {
        if i > 0 {
            let missing = ((at - rows[i - 1].0) / median).round().max(1.0) as u64 - 1;
            c.gaps += missing;
            let fed = (1..=missing).filter(|k| at - median * *k as f64 >= settled).count();
            if fed >= 3 {
                (high, low) = (0, 0);
            }
        }
        let stood = rows.get(i + 1).map_or(median, |next| next.0 - at);
        if beyond(*v) {
            c.beyond += if stood > 1.5 * median { median } else { stood };
        }
        if *at < settled {
            continue;
        }
        if beyond(*v) {
            (high, low) = (high + 1, 0);
            if high == plain.tarry {
                (high, on_base) = (0, false);
                c.moves += 1;
                c.quick += usize::from(at - last_ring < 3_600.0);
                (last_ring, settled) = (*at, at + plain.settle);
            }
            continue;
        }
        high = 0;
        if let Some((bound, tarry)) = plain.low {
            low = if (bound - v) * sign > 0.0 && !on_base { low + 1 } else { 0 };
            if low == tarry {
                (low, on_base) = (0, true);
                c.to_base += 1;
            }
        }
    }
    c
}

fn figures(answer: &Value) -> Count {
    let whole = |key: &str| answer[key].as_u64().unwrap_or_else(|| panic!("{key} in {answer}"));
    Count {
        samples: whole("samples") as usize,
        gaps: whole("gaps"),
        span: answer["span_s"].as_f64().expect("a span"),
        moves: whole("moves") as usize,
        to_base: whole("moves_to_base") as usize,
        quick: whole("quick_moves") as usize,
        beyond: answer["beyond_s"].as_f64().expect("seconds"),
    }
}

#[test]
fn its_figures_are_those_of_a_plain_count() {
    let cases = [
        ("rds_cpu_utilization_cc0c53.csv", "8", 3, None, false, 45),
        ("rds_cpu_utilization_cc0c53.csv", "6", 2, Some(("5.8", 4)), false, 700),
        ("ec2_request_latency_system_failure.csv", "45", 3, None, false, 45),
        ("ec2_request_latency_system_failure.csv", "44", 2, Some(("43", 3)), false, 0),
        ("elb_request_count_8c0756.csv", "20", 2, None, true, 45),
        ("elb_request_count_8c0756.csv", "100", 3, Some(("20", 6)), false, 900),
    ];
    for (file, threshold, tarry, low, lower_is_worse, settle) in cases {
        let (tarry_text, settle_text) = (tarry.to_string(), format!("{settle}s"));
        let mut arguments = vec!["--threshold", threshold, "--tarry", &tarry_text, "--settle", &settle_text];
        let low_tarry = low.map(|(_, n): (&str, u32)| n.to_string()).unwrap_or_default();
        if let Some((bound, _)) = low {
            arguments.extend(["--low-threshold", bound, "--low-tarry", &low_tarry]);
        }
        if lower_is_worse {
            arguments.extend(["--direction", "lower"]);
        }
        let answer = json(file, &arguments);
        let number = |text: &str| text.parse::<f64>().expect("a number");
        let plain = Plain {
            threshold: number(threshold),
            tarry,
            low: low.map(|(bound, n)| (number(bound), n)),
            lower_is_worse,
            settle: f64::from(settle),
        };
        let expected = count(file, &plain);
        assert_eq!(figures(&answer), expected, "{file} {arguments:?}");
        assert!(expected.moves > 0, "{file}: a case that says something");
        assert_eq!(answer["move_at"].as_array().map(Vec::len), Some(expected.moves + expected.to_base));
        for variant in answer["sensitivity"].as_array().expect("a strip") {
            let threshold = variant["threshold"].as_f64().expect("a number");
            let tarry = variant["tarry"].as_u64().expect("a number") as u32;
            let again = count(file, &Plain { threshold, tarry, ..plain });
            assert_eq!(variant["moves"].as_u64(), Some(again.moves as u64), "{file} {variant}");
        }
    }
}

#[test]
fn the_table_says_the_same_in_words() {
    let path = nab("rds_cpu_utilization_cc0c53.csv").display().to_string();
    let out = whatif(&["--csv", &path, "--threshold", "8", "--tarry", "3"]);
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    let moves = json("rds_cpu_utilization_cc0c53.csv", &["--threshold", "8", "--tarry", "3"])["moves"].to_string();
    assert!(text.contains(&format!("ring moves            {moves}\n")), "{text}");
    assert!(text.contains("an estimate, not a promise"), "{text}");
}

#[test]
fn what_cannot_stand_is_refused_with_status_2() {
    let path = nab("rds_cpu_utilization_cc0c53.csv").display().to_string();
    for (arguments, said) in [
        (&["--csv", "nowhere.csv", "--threshold", "8", "--tarry", "3"][..], "cannot read"),
        (&["--csv", &path, "--threshold", "8", "--tarry", "0"], "at least 1"),
        (&["--csv", &path, "--threshold", "8", "--tarry", "3", "--low-threshold", "8", "--low-tarry", "2"], "below"),
        (&["--csv", &path, "--threshold", "8", "--tarry", "3", "--low-threshold", "2"], "--low-tarry"),
        (
            &[
                "--csv",
                &path,
                "--threshold",
                "8",
                "--tarry",
                "3",
                "--low-threshold",
                "2",
                "--low-tarry",
                "2",
                "--hours",
                "never",
            ],
            "no time",
        ),
    ] {
        let out = whatif(arguments);
        assert_eq!(out.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&out.stderr).contains(said), "{out:?}");
    }
}
