//! bc's rules, each as bc 1.07.1 itself answered; what is refused, and why; lines that would keep a worker for ever.

use std::cell::Cell;
use std::fmt::Write;

use proptest::prelude::*;

use super::{BcLimits, Reason, evaluate};

/// The answer's lines in one, or the refusal.
fn bc(line: &str) -> String {
    match evaluate(line, &BcLimits::default(), &|| false) {
        Ok(output) => output.lines().collect::<Vec<_>>().join(" "),
        Err(refusal) => refusal.to_string(),
    }
}

fn within(limits: BcLimits, line: &str) -> Result<String, Reason> {
    evaluate(line, &limits, &|| false).map_err(|refusal| refusal.reason)
}

#[track_caller]
fn answers(pairs: &[(&str, &str)]) {
    let mut wrong = String::new();
    for (line, answer) in pairs {
        let ours = bc(line);
        if ours != *answer {
            writeln!(wrong, "{line}: {ours}, not {answer}").expect("a string takes text");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn sums_take_the_larger_scale_and_products_are_cut() {
    answers(&[
        (".5+.5", "1.0"),
        ("1.23*4.56", "5.60"),
        (".1*.1", "0"),
        ("1.10-.1", "1.00"),
        ("scale=3;1.23*4.56", "5.608"),
        ("scale=9;1.23*4.56", "5.6088"),
        ("1.5*-1.5", "-2.2"),
    ]);
}

#[test]
fn quotients_are_cut_toward_zero_and_remainders_go_with_them() {
    answers(&[
        ("-7/2", "-3"),
        ("-1/3", "0"),
        ("-7%3", "-1"),
        ("7%-3", "1"),
        ("scale=2;5%0.3", ".002"),
        ("scale=5;1/3", ".33333"),
        ("scale=5;-1/3", "-.33333"),
        ("1.25/1", "1"),
        ("scale=1;1.25/1", "1.2"),
        ("scale=4;1/8", ".1250"),
        ("5.5%5", ".5"),
        ("2/.0001", "20000"),
    ]);
}

#[test]
fn powers_are_exact_and_cut_once() {
    answers(&[
        ("2^3^2", "512"),
        ("1.5^2", "2.2"),
        ("2^-3", "0"),
        ("scale=5;2^-3", ".12500"),
        ("scale=3;1.5^3", "3.375"),
        ("1.5^0", "1"),
        ("0^0", "1"),
        ("1^2147483649", "1"),
        ("-1^2147483649", "-1"),
        ("0^2147483649", "0"),
        ("2^100", "1267650600228229401496703205376"),
        ("scale=3;2^-1*4", "2.000"),
    ]);
}

#[test]
fn a_negative_zero_comes_from_powers_and_stays_in_sums() {
    answers(&[
        ("(-.1)^3", "-0"),
        ("(-.1)^3+(-.1)^3", "-0"),
        ("(-.1)^3-0", "-0"),
        ("(-.1)^3%7", "-0"),
        ("(-.1)^3*1", "0"),
        ("-(-.1)^3", "0"),
        ("(-.1)^3==0", "0"),
        ("(-.1)^3<0", "1"),
        ("((-.1)^3)^1", "-0"),
        ("((-.1)^3)^3", "0"),
        ("sqrt((-.1)^3)", "character 1: square root of a negative number"),
        ("0*-1", "0"),
        ("-0", "0"),
    ]);
}

#[test]
fn operators_bind_as_in_bc() {
    answers(&[
        ("-2^2", "4"),
        ("3-2^2", "-1"),
        ("2^-1^2", "2"),
        ("2<3+1", "1"),
        ("5+-2", "3"),
        ("5--2", "character 2: `--` cannot stand here"),
        ("5- -2", "7"),
        ("10-3-2", "5"),
        ("100/10/5", "2"),
        ("!0+1", "0"),
        ("1+!0", "2"),
        ("1+!2+3", "1"),
        ("!1<2", "0"),
        ("1<2<3", "1"),
        ("3>2>1", "0"),
        ("!0==0", "0"),
        ("2*(3+4)", "14"),
        ("1+x=5", "6"),
        ("1+x=5+2;x", "8 7"),
        ("x=1<2;x", "1 1"),
        ("-x=5;x", "5"),
        ("2^x=3", "8"),
    ]);
}

#[test]
fn and_and_or_stop_early() {
    answers(&[
        ("1&&2", "1"),
        ("1&&0", "0"),
        ("0||.5", "1"),
        ("0&&1/0", "0"),
        ("1||1/0", "1"),
        ("1&&x++||y++;x;y", "0 1 1"),
        ("0||0&&1", "0"),
        ("length(0.001&&1)", "1"),
        ("length(1&&.000)", "3"),
        ("length(0.001||0.00)", "1"),
        ("scale(1&&0.000)", "3"),
        ("!0&&0", "0"),
    ]);
}

#[test]
fn capitals_are_digits_and_small_letters_variables() {
    answers(&[
        ("1F", "19"),
        ("F", "15"),
        ("Z", "35"),
        ("1E3", "193"),
        ("0F", "15"),
        ("00F.1", "9.1"),
        ("F.0", "9.0"),
        (".F", ".9"),
        ("5.", "5"),
        ("007", "7"),
        ("x", "0"),
        ("long_name2=4;long_name2", "4"),
        ("x=3", ""),
        ("(x=3)", "3"),
        ("x=y=3;x+y", "6"),
        ("x=3&&y=4", ""),
        ("!x=0", ""),
        ("-x=5", ""),
        ("x=5||0", "1"),
        ("x=-2;x", "-2"),
        ("x=3;x+=4;x*=2;x-=1;x/=2;x", "6"),
        ("x=7;x%=4;x^=3;x", "27"),
        ("x++;x++;x", "0 1 2"),
        ("++x;--x;x--;x", "1 0 0 -1"),
        ("x=.5;x++;x", ".5 1.5"),
        ("x+++x", "1"),
        ("x=2;x+=x++;x", "4"),
    ]);
}

#[test]
fn statements_are_parted_by_semicolons() {
    answers(&[("", ""), (" \t", ""), (";", ""), (";;1;;2;", "1 2"), ("1 ; 2", "1 2"), ("scale = 3 ; 1 / 8", ".125")]);
}

#[test]
fn numbers_are_written_as_bc_writes_them() {
    let long = "123^123";
    answers(&[("0.5", ".5"), ("-0.5", "-.5"), ("0.00", "0"), ("1.500", "1.500"), ("10", "10")]);
    let power = bc(long);
    assert_eq!(power.len(), 258, "never wrapped");
    assert!(power.starts_with("114374367934617190099880295228066276746218078451"), "{power}");
}

#[test]
fn scale_is_read_set_and_counted() {
    answers(&[
        ("scale", "0"),
        ("scale=7;scale", "7"),
        ("scale=2.9;scale", "2"),
        ("(scale=2.9)", "2.9"),
        ("scale++;++scale;scale", "0 2 2"),
        ("scale+=4;1/3", ".3333"),
        ("scale=2147483647;scale;1.5*1.5", "2147483647 2.25"),
        ("scale=2147483648", "character 6: scale must be 0 to 2147483647: bc warns of anything else"),
        ("scale=-1", "character 6: scale must be 0 to 2147483647: bc warns of anything else"),
        ("scale=.5", "character 6: scale must be 0 to 2147483647: bc warns of anything else"),
        ("scale--", "character 6: scale must be 0 to 2147483647: bc warns of anything else"),
    ]);
}

#[test]
fn functions_are_bcs_own() {
    answers(&[
        ("sqrt(2)", "1"),
        ("sqrt(16)", "4"),
        ("scale=20;sqrt(2)", "1.41421356237309504880"),
        ("scale=3;sqrt(16)", "4.000"),
        ("sqrt(1.00)", "1"),
        ("sqrt(0.00)", "0"),
        ("sqrt(.01)", ".10"),
        ("sqrt(152399025)", "12345"),
        ("sqrt(-4)", "character 1: square root of a negative number"),
        ("length(123.450)", "6"),
        ("length(0)", "1"),
        ("length(.00)", "2"),
        ("length(0.5)", "1"),
        ("length(10^50)", "51"),
        ("length(10^50-1)", "50"),
        ("length(-7)", "1"),
        ("scale(1.000)", "3"),
        ("scale (2)", "0"),
        ("scale(1)+scale", "0"),
    ]);
}

#[test]
fn bases_work_as_in_bc() {
    answers(&[
        ("ibase=2;1012", "11"),
        ("ibase=2;5.1", "5.5"),
        ("ibase=2;12.1", "3.5"),
        ("ibase=16;F.8", "15.5"),
        ("ibase=16;1F", "31"),
        ("ibase=Z;10", "35"),
        ("ibase=8;0.1", ".1"),
        ("ibase=16;.001;A", "0 10"),
        ("ibase=37", "character 6: ibase must be 2 to 36: bc warns of anything else"),
        ("ibase=1", "character 6: ibase must be 2 to 36: bc warns of anything else"),
        ("ibase=16;ibase++", "character 15: ibase must be 2 to 16: bc warns of anything else"),
        ("ibase=20;ibase--;ibase", "20 19"),
        ("obase=100;12345", " 01 23 45"),
        ("obase=16;255.5", "FF.8"),
        ("obase=2;.7", ".1011"),
        ("obase=17;300.55;-20", " 01 00 11.09 05 - 01 03"),
        ("obase=10000000;12345678912345.678", " 1234567 8912345.6780000"),
        ("obase=2147483647;2147483647", " 0000000001 0000000000"),
        ("obase=16;0;-0.0", "0 0"),
        ("obase=1", "character 6: obase must be 2 to 2147483647: bc warns of anything else"),
        ("obase=2;scale=3;obase", "10"),
    ]);
}

#[test]
fn what_bc_complains_of_is_refused() {
    answers(&[
        ("5;1/0;7", "character 4: divide by zero"),
        ("1%0", "character 2: modulo by zero"),
        ("0^-1", "character 2: divide by zero"),
        ("2^1.5", "character 2: the exponent has a fraction: bc cuts it off, with a warning"),
        ("2^1.0", "character 2: the exponent has a fraction: bc cuts it off, with a warning"),
        ("2^2147483650", "character 2: the exponent is too large: bc takes up to 2147483649"),
        ("1+", "character 3: the end of the line cannot stand here"),
        ("(1", "character 3: the end of the line cannot stand here"),
        ("1)", "character 2: `)` cannot stand here"),
        ("()", "character 2: `)` cannot stand here"),
        ("2x", "character 2: `x` cannot stand here"),
        ("+1", "character 1: `+` cannot stand here"),
        ("1 2", "character 3: `2` cannot stand here"),
        ("(x)=1", "character 4: `=` cannot stand here"),
        ("++5", "character 3: `5` cannot stand here"),
        ("++x=5", "character 4: `=` cannot stand here"),
        ("x++=5", "character 4: `=` cannot stand here"),
        ("sqrt", "character 5: the end of the line cannot stand here"),
        ("1,2", "character 2: `,` cannot stand here"),
        ("1&2", "character 2: `&` cannot stand here"),
        ("1|2", "character 2: bc has no use for '|'"),
        ("2×3", "character 2: bc has no use for '×'"),
        ("1\r", "character 2: bc has no use for '\\r'"),
        ("1\0", "character 2: bc has no use for '\\0'"),
        ("$1", "character 1: bc has no use for '$'"),
    ]);
}

#[test]
fn what_is_left_out_is_named() {
    for word in [
        "auto", "break", "continue", "define", "else", "for", "halt", "history", "if", "last", "limits", "print",
        "quit", "random", "read", "return", "void", "warranty", "while",
    ] {
        assert_eq!(
            bc(&format!("1;{word} (1)")),
            format!("character 3: `{word}` is not part of what whimbrel's bc does")
        );
    }
    let left_out = |line: &str, what: &str| {
        assert!(bc(line).ends_with(&format!(": {what} not part of what whimbrel's bc does")), "{line}: {}", bc(line));
    };
    left_out(".", "`.` for the last number is");
    left_out("1 . 2", "`.` for the last number is");
    left_out("s(1)", "the function `s` is");
    left_out("x[1]", "arrays are");
    left_out("\"a\"", "strings are");
    left_out("1 # one", "comments are");
    left_out("1 /* one */", "comments are");
    left_out("{1}", "blocks in braces are");
    left_out("1\n2", "a second line is");
    left_out("1\\", "a line that goes on in the next is");
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
