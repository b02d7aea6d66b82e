//! The characters the screens are drawn with, and their ASCII stand-ins.

/// One set of characters. Every one of them is one column wide.
#[derive(Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// A filled and an empty step of a gauge.
    pub gauge: [&'static str; 2],
    /// A sparkline's heights, lowest first. None fills its line, so that lines stay apart.
    pub spark: [&'static str; 7],
    /// `at least`; the only one that may be wider than a column.
    pub at_least: &'static str,
    /// The line of a panel's title.
    pub rule: &'static str,
    /// A bound on a graph.
    pub dash: &'static str,
    /// A graph's y axis: a plain step, one with a number, the foot.
    pub axis: [&'static str; 3],
    /// A graph's x axis: a plain step, a tick.
    pub ticks: [&'static str; 2],
    /// A move and an edit below a graph.
    pub marks: [&'static str; 2],
    /// A marked row.
    pub marked: &'static str,
    /// Sorted down and up.
    pub sorted: [&'static str; 2],
    /// Something was cut off here.
    pub cut: &'static str,
    /// A dialog's border: horizontal, vertical, and the corners from top left, clockwise.
    pub border: [&'static str; 6],
    /// Where text is typed.
    pub caret: &'static str,
    /// A gate passes, warns, blocks.
    pub verdicts: [&'static str; 3],
    /// Braille dots for graphs; otherwise lines of text.
    pub braille: bool,
}

/// For a terminal that speaks UTF-8.
pub const UNICODE: Glyphs = Glyphs {
    gauge: ["▰", "▱"],
    spark: ["▁", "▂", "▃", "▄", "▅", "▆", "▇"],
    at_least: "≥",
    rule: "─",
    dash: "╌",
    axis: ["│", "┤", "┼"],
    ticks: ["─", "┴"],
    marks: ["▲", "△"],
    marked: "◆",
    sorted: ["▾", "▴"],
    cut: "…",
    border: ["─", "│", "┌", "┐", "┘", "└"],
    caret: "▏",
    verdicts: ["✓", "~", "✗"],
    braille: true,
};

/// For every other terminal.
pub const ASCII: Glyphs = Glyphs {
    gauge: ["#", "."],
    spark: ["_", ".", "-", "=", "+", "*", "#"],
    at_least: ">=",
    rule: "-",
    dash: "-",
    axis: ["|", "|", "+"],
    ticks: ["-", "+"],
    marks: ["^", "'"],
    marked: "*",
    sorted: ["v", "^"],
    cut: "~",
    border: ["-", "|", "+", "+", "+", "+"],
    caret: "_",
    verdicts: ["+", "~", "x"],
    braille: false,
};

impl Glyphs {
    /// The set for a terminal.
    pub const fn pick(ascii: bool) -> &'static Self {
        if ascii { &ASCII } else { &UNICODE }
    }

    /// Whether a locale such as `LC_ALL` names it speaks UTF-8.
    pub fn is_utf8(locale: &str) -> bool {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_says_whether_it_speaks_utf8() {
        let known = [("en_GB.UTF-8", true), ("C.utf8", true), ("nb_NO.ISO-8859-1", false), ("C", false), ("", false)];
        for (locale, utf8) in known {
            assert_eq!(Glyphs::is_utf8(locale), utf8, "{locale}");
        }
    }
}
