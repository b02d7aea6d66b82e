//! bc's rules; what is refused, and why; lines that would keep a worker for ever.

use std::cell::Cell;
use std::fmt::Write;

use proptest::prelude::*;

use super::{BcLimits, Reason, evaluate};

/// Rules as bc 1.07.1 itself answered; the form is described there.
const RULES: &str = include_str!("../../../../tests/data/bc/rules.txt");

/// The answer's lines in one, or the refusal.
fn bc(line: &str) -> String {
    match evaluate(line, &BcLimits::default(), &|| false) {
        Ok(output) => output.lines().collect::<Vec<_>>().join(", "),
        Err(refusal) => refusal.to_string(),
    }
}

fn within(limits: BcLimits, line: &str) -> Result<String, Reason> {
    evaluate(line, &limits, &|| false).map_err(|refusal| refusal.reason)
}

#[test]
fn each_rule_of_bc_holds() {
    let mut wrong = String::new();
    for rule in RULES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (line, answer) = rule.split_once(" →").or(rule.split_once(" ✗")).expect("a rule has an arrow or a cross");
        let (ours, answer) = (bc(line), answer.strip_prefix(' ').unwrap_or_default());
        if ours != answer {
            writeln!(wrong, "{line}: {ours}, not {answer}").expect("a string takes text");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn a_line_without_a_statement_prints_nothing() {
    for line in ["", " \t", ";", "\t;; ;"] {
        assert_eq!(bc(line), "", "{line:?}");
    }
}

#[test]
fn an_answer_is_never_wrapped() {
    let power = bc("123^123");
    assert_eq!(power.len(), 258);
    assert!(power.starts_with("114374367934617190099880295228066276746218078451"), "{power}");
}

#[test]
fn characters_that_disturb_a_terminal_are_named_in_words() {
    assert_eq!(bc("1\r"), "character 2: bc has no use for '\\r'");
    assert_eq!(bc("1\0"), "character 2: bc has no use for '\\0'");
    assert_eq!(bc("1\u{1b}[2J"), "character 2: bc has no use for '\\u{1b}'");
    assert_eq!(bc("1\u{202e}"), "character 2: bc has no use for '\\u{202e}'");
}

#[test]
fn every_word_that_is_left_out_is_named() {
    for word in [
        "auto", "break", "continue", "define", "else", "for", "halt", "history", "if", "last", "limits", "print",
        "quit", "random", "read", "return", "void", "warranty", "while",
    ] {
        assert_eq!(
            bc(&format!("1;{word} (1)")),
            format!("character 3: `{word}` is not part of what whimbrel's bc does")
        );
    }
    assert_eq!(bc("1\n2"), "character 2: a second line is not part of what whimbrel's bc does");
}

#[test]
fn limits_of_bc_itself_are_kept() {
    let names = |n: usize| (0..n).fold(String::new(), |line, n| format!("{line}v{n};"));
    assert!(within(BcLimits::default(), &names(32_763)).is_ok());
    assert_eq!(within(BcLimits::default(), &names(32_764)), Err(Reason::Variables(32_763)));
    assert_eq!(bc(&vec!["1"; 65_536].join("&&")), "1");
    assert_eq!(within(BcLimits::default(), &vec!["1"; 65_537].join("&&")), Err(Reason::Branches));
    assert_eq!(bc(&vec!["0"; 32_768].join("||")), "0");
    assert_eq!(within(BcLimits::default(), &vec!["0"; 32_769].join("||")), Err(Reason::Branches));
}

#[test]
fn a_line_is_refused_by_its_length_and_depth_before_it_is_worked() {
    let limits = BcLimits::default();
    let sum = |n: usize| vec!["1"; n].join("+");
    assert_eq!(within(limits, &sum(5_000_000)), Err(Reason::LongLine(limits.line)));
    assert_eq!(within(limits, &sum(500_000)), Ok("500000\n".to_owned()));
    for (open, close) in [("(", ")"), ("- ", ""), ("!", ""), ("1+(", ")"), ("1^", ""), ("x=", ""), ("sqrt(", ")")] {
        let nested = |n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
        assert!(within(limits, &nested(200)).is_ok(), "{open}");
        assert_eq!(within(limits, &nested(10_000)), Err(Reason::Deep(500)), "{open}");
        let deeper = BcLimits { depth: u32::MAX, ..limits };
        assert_eq!(within(deeper, &nested(10_000)), Err(Reason::Deep(2_000)), "{open}");
    }
}

#[test]
fn long_numbers_are_refused_before_they_are_computed() {
    let limits = BcLimits { digits: 1_000, ..BcLimits::default() };
    for line in [
        "9^9^9^9",
        "9^999999999",
        "10^1001",
        "0.1^1001",
        "1.0^2147483649",
        "10^-1001",
        "10^600*10^600",
        "scale=999999999;1/3",
        "scale=999999999;0/3",
        "scale=999999999;5%3",
        "scale=999999999;sqrt(2)",
        "scale=999999999;2^-1",
        "scale=900;10^900/10^-900",
        "scale=900;x=10^-900;10^900+x",
        &"1".repeat(1_001),
        &format!("1.{}", "0".repeat(1_001)),
    ] {
        let refused = within(limits, line);
        assert!(matches!(refused, Err(Reason::Digits { digits: 1_001.., limit: 1_000 })), "{line:.40}: {refused:?}");
    }
    assert_eq!(within(limits, "length(10^999)"), Ok("1000\n".to_owned()));
    assert_eq!(within(limits, "length(10^1000-1)"), Ok("1000\n".to_owned()), "to within one digit");
    assert_eq!(within(limits, &"9".repeat(1_000)), Ok(format!("{}\n", "9".repeat(1_000))));
    assert!(matches!(within(BcLimits::default(), "9^9^9^9"), Err(Reason::Digits { digits: 369_000_000.., .. })));
}

#[test]
fn growth_by_squaring_meets_the_limit_of_digits() {
    let line = format!("x=7;{}", "x=x*x;".repeat(200));
    assert!(matches!(within(BcLimits { digits: 10_000, ..BcLimits::default() }, &line), Err(Reason::Digits { .. })));
}

#[test]
fn work_is_bounded() {
    let limits = BcLimits { work: 1_000_000, ..BcLimits::default() };
    for line in [
        "9^300000",
        // Newton's method begins at 1 and takes three steps for each digit: bc takes hours.
        "scale=9000;x=10^-9000;scale=0;sqrt(x)",
        &format!("obase=2147483647;{}", "7".repeat(40_000)),
        &format!("ibase=7;{}", "6".repeat(100_000)),
        &"x++;".repeat(50_000),
    ] {
        assert_eq!(within(limits, line).map(|output| output.len()), Err(Reason::Work(1_000_000)), "{line:.40}");
    }
}

#[test]
fn memory_is_bounded() {
    let limits = BcLimits { memory: 100_000, ..BcLimits::default() };
    let unfinished = format!("x=9^9000;{}x{}", "x+(".repeat(90), ")".repeat(90));
    let variables = (0..90).fold("x=9^9000;".to_owned(), |line, n| format!("{line}y{n}=x;"));
    for line in [&unfinished, &variables] {
        assert_eq!(within(limits, line).map(|output| output.len()), Err(Reason::Memory(100_000)), "{line:.40}");
    }
    assert_eq!(
        within(limits, &format!("y=9^9000;{}", "x=y;".repeat(1_000))),
        Ok(String::new()),
        "what is over is free"
    );
}

#[test]
fn output_is_bounded() {
    let limits = BcLimits { output: 1_000, ..BcLimits::default() };
    assert_eq!(within(limits, "9^2000"), Err(Reason::Output(1_000)));
    assert_eq!(within(limits, &"1;".repeat(501)), Err(Reason::Output(1_000)));
    assert_eq!(within(limits, &"1;".repeat(500)).map(|output| output.len()), Ok(1_000));
}

#[test]
fn it_stops_between_two_operations() {
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 100
    };
    let refused = evaluate(&"x++;".repeat(1_000), &BcLimits::default(), &stop).map_err(|refusal| refusal.reason);
    assert_eq!((refused, asked.get()), (Err(Reason::Stopped), 101));
    for line in ["9^300000", "scale=9000;sqrt(2)", "obase=1000;9^30000"] {
        asked.set(90);
        assert!(evaluate(line, &BcLimits::default(), &stop).is_err(), "{line} asks while it works");
    }
}

#[test]
fn long_results_are_right_to_the_last_digit() {
    let power = bc("9^100000");
    assert_eq!(power.len(), 95_425);
    assert_eq!(bc(&format!("{power}-9^100000")), "0", "what is written is read again");
    assert_eq!(bc("10^5000/10^4990"), "10000000000");
    assert_eq!(bc("x=123456789^500;x/123456789^499"), "123456789");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_ends_without_a_panic(line in ".{0,60}") {
        let limits = BcLimits { digits: 1_000, work: 1_000_000, ..BcLimits::default() };
        let _ = evaluate(&line, &limits, &|| false);
    }

    #[test]
    fn any_line_of_bcs_words_ends_without_a_panic(words in prop::collection::vec(word(), 0..40)) {
        let limits = BcLimits { digits: 1_000, work: 1_000_000, ..BcLimits::default() };
        if let Ok(output) = evaluate(&words.concat(), &limits, &|| false) {
            prop_assert!(output.is_empty() || output.ends_with('\n'));
        }
    }

    #[test]
    fn whole_numbers_obey_the_laws_of_algebra(a in any::<i128>(), b in any::<i128>(), c in any::<i64>()) {
        let law = |left: &str, right: &str| {
            let line = format!("a={a};b={b};c={c};({left})-({right})");
            prop_assert_eq!(bc(&line), "0", "{}", line);
            Ok(())
        };
        law("a+b", "b+a")?;
        law("a*(b+c)", "a*b+a*c")?;
        law("(a-b)*(a+b)", "a^2-b^2")?;
        law("a^3*a^4", "a^7")?;
        if b != 0 {
            law("a", "a/b*b+a%b")?;
            law("a*b/b", "a")?;
        }
    }

    #[test]
    fn what_is_written_is_read_again_in_every_base(n in any::<u128>(), base in 2_u32..=36) {
        let written = bc(&format!("obase={base};{n}"));
        if base <= 16 {
            let ibase = format!("ibase={base}");
            prop_assert_eq!(bc(&format!("{ibase};{written}")), n.to_string());
        } else {
            let digits = written.split_whitespace().map(|group| group.parse::<u128>().unwrap_or(u128::MAX));
            prop_assert_eq!(digits.fold(0, |value, digit| value * u128::from(base) + digit), n);
        }
    }
}

fn word() -> impl Strategy<Value = String> {
    let signs = [
        "+", "-", "*", "/", "%", "^", "(", ")", ";", "=", "==", "!=", "<", ">", "<=", ">=", "!", "&&", "||", "++",
        "--", "+=", "^=", " ", "x", "y", "scale", "ibase", "obase", "sqrt(", "length(", "scale(", ".", "9", "1.5", "F",
        "00",
    ];
    prop_oneof![8 => prop::sample::select(signs.to_vec()).prop_map(str::to_owned), 1 => "[ -~]{1,3}"]
}
