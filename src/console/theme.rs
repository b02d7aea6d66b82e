//! Themes by role: what a thing means decides how it looks, in as many colours as the terminal has.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;
use thiserror::Error;

/// A built-in theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
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

    /// The theme's word.
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
    /// What the environment says: `NO_COLOR` (set and not empty: none), `COLORTERM`, `TERM`.
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
    /// Text beside the point.
    Quiet = "quiet",
    /// Text hardly there.
    Faint = "faint",
    /// The program's name.
    Brand = "brand",
    /// A table's head.
    Head = "head",
    /// The column a table is sorted by.
    Sorted = "sorted",
    /// A line that parts panels.
    Rule = "rule",
    /// A panel's title.
    Title = "title",
    /// The selected line.
    Selected = "selected",
    /// The name on the selected line.
    Cursor = "cursor",
    /// A human is needed.
    Alarm = "alarm",
    /// The line that says which.
    AlarmLine = "alarm_line",
    /// Kept from happening, old, failed.
    Warning = "warning",
    /// Ended well.
    Good = "good",
    /// On its way.
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
    /// How to begin.
    Banner = "banner",
    /// The display stands still, or its data does.
    Frozen = "frozen",
    /// A key in a config's text.
    SyntaxKey = "syntax_key",
    /// A quoted text there.
    SyntaxText = "syntax_text",
    /// A number or word there.
    SyntaxNumber = "syntax_number",
    /// A comment there.
    Comment = "comment",
    /// Wrong there.
    Wrong = "wrong",
    /// Selected there.
    Chosen = "chosen",
}

/// A theme for one terminal: a style for every role.
#[derive(Debug, Clone, PartialEq)]
pub struct Theme {
    styles: Vec<Style>,
}

/// Why a theme's text is none.
#[derive(Debug, Error)]
pub enum ThemeError {
    /// Not TOML, or with unknown keys.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A role no screen has.
    #[error("'{0}' is no role")]
    Role(String),
    /// A role without a style.
    #[error("role '{0}' has no style")]
    Missing(&'static str),
    /// Not a colour.
    #[error("'{0}' is no colour: use one of the 16 names, an index of 0 to 255, #rrggbb or a name of [palette]")]
    Colour(String),
    /// Not a modifier.
    #[error("'{0}' is no modifier: use bold, dim, italic, underlined or reversed")]
    Modifier(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    inherits: Option<ThemeName>,
    #[serde(default)]
    palette: BTreeMap<String, (String, u8, String)>,
    #[serde(default)]
    roles: BTreeMap<String, Look>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(deny_unknown_fields)]
struct Look {
    fg: Option<String>,
    bg: Option<String>,
    #[serde(default)]
    modifiers: Vec<String>,
}

impl Theme {
    /// A built-in theme for a terminal with so many colours.
    pub fn built_in(name: ThemeName, colours: Colours) -> Self {
        let name = if colours == Colours::Off { ThemeName::Mono } else { name };
        Self::parse(name.text(), colours).unwrap_or_else(|_| Self { styles: vec![Style::new(); Role::ALL.len()] })
    }

    /// Reads a theme.
    ///
    /// # Errors
    /// What in the text is no theme.
    pub fn parse(text: &str, colours: Colours) -> Result<Self, ThemeError> {
        let file = inherited(toml::from_str(text)?)?;
        if let Some(unknown) = file.roles.keys().find(|key| !Role::ALL.iter().any(|role| role.key() == *key)) {
            return Err(ThemeError::Role(unknown.clone()));
        }
        let style = |role: &Role| {
            let look = file.roles.get(role.key()).ok_or(ThemeError::Missing(role.key()))?;
            style(look, &file, colours)
        };
        Ok(Self { styles: Role::ALL.iter().map(style).collect::<Result<_, _>>()? })
    }

    /// How a role looks.
    pub fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }
}

fn inherited(file: File) -> Result<File, ThemeError> {
    let Some(parent) = file.inherits else { return Ok(file) };
    let mut base = inherited(toml::from_str(parent.text())?)?;
    base.palette.extend(file.palette);
    base.roles.extend(file.roles);
    Ok(base)
}

fn style(look: &Look, file: &File, colours: Colours) -> Result<Style, ThemeError> {
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

fn colour(name: &str, file: &File, colours: Colours) -> Result<Option<Color>, ThemeError> {
    let parse = |text: &str| text.parse::<Color>().map_err(|_| ThemeError::Colour(text.to_owned()));
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

fn modifier(word: &str) -> Result<Modifier, ThemeError> {
    Ok(match word {
        "bold" => Modifier::BOLD,
        "dim" => Modifier::DIM,
        "italic" => Modifier::ITALIC,
        "underlined" => Modifier::UNDERLINED,
        "reversed" => Modifier::REVERSED,
        _ => return Err(ThemeError::Modifier(word.to_owned())),
    })
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
        let error = |text| Theme::parse(text, Colours::True).unwrap_err().to_string();
        assert_eq!(error("[roles]\ntext = {}\nalram = {}"), "'alram' is no role");
        assert_eq!(error("[roles]\ntext = {}"), "role 'strong' has no style");
        assert!(error("inherits = \"dark\"\n[roles]\ntext = { fg = \"mauve-ish\" }").starts_with("'mauve-ish' is no"));
        assert!(error("inherits = \"dark\"\n[roles]\ntext = { modifiers = [\"loud\"] }").starts_with("'loud' is no"));
    }
}
