//! How things look: a style for every role, in as many colours as the terminal has; and the characters of the screens, with
//! an ASCII replacement for each.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

/// A built-in theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ThemeName {
    /// For a dark background.
    #[default]
    Dark,
    /// For a light background.
    Light,
    /// Without colours.
    Mono,
}

impl ThemeName {
    /// All of them, in the order in which a key goes through them.
    pub const ALL: [Self; 3] = [Self::Dark, Self::Light, Self::Mono];

    /// The theme's name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Mono => "mono",
        }
    }

    /// The one after it.
    pub const fn next(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::Mono,
            Self::Mono => Self::Dark,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Dark => include_str!("../../themes/dark.toml"),
            Self::Light => include_str!("../../themes/light.toml"),
            Self::Mono => include_str!("../../themes/mono.toml"),
        }
    }
}

/// How many colours a terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Colours {
    /// None: bold, underlined and reversed only.
    Off,
    /// The terminal's own sixteen.
    #[default]
    Sixteen,
    /// The palette of 256.
    Indexed,
    /// 24 bits.
    True,
}

impl Colours {
    /// Reads the environment: `NO_COLOR` (no colours if it is set and not empty), `COLORTERM`, `TERM`.
    pub fn from_env(no_color: Option<&str>, colorterm: Option<&str>, term: Option<&str>) -> Self {
        let term = term.unwrap_or_default();
        if no_color.is_some_and(|value| !value.is_empty()) || term == "dumb" || term == "vt100" {
            return Self::Off;
        }
        match colorterm {
            Some("truecolor" | "24bit") => Self::True,
            _ if term.contains("direct") => Self::True,
            _ if term.contains("256color") => Self::Indexed,
            _ => Self::Sixteen,
        }
    }
}

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident = $key:literal),* $(,)?) => {
        /// What a piece of the screen means.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Role { $($(#[$doc])* $name),* }

        impl Role {
            /// Every role.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The role's name in a theme file.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$name => $key),* }
            }
        }
    };
}

roles! {
    /// Ordinary text.
    Text = "text",
    /// Text that matters.
    Strong = "strong",
    /// Less important text.
    Quiet = "quiet",
    /// Text in the background.
    Faint = "faint",
    /// The program's name.
    Brand = "brand",
    /// A table's head.
    Head = "head",
    /// The column a table is sorted by.
    Sorted = "sorted",
    /// A line between panels.
    Rule = "rule",
    /// A panel's title.
    Title = "title",
    /// The selected line.
    Selected = "selected",
    /// The name on the selected line.
    Cursor = "cursor",
    /// A human is needed.
    Alarm = "alarm",
    /// The line with the alarm's text.
    AlarmLine = "alarm_line",
    /// Blocked, old, or failed.
    Warning = "warning",
    /// Ended well.
    Good = "good",
    /// Migrating.
    Moving = "moving",
    /// Waits for approval.
    Waiting = "waiting",
    /// Outside its hours.
    Resting = "resting",
    /// Past the threshold.
    Beyond = "beyond",
    /// Past the low threshold.
    Low = "low",
    /// A graph within its bounds.
    Graph = "graph",
    /// A bound's line.
    Bound = "bound",
    /// A move on a graph.
    Mark = "mark",
    /// A count under way.
    Count = "count",
    /// A key.
    Key = "key",
    /// Mode observe.
    Observe = "observe",
    /// Mode ask.
    Ask = "ask",
    /// Mode auto.
    Auto = "auto",
    /// The banner at the top.
    Banner = "banner",
    /// The display is frozen, or its data is stale.
    Frozen = "frozen",
    /// A key in a config's text.
    SyntaxKey = "syntax_key",
    /// A quoted string in a config's text.
    SyntaxText = "syntax_text",
    /// A number or word in a config's text.
    SyntaxNumber = "syntax_number",
    /// A comment in a config's text.
    Comment = "comment",
    /// An error in a config's text.
    Wrong = "wrong",
    /// Selected text in a config's text.
    Chosen = "chosen",
}

/// A theme for one terminal: a style for every role.
#[derive(Debug, Clone, PartialEq)]
pub struct Theme {
    styles: Vec<Style>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThemeFile {
    inherits: Option<ThemeName>,
    #[serde(default)]
    palette: BTreeMap<String, (String, u8, String)>,
    #[serde(default)]
    roles: BTreeMap<String, RoleStyle>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(deny_unknown_fields)]
struct RoleStyle {
    fg: Option<String>,
    bg: Option<String>,
    #[serde(default)]
    modifiers: Vec<String>,
}

impl Theme {
    /// A built-in theme for a terminal with this many colours.
    pub fn built_in(name: ThemeName, colours: Colours) -> Self {
        let name = if colours == Colours::Off { ThemeName::Mono } else { name };
        Self::parse(name.text(), colours).unwrap_or_else(|_| Self { styles: vec![Style::new(); Role::ALL.len()] })
    }

    /// Reads a theme.
    ///
    /// # Errors
    /// What is wrong in the text.
    pub fn parse(text: &str, colours: Colours) -> Result<Self, String> {
        let file = inherited(read(text)?)?;
        if let Some(unknown) = file.roles.keys().find(|key| !Role::ALL.iter().any(|role| role.key() == *key)) {
            return Err(format!("'{unknown}' is no role"));
        }
        let style = |role: &Role| {
            let look = file.roles.get(role.key()).ok_or_else(|| format!("role '{}' has no style", role.key()))?;
            style(look, &file, colours)
        };
        Ok(Self { styles: Role::ALL.iter().map(style).collect::<Result<_, _>>()? })
    }

    /// How a role looks.
    pub fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }
}

fn read(text: &str) -> Result<ThemeFile, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

fn inherited(file: ThemeFile) -> Result<ThemeFile, String> {
    let Some(parent) = file.inherits else { return Ok(file) };
    let mut base = inherited(read(parent.text())?)?;
    base.palette.extend(file.palette);
    base.roles.extend(file.roles);
    Ok(base)
}

fn style(look: &RoleStyle, file: &ThemeFile, colours: Colours) -> Result<Style, String> {
    let mut style = Style::new();
    if let Some(name) = &look.fg {
        style.fg = colour(name, file, colours)?;
    }
    if let Some(name) = &look.bg {
        style.bg = colour(name, file, colours)?;
    }
    for word in &look.modifiers {
        style = style.add_modifier(modifier(word)?);
    }
    Ok(style)
}

fn colour(name: &str, file: &ThemeFile, colours: Colours) -> Result<Option<Color>, String> {
    const HELP: &str = "use one of the 16 names, an index of 0 to 255, #rrggbb or a name of [palette]";
    let parse = |text: &str| text.parse::<Color>().map_err(|_| format!("'{text}' is no colour: {HELP}"));
    let Some((basic, index, full)) = file.palette.get(name) else {
        return Ok(if colours == Colours::Off { None } else { Some(parse(name)?) });
    };
    let (basic, full) = (parse(basic)?, parse(full)?);
    Ok(match colours {
        Colours::Off => None,
        Colours::Sixteen => Some(basic),
        Colours::Indexed => Some(Color::Indexed(*index)),
        Colours::True => Some(full),
    })
}

fn modifier(word: &str) -> Result<Modifier, String> {
    Ok(match word {
        "bold" => Modifier::BOLD,
        "dim" => Modifier::DIM,
        "italic" => Modifier::ITALIC,
        "underlined" => Modifier::UNDERLINED,
        "reversed" => Modifier::REVERSED,
        _ => return Err(format!("'{word}' is no modifier: use bold, dim, italic, underlined or reversed")),
    })
}

/// One set of characters. Every one of them is one column wide.
#[derive(Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// A filled and an empty step of a gauge.
    pub gauge: [&'static str; 2],
    /// A sparkline's heights, lowest first. None fills the whole line, so that two lines do not touch.
    pub spark: [&'static str; 7],
    /// A bar's heights within a line, the last one full.
    pub bars: [&'static str; 8],
    /// `at least`. Only this one may be wider than a column.
    pub at_least: &'static str,
    /// The line beside a panel's title.
    pub rule: &'static str,
    /// A bound on a graph.
    pub dash: &'static str,
    /// A graph's y axis: a plain step, one with a number, the foot.
    pub axis: [&'static str; 3],
    /// A graph's x axis: a plain step, a tick.
    pub ticks: [&'static str; 2],
    /// A move and an edit below a graph.
    pub marks: [&'static str; 2],
    /// A gap and a rest below a graph.
    pub missed: [&'static str; 2],
    /// Behind the graph where there are no readings.
    pub shade: &'static str,
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
    /// Whether graphs are drawn with braille dots; otherwise with ASCII.
    pub braille: bool,
}

/// For a terminal with UTF-8.
pub const UNICODE: Glyphs = Glyphs {
    gauge: ["▰", "▱"],
    spark: ["▁", "▂", "▃", "▄", "▅", "▆", "▇"],
    bars: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    at_least: "≥",
    rule: "─",
    dash: "╌",
    axis: ["│", "┤", "┼"],
    ticks: ["─", "┴"],
    marks: ["▲", "△"],
    missed: ["×", "z"],
    shade: "·",
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
    bars: ["_", ".", ".", "-", "-", "=", "=", "#"],
    at_least: ">=",
    rule: "-",
    dash: "-",
    axis: ["|", "|", "+"],
    ticks: ["-", "+"],
    marks: ["^", "'"],
    missed: ["x", "z"],
    shade: ".",
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

    /// Whether a locale, as in `LC_ALL`, uses UTF-8.
    pub fn is_utf8(locale: &str) -> bool {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPTHS: [Colours; 4] = [Colours::Off, Colours::Sixteen, Colours::Indexed, Colours::True];

    #[test]
    fn every_built_in_theme_styles_every_role_at_every_depth() {
        for name in ThemeName::ALL {
            for colours in DEPTHS {
                Theme::parse(name.text(), colours).unwrap_or_else(|error| panic!("{}: {error}", name.word()));
            }
        }
    }

    #[test]
    fn text_is_never_black_or_white() {
        for name in ThemeName::ALL {
            for colours in DEPTHS {
                for style in Theme::built_in(name, colours).styles {
                    assert!(!matches!(style.fg, Some(Color::Black | Color::White | Color::Gray)), "{}", name.word());
                }
            }
        }
    }

    #[test]
    fn without_colours_nothing_is_coloured() {
        for name in ThemeName::ALL {
            let theme = Theme::built_in(name, Colours::Off);
            assert!(theme.styles.iter().all(|style| style.fg.is_none() && style.bg.is_none()));
        }
        let mono = Theme::built_in(ThemeName::Mono, Colours::True);
        assert!(mono.styles.iter().all(|style| style.fg.is_none() && style.bg.is_none()));
    }

    #[test]
    fn the_environment_says_how_many_colours() {
        let ladder = [
            (Some("1"), Some("truecolor"), Some("xterm-256color"), Colours::Off),
            (Some(""), Some("truecolor"), Some("xterm-256color"), Colours::True),
            (None, None, Some("tmux-256color"), Colours::Indexed),
            (None, None, Some("xterm-direct"), Colours::True),
            (None, None, Some("linux"), Colours::Sixteen),
            (None, None, Some("dumb"), Colours::Off),
            (None, None, None, Colours::Sixteen),
        ];
        for (no_color, colorterm, term, colours) in ladder {
            assert_eq!(Colours::from_env(no_color, colorterm, term), colours, "{no_color:?} {colorterm:?} {term:?}");
        }
    }

    #[test]
    fn a_wrong_theme_says_what_is_wrong() {
        let error = |text| Theme::parse(text, Colours::True).unwrap_err();
        assert_eq!(error("[roles]\ntext = {}\nalram = {}"), "'alram' is no role");
        assert_eq!(error("[roles]\ntext = {}"), "role 'strong' has no style");
        assert!(error("inherits = \"dark\"\n[roles]\ntext = { fg = \"mauve-ish\" }").starts_with("'mauve-ish' is no"));
        assert!(error("inherits = \"dark\"\n[roles]\ntext = { modifiers = [\"loud\"] }").starts_with("'loud' is no"));
    }

    #[test]
    fn a_locale_says_whether_it_speaks_utf8() {
        let known = [("en_GB.UTF-8", true), ("C.utf8", true), ("nb_NO.ISO-8859-1", false), ("C", false), ("", false)];
        for (locale, utf8) in known {
            assert_eq!(Glyphs::is_utf8(locale), utf8, "{locale}");
        }
    }
}
