//! whimbrel's bc beside Debian's: the same output, and a refusal wherever bc writes to standard error.

use std::cell::Cell;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use whimbrel::core::queue::bc::{BcLimits, Reason, Refusal, evaluate};

use crate::support::services::or_skip;

/// Lines in a case, which one process of bc answers.
const LINES: usize = 250;
/// Cases of each test, twenty times as many with `WHIMBREL_LONG=1`: together well over 10,000 lines.
const CASES: u32 = 25;

/// Separates the answers of one process. No answer has it.
const MARK: &str = "@\n";
/// What makes the next line independent of the one before. `A` is ten in every base.
const RESET: &str = "ibase=A;obase=A;scale=0;x=0;y=0;z_1=0";

/// A command that runs bc, with this on its input.
fn start(mut bc: Command, input: &str) -> Child {
    bc.env_remove("BC_ENV_ARGS")
        .env_remove("POSIXLY_CORRECT")
        .env("BC_LINE_LENGTH", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = bc.spawn().expect("bc starts");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let input = input.to_owned();
    // Beside what reads its output: pipes are short. A bc that is ended reads no more.
    std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    child
}

/// What bc writes to standard output and to standard error. One that does not end is wrong by what it left out.
fn bc(input: &str) -> (String, String) {
    let mut bc = Command::new("timeout");
    bc.args(["120", "bc"]);
    let answer = start(bc, input).wait_with_output().expect("bc ends");
    let text = |bytes| String::from_utf8(bytes).expect("bc writes ASCII");
    (text(answer.stdout), text(answer.stderr))
}

/// Whether bc writes anything to standard error. After a warning it may work on for hours: nobody waits for that.
fn complains(input: &str) -> bool {
    let mut child = start(Command::new("bc"), input);
    let errors = child.stderr.take().expect("it is a pipe").read(&mut [0]).expect("it can be read");
    let _ = child.kill();
    child.wait().expect("bc ends");
    errors > 0
}

/// Whether bc is on this machine.
fn installed() -> Result<(), String> {
    let version = Command::new("bc").arg("--version").output().map_err(|why| format!("bc does not start: {why}"))?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    if version.starts_with("bc 1.07.1") { Ok(()) } else { Err(format!("it needs bc 1.07.1, and there is {version}")) }
}

/// What the line comes to here; nothing if it is refused without a word about bc: as too long, or as left out.
fn ours(line: &str) -> Option<Result<String, Refusal>> {
    let limits = BcLimits { digits: 2_000, work: 1_000_000, ..BcLimits::default() };
    match evaluate(line, &limits, &|| false) {
        Err(Refusal { reason: Reason::Digits { .. } | Reason::Work(_) | Reason::LeftOut(_), .. }) => None,
        answer => Some(answer),
    }
}

/// What is answered here, bc answers so, without a complaint; of what is refused it complains. How many were compared.
///
/// One process answers all that it should answer without a complaint. Each of the others has its own.
fn agree(lines: &[String]) -> Result<usize, TestCaseError> {
    let (mut clean, mut compared) = (Vec::new(), 0);
    for line in lines {
        match ours(line) {
            Some(Ok(output)) => clean.push((line, output)),
            Some(Err(refusal)) => prop_assert!(complains(&format!("{line}\n")), "bc takes {line}: {refusal}"),
            None => continue,
        }
        compared += 1;
    }
    let input: String = clean.iter().map(|(line, _)| format!("{line}\nprint \"@\\n\"\n{RESET}\n")).collect();
    let output: String = clean.iter().map(|(_, output)| format!("{output}{MARK}")).collect();
    if bc(&input) != (output, String::new()) {
        for (line, output) in clean {
            prop_assert_eq!(bc(&format!("{line}\n")), (output, String::new()), "{}", line);
        }
        prop_assert!(false, "lines agree one by one, and not together");
    }
    Ok(compared)
}

fn compare(name: &str, cases: u32, line: impl Strategy<Value = String>) {
    let Some(()) = or_skip(name, installed()) else { return };
    let is_long = std::env::var_os("WHIMBREL_LONG").is_some_and(|value| value == "1");
    let cases = if is_long { cases * 20 } else { cases };
    let compared = Cell::new(0);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let lines = prop::collection::vec(line, LINES);
    let result = TestRunner::new(config).run(&lines, |lines| {
        compared.set(compared.get() + agree(&lines)?);
        Ok(())
    });
    result.unwrap_or_else(|why| panic!("{why}"));
    let drawn = cases as usize * LINES;
    assert!(compared.get() > drawn * 7 / 10, "{} of {drawn} lines were compared", compared.get());
}

/// Constants in all of bc's spellings.
fn constant() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (0_u32..20).prop_map(|n| n.to_string()),
        2 => "[0-9]{1,30}",
        3 => "[0-9]{0,3}\\.[0-9]{1,4}",
        1 => "[0-9]{1,12}\\.[0-9]{1,20}",
        1 => "0{0,2}[0-9A-F]{1,4}(\\.[0-9A-F]{0,3})?",
        1 => "[A-Z]",
        1 => Just(".0".to_owned()),
    ]
}

fn register() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["x", "y", "z_1", "x", "y", "scale", "ibase", "obase"]).prop_map(str::to_owned)
}

fn blank() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", " ", "\t "])
}

/// Expressions of all operators, with parentheses where they fall: precedence is what is tested.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![5 => constant(), 2 => register()];
    leaf.prop_recursive(5, 24, 2, |inner| {
        let sign = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "&&", "||",
        ]);
        let assign = prop::sample::select(vec!["=", "=", "=", "+=", "-=", "*=", "/=", "%="]);
        let function = prop::sample::select(vec!["sqrt", "length", "scale"]);
        let small = prop_oneof![8 => "[0-9]", 2 => "-[0-9]", 1 => "1[0-9]", 1 => "\\(-?[0-9]\\)", 1 => "[0-9]\\.[0-9]"];
        let variable = prop::sample::select(vec!["x", "y", "z_1"]);
        prop_oneof![
            8 => (inner.clone(), blank(), sign, blank(), inner.clone()).prop_map(|(a, b, s, c, d)| [&a, b, s, c, &d].concat()),
            3 => (inner.clone(), small).prop_map(|(a, n)| format!("{a}^{n}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}^({b})")),
            3 => inner.clone().prop_map(|a| format!("({a})")),
            2 => inner.clone().prop_map(|a| format!("-{a}")),
            1 => inner.clone().prop_map(|a| format!("!{a}")),
            2 => (function, blank(), inner.clone()).prop_map(|(f, b, a)| format!("{f}{b}({a})")),
            2 => (variable.clone(), assign, inner).prop_map(|(v, s, a)| format!("{v}{s}{a}")),
            1 => (variable.clone(), prop::sample::select(vec!["++", "--"])).prop_map(|(v, s)| format!("{v}{s}")),
            1 => (prop::sample::select(vec!["++", "--"]), variable).prop_map(|(s, v)| format!("{s}{v}")),
        ]
    })
}

fn statement() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => expression(),
        3 => (0_u32..30).prop_map(|n| format!("scale={n}")),
        1 => (2_u32..40).prop_map(|n| format!("obase={n}")),
        1 => (2_u32..3_000).prop_map(|n| format!("obase={n}")),
        1 => (1_u32..38).prop_map(|n| format!("ibase={n}")),
        1 => (register(), "[-+*/%^]?=", expression()).prop_map(|(r, s, e)| format!("{r} {s} {e}")),
        1 => (register(), prop::sample::select(vec!["++", "--"])).prop_map(|(r, s)| format!("{r}{s};{r}")),
        1 => Just(String::new()),
    ]
}

fn line() -> impl Strategy<Value = String> {
    prop::collection::vec(statement(), 1..5).prop_map(|statements| statements.join(";"))
}

/// Two long numbers, and one operation of them at any scale.
fn operation() -> impl Strategy<Value = String> {
    let number = || {
        let digits = prop_oneof!["[0-9]{0,8}", "[0-9]{1,400}", "(9{1,60}|0{1,60}|[1-9]0{1,60}){1,4}"];
        (prop::bool::ANY, digits.clone(), digits)
            .prop_map(|(minus, whole, fraction)| format!("{}0{whole}.{fraction}", if minus { "-" } else { "" }))
    };
    let last = "x+y;x-y;x*y;y-x;x==y;x<y;length(x);length(y);scale(x*y)";
    let operations = prop_oneof![
        3 => Just(last),
        3 => Just("x/y"),
        2 => Just("x%y"),
        2 => Just("sqrt(x*x)"),
        2 => Just("y=x;y*=x<0;x-=2*y;sqrt(x)"),
        1 => Just("x^3;x^-2;x^1"),
    ];
    (number(), number(), 0_u32..200, operations)
        .prop_map(|(x, y, scale, rest)| format!("scale={scale};x={x};y={y};{rest}"))
}

/// What the unit tests hold whimbrel's bc to is what bc does.
#[test]
fn each_rule_is_bcs_own() {
    let Some(()) = or_skip("each_rule_is_bcs_own", installed()) else { return };
    let rules = include_str!("../data/bc/rules.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines = rules.map(|rule| rule.split(['→', '✗']).next().unwrap_or_default().to_owned());
    agree(&lines.collect::<Vec<_>>()).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn expressions_come_to_what_bc_says() {
    compare("expressions_come_to_what_bc_says", CASES, line());
}

#[test]
fn long_numbers_come_to_what_bc_says() {
    compare("long_numbers_come_to_what_bc_says", CASES, operation());
}

/// Words of bc in any order: what is refused here is what bc does not take.
#[test]
fn bc_takes_no_line_that_is_refused() {
    // Names have blanks around them: two that became one would be a variable that is not set back.
    let words = prop::sample::select(vec![
        "+", "-", "*", "/", "%", "^", "(", ")", ";", "=", "==", "<", "!", "&&", "||", "++", "--", "+=", " x ", " y ",
        " scale ", " sqrt ", "length(", "1", "2", " 3 ", " x ", ",", "&", "|", "$", "~",
    ]);
    let line = prop::collection::vec(words, 1..7).prop_map(|words| words.concat());
    compare("bc_takes_no_line_that_is_refused", CASES / 5, line);
}
