//! The words of a line of bc.

use super::{Reason, Refusal};

/// A word of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lexeme<'a> {
    /// A constant, as it is written.
    Constant(&'a str),
    /// A variable.
    Name(&'a str),
    Scale,
    Ibase,
    Obase,
    Sqrt,
    Length,
    Operator(Operator),
    Not,
    /// `=`, or one that computes first, such as `+=`.
    Assign(Option<Operator>),
    Increment,
    Decrement,
    Open,
    Close,
    Semicolon,
    End,
}

/// An operator between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Raise,
}

/// Words with a meaning of their own in bc that this bc leaves out.
const LEFT_OUT: [&str; 19] = [
    "auto", "break", "continue", "define", "else", "for", "halt", "history", "if", "last", "limits", "print", "quit",
    "random", "read", "return", "void", "warranty", "while",
];

/// The longest first, where one begins with another.
const SIGNS: [(&str, Lexeme<'static>); 27] = {
    use Operator::*;
    [
        ("&&", Lexeme::Operator(And)),
        ("||", Lexeme::Operator(Or)),
        ("==", Lexeme::Operator(Equal)),
        ("!=", Lexeme::Operator(NotEqual)),
        ("<=", Lexeme::Operator(LessOrEqual)),
        (">=", Lexeme::Operator(GreaterOrEqual)),
        ("++", Lexeme::Increment),
        ("--", Lexeme::Decrement),
        ("+=", Lexeme::Assign(Some(Add))),
        ("-=", Lexeme::Assign(Some(Subtract))),
        ("*=", Lexeme::Assign(Some(Multiply))),
        ("/=", Lexeme::Assign(Some(Divide))),
        ("%=", Lexeme::Assign(Some(Remainder))),
        ("^=", Lexeme::Assign(Some(Raise))),
        ("<", Lexeme::Operator(Less)),
        (">", Lexeme::Operator(Greater)),
        ("+", Lexeme::Operator(Add)),
        ("-", Lexeme::Operator(Subtract)),
        ("*", Lexeme::Operator(Multiply)),
        ("/", Lexeme::Operator(Divide)),
        ("%", Lexeme::Operator(Remainder)),
        ("^", Lexeme::Operator(Raise)),
        ("!", Lexeme::Not),
        ("=", Lexeme::Assign(None)),
        ("(", Lexeme::Open),
        (")", Lexeme::Close),
        (";", Lexeme::Semicolon),
    ]
};

/// The word that begins at `at` or after the blanks there, where it begins, and where the next may.
pub fn next(line: &str, at: usize) -> Result<(Lexeme<'_>, usize, usize), Refusal> {
    let rest = line[at..].trim_start_matches([' ', '\t']);
    let begin = line.len() - rest.len();
    let word = |lexeme, length: usize| Ok((lexeme, begin, begin + length));
    let refuse = |reason| Err(Refusal { at: begin + 1, reason });
    let Some(first) = rest.chars().next() else { return word(Lexeme::End, 0) };
    let constant = constant(rest);
    if constant > 0 {
        return word(Lexeme::Constant(&rest[..constant]), constant);
    }
    if first.is_ascii_lowercase() {
        let name = length(rest, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_');
        return match &rest[..name] {
            "scale" => word(Lexeme::Scale, name),
            "ibase" => word(Lexeme::Ibase, name),
            "obase" => word(Lexeme::Obase, name),
            "sqrt" => word(Lexeme::Sqrt, name),
            "length" => word(Lexeme::Length, name),
            word if LEFT_OUT.contains(&word) => refuse(Reason::LeftOut(format!("`{word}` is"))),
            variable => word(Lexeme::Name(variable), name),
        };
    }
    if first == '#' || rest.starts_with("/*") {
        return refuse(Reason::LeftOut("comments are".to_owned()));
    }
    if let Some((sign, lexeme)) = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
        return word(*lexeme, sign.len());
    }
    match first {
        '.' => refuse(Reason::LeftOut("`.` for the last number is".to_owned())),
        '"' => refuse(Reason::LeftOut("strings are".to_owned())),
        '[' | ']' => refuse(Reason::LeftOut("arrays are".to_owned())),
        '{' | '}' => refuse(Reason::LeftOut("blocks in braces are".to_owned())),
        '\\' => refuse(Reason::LeftOut("a line that goes on in the next is".to_owned())),
        '\n' => refuse(Reason::LeftOut("a second line is".to_owned())),
        ',' | '&' => refuse(Reason::Syntax(format!("`{first}`"))),
        _ => refuse(Reason::Character(first)),
    }
}

/// The length of the constant at the beginning: digits and capitals, with a point before, between or after them.
fn constant(text: &str) -> usize {
    let digits = |text: &str| length(text, |c| c.is_ascii_digit() || c.is_ascii_uppercase());
    let whole = digits(text);
    match text[whole..].strip_prefix('.').map(digits) {
        Some(fraction) if whole + fraction > 0 => whole + 1 + fraction,
        _ => whole,
    }
}

/// How many bytes at the beginning are of a kind.
fn length(text: &str, kind: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|c| kind(*c)).count()
}
