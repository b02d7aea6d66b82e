//! A line of TOML in pieces: what is a key, a string, a number, a comment. Light: whether it is right, the engine says.

/// What a piece of a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A key, or a table's head.
    Key,
    /// `=`, commas, brackets, spaces.
    Sign,
    /// A quoted text, quotes and all.
    Text,
    /// A number.
    Number,
    /// A bare word, as `true` is.
    Word,
    /// From the `#` on.
    Comment,
}

/// A piece of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: Kind,
    /// In characters, from 0.
    pub from: usize,
    /// The character behind it.
    pub to: usize,
}

/// The pieces of a line, in order, without holes.
pub fn pieces(line: &str) -> Vec<Piece> {
    let chars: Vec<char> = line.chars().collect();
    let mut pieces = Vec::new();
    let mut is_key = !line.trim_start().starts_with('[');
    let mut at = 0;
    while let Some(c) = chars.get(at) {
        let (kind, to) = match c {
            '#' => (Kind::Comment, chars.len()),
            '"' | '\'' => (if is_key { Kind::Key } else { Kind::Text }, quoted(&chars, at)),
            c if is_bare(*c) => bare(&chars, at, is_key),
            _ => (Kind::Sign, at + 1),
        };
        match c {
            '=' => is_key = false,
            // Within an inline table the next key follows; within a list a number would be drawn as one all the same.
            '{' | ',' => is_key = true,
            _ => {}
        }
        pieces.push(Piece { kind, from: at, to });
        at = to;
    }
    pieces
}

/// What follows the line's first `=`: a text without its quotes, or the number or word; in characters.
pub fn value(line: &str) -> Option<(usize, usize)> {
    let pieces = pieces(line);
    let mut after = pieces.iter().skip_while(|piece| char_at(line, piece.from) != Some('=')).skip(1);
    let piece = after.find(|piece| piece.kind != Kind::Sign || char_at(line, piece.from).is_some_and(|c| c != ' '))?;
    match piece.kind {
        Kind::Text => {
            let closed = piece.to > piece.from + 1 && char_at(line, piece.to - 1) == char_at(line, piece.from);
            Some((piece.from + 1, if closed { piece.to - 1 } else { piece.to }))
        }
        Kind::Number | Kind::Word | Kind::Key => Some((piece.from, piece.to)),
        Kind::Sign | Kind::Comment => None,
    }
}

/// The line's key, if it has one.
pub fn key(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    let key = key.trim();
    (!key.is_empty() && !key.starts_with('#')).then_some(key)
}

fn char_at(line: &str, at: usize) -> Option<char> {
    line.chars().nth(at)
}

const fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '.' | ':')
}

/// The end of a quoted text that begins here; an open one ends with its line.
fn quoted(chars: &[char], from: usize) -> usize {
    let quote = chars[from];
    let mut at = from + 1;
    while let Some(c) = chars.get(at) {
        match c {
            '\\' if quote == '"' => at += 1,
            c if *c == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    chars.len()
}

fn bare(chars: &[char], from: usize, is_key: bool) -> (Kind, usize) {
    let to = chars[from..].iter().position(|c| !is_bare(*c)).map_or(chars.len(), |n| from + n);
    let number = chars[from].is_ascii_digit() || matches!(chars[from], '+' | '-' | '.');
    let kind = match (is_key, number) {
        (true, _) => Kind::Key,
        (false, true) => Kind::Number,
        (false, false) => Kind::Word,
    };
    (kind, to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds(line: &str) -> Vec<(Kind, String)> {
        let text = |piece: &Piece| line.chars().skip(piece.from).take(piece.to - piece.from).collect::<String>();
        pieces(line).iter().map(|piece| (piece.kind, text(piece))).filter(|(_, text)| text != " ").collect()
    }

    #[test]
    fn a_line_falls_into_key_value_and_comment() {
        let found = kinds("threshold = 50 # was 40 = low");
        let expected = [(Kind::Key, "threshold"), (Kind::Sign, "="), (Kind::Number, "50")];
        assert!(found.iter().zip(expected).all(|((kind, text), (k, t))| *kind == k && text == t));
        assert_eq!(found[3], (Kind::Comment, "# was 40 = low".to_owned()));
    }

    #[test]
    fn a_hash_within_quotes_is_text() {
        assert_eq!(kinds("hours = \"Mon # \\\" 9\"").last(), Some(&(Kind::Text, "\"Mon # \\\" 9\"".to_owned())));
        assert_eq!(kinds("zone = 'a").last(), Some(&(Kind::Text, "'a".to_owned())), "an open text ends with its line");
    }

    #[test]
    fn a_value_is_what_one_would_type_anew() {
        let valued =
            |line: &str| value(line).map(|(from, to)| line.chars().skip(from).take(to - from).collect::<String>());
        assert_eq!(valued("threshold = 50   # x").as_deref(), Some("50"));
        assert_eq!(valued("kind = \"threshold\"").as_deref(), Some("threshold"));
        assert_eq!(valued("flag=true").as_deref(), Some("true"));
        assert_eq!(valued("zone = \"Eur").as_deref(), Some("Eur"));
        assert_eq!(valued("low = -0.5").as_deref(), Some("-0.5"));
        assert_eq!([valued("# a = 5"), valued("tarry ="), valued("tarry = # 3"), valued("")], [None, None, None, None]);
    }

    #[test]
    fn keys_are_named() {
        assert_eq!([key("low_tarry = 3"), key("# tarry = 3"), key("tarry")], [Some("low_tarry"), None, None]);
    }

    proptest! {
        #[test]
        fn pieces_cover_a_line_without_holes(line in "\\PC{0,60}") {
            let mut at = 0;
            for piece in pieces(&line) {
                prop_assert_eq!(piece.from, at);
                prop_assert!(piece.to > piece.from);
                at = piece.to;
            }
            prop_assert_eq!(at, line.chars().count());
            if let Some((from, to)) = value(&line) {
                prop_assert!(from <= to && to <= at);
            }
        }
    }
}
