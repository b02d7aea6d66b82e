//! The filter of a table: a text that an operator types.

/// What is typed to narrow a table. A leading `!` inverts it; case is ignored; an empty one matches everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    inverse: bool,
    /// In lower case.
    text: String,
}

impl Filter {
    /// The filter that was typed.
    pub fn new(typed: &str) -> Self {
        let trimmed = typed.trim();
        let (inverse, text) = match trimmed.strip_prefix('!') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, trimmed),
        };
        Self { inverse, text: text.to_lowercase() }
    }

    /// Its text, in lower case and without a `!`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a row with these fields is shown.
    pub fn matches<'a>(&self, fields: impl IntoIterator<Item = &'a str>) -> bool {
        self.text.is_empty() || fields.into_iter().any(|field| contains(field, &self.text)) != self.inverse
    }
}

/// Whether `text` contains `lower`, ignoring the case of `text`.
fn contains(text: &str, lower: &str) -> bool {
    if text.is_ascii() && lower.is_ascii() {
        let (text, lower) = (text.as_bytes(), lower.as_bytes());
        return text.windows(lower.len()).any(|piece| piece.eq_ignore_ascii_case(lower));
    }
    text.to_lowercase().contains(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_ignores_case_in_every_script() {
        assert!(contains("WEB-01", "eb-0"));
        assert!(contains("ÅSE", "åse"));
        assert!(!contains("web", "webs"));
    }

    #[test]
    fn an_exclamation_mark_turns_it_round() {
        let shown = |typed: &str| Filter::new(typed).matches(["web-01", "mysql"]);
        assert_eq!(
            ["", " ", "!", "WEB", "apache", "! web", "!apache"].map(shown),
            [true, true, true, true, false, false, true]
        );
    }
}
