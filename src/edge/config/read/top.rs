//! The top of the file, `[limits]`, `[history]` and `[[site]]`.

use std::path::Path;

use toml::Spanned;

use super::super::keys::{
    ConfigKey, Form, KeyField, KindOfTable, bare, duration, duration_or_off, fill, set, shape, text, words_of,
};
use super::super::model::HistoryFile;
use super::super::toml_reader::{Item, Shape, Table};
use super::ConfigReader;
use crate::core::cluster::{Limits, Mode, Site, Span};
use crate::core::format::{TEN_YEARS, exact_span};
use crate::core::insight::Retention;

pub(super) const MODES: [(&str, Mode); 3] =
    [(Mode::Observe.word(), Mode::Observe), (Mode::Ask.word(), Mode::Ask), (Mode::Auto.word(), Mode::Auto)];
const SHORTEST: Span = Span::from_hours(1);

pub(in super::super) const TOP_KEYS: [ConfigKey; 9] = [
    ConfigKey::new("name", Form::Text, "Shown in the header").default("the file's name without its ending"),
    ConfigKey::new(
        "mode",
        Form::Words(const { &words_of(&MODES) }),
        "How far the engine goes on its own: it decides and logs only, or an operator approves each request, or it acts",
    )
    .default("\"ask\""),
    ConfigKey::new("limits", Form::Table, "Bounds on all moves; an operator's own commands are only held to the first two"),
    ConfigKey::new("history", Form::Table, "What is kept of samples, decisions, moves and edits across restarts"),
    ConfigKey::new("site", Form::Table, "Providers or data centres. One is home").default("one, named \"home\""),
    ConfigKey::new("array", Form::Table, "Hosts at one site that share storage and network. Between sites only the simulator moves VMs so \
         far"),
    ConfigKey::new("policy", Form::Table, "Named settings that VMs share: policy = \"web\". A VM may have its own instead: policy = { kind = \
         … }"),
    ConfigKey::new("queue", Form::Table, "Job queues: where the pages are, and how their jobs are worked. A worker in the VM needs only this and \
         its [[vm]]").default("none"),
    ConfigKey::new("vm", Form::Table, "The VMs"),
];

pub(super) fn top_kinds() -> Vec<KindOfTable> {
    KindOfTable::plain(&TOP_KEYS)
}

pub(super) const TOP: Shape = shape!("the config", top_kinds);

pub(in super::super) const LIMITS: [KeyField<Limits>; 6] = [
    KeyField {
        key: ConfigKey::new("at_once", Form::Number, "Migrations at once in the cluster"),
        read: |item, limits| set(&mut limits.at_once, item.whole(1..=u32::MAX)),
        write: |limits| bare(limits.at_once),
    },
    KeyField {
        key: ConfigKey::new(
            "at_once_per_host",
            Form::Number,
            "Migrations at once on one host, as source or destination",
        ),
        read: |item, limits| set(&mut limits.at_once_per_host, item.whole(1..=u32::MAX)),
        write: |limits| bare(limits.at_once_per_host),
    },
    KeyField {
        key: ConfigKey::new("moves_per_hour", Form::Number, "Moves in an hour in the cluster, or \"off\"")
            .example("20"),
        read: |item, limits| {
            limits.moves_per_hour = if item.is_off() { None } else { Some(item.whole(1..=u32::MAX)?) };
            Some(())
        },
        write: |limits| limits.moves_per_hour.map_or_else(|| text("off"), bare),
    },
    KeyField {
        key: ConfigKey::new("cooldown", Form::Duration, "Least time between two moves of one VM, or \"off\"")
            .example("\"10m\""),
        read: |item, limits| set(&mut limits.cooldown, item.duration_or_off().map(|span| span.unwrap_or(Span::ZERO))),
        write: |limits| duration_or_off(Some(limits.cooldown).filter(|cooldown| *cooldown != Span::ZERO)),
    },
    KeyField {
        key: ConfigKey::new(
            "flap_window",
            Form::Duration,
            "A VM that was on every host within it and never well is held, or \"off\"",
        ),
        read: |item, limits| {
            let window = item.duration_or_off()?;
            if window == Some(Span::ZERO) {
                item.wrong("'flap_window' must be above 0", "write flap_window = \"1h\", or \"off\"");
            }
            set(&mut limits.flap_window, Some(window))
        },
        write: |limits| duration_or_off(limits.flap_window),
    },
    KeyField {
        key: ConfigKey::new("hold_after_manual", Form::Duration, "A VM stays so long where an operator put it"),
        read: |item, limits| set(&mut limits.hold_after_manual, item.duration().map(Spanned::into_inner)),
        write: |limits| duration(limits.hold_after_manual),
    },
];

pub(super) fn limits_kinds() -> Vec<KindOfTable> {
    KindOfTable::one(&LIMITS, &Limits::default())
}

pub(super) const LIMITS_SHAPE: Shape = shape!("[limits]", limits_kinds);

pub(super) fn limits(table: Table<'_>) -> Limits {
    let mut limits = Limits::default();
    fill(&LIMITS, &table, &mut limits);
    table.finish(None);
    limits
}

/// Where the past is kept, and for how long.
type History = (HistoryFile, Retention);

pub(in super::super) const HISTORY: [KeyField<History>; 3] = [
    KeyField {
        key: ConfigKey::new("file", Form::Text, "The history's file, relative to the config's folder, or \"off\"")
            .default("one in $XDG_STATE_HOME/whimbrel"),
        read: |item, (file, _)| {
            *file = if item.is_off() { HistoryFile::Off } else { HistoryFile::At(item.line()?.into_inner().into()) };
            Some(())
        },
        write: |(file, _)| match file {
            HistoryFile::Off => text("off"),
            HistoryFile::Default => text("default"),
            HistoryFile::At(path) => text(path.display().to_string()),
        },
    },
    KeyField {
        key: ConfigKey::new("raw", Form::Duration, "Samples are kept as they were read for so long, at least \"1h\""),
        read: |item, (_, retention)| set(&mut retention.raw, kept(item)),
        write: |(_, retention)| duration(retention.raw),
    },
    KeyField {
        key: ConfigKey::new(
            "rolled",
            Form::Duration,
            "Least, mean and most of each quarter of an hour are kept for so long",
        ),
        read: |item, (_, retention)| set(&mut retention.rolled, kept(item)),
        write: |(_, retention)| duration(retention.rolled),
    },
];

pub(super) fn history_kinds() -> Vec<KindOfTable> {
    KindOfTable::one(&HISTORY, &History::default())
}

pub(super) const HISTORY_SHAPE: Shape = shape!("[history]", history_kinds);

pub(super) fn history(table: Table<'_>, folder: Option<&Path>) -> History {
    let mut history = History::default();
    fill(&HISTORY, &table, &mut history);
    let (file, retention) = &mut history;
    if let HistoryFile::At(file) = file {
        *file = folder.unwrap_or(Path::new("")).join(&*file);
    }
    let (raw, rolled) = (table.get("raw"), table.get("rolled"));
    if retention.raw < SHORTEST
        && let Some(item) = &raw
    {
        item.wrong(format!("'raw' must be at least {}", exact_span(SHORTEST)), "write raw = \"14d\"");
    } else if retention.rolled < retention.raw
        && let Some(item) = rolled.as_ref().or(raw.as_ref())
    {
        let (long, short) = (exact_span(retention.raw), exact_span(retention.rolled));
        let message = format!("raw samples are kept for {long}, longer than what is rolled up of them, {short}");
        item.wrong(message, "write a 'rolled' that is at least as long as 'raw'");
    }
    table.finish(None);
    history
}

fn kept(item: &Item<'_>) -> Option<Span> {
    item.duration_to(TEN_YEARS).map(Spanned::into_inner)
}

const SITE_NAME: ConfigKey =
    ConfigKey::new("name", Form::Text, "Its name, without blanks").needed().example("\"oslo\"");

const SITE_KEYS: [ConfigKey; 2] = [
    SITE_NAME,
    ConfigKey::new("home", Form::Flag, "The others are away from this one; exactly one is home").default("false"),
];

pub(super) fn site_kinds() -> Vec<KindOfTable> {
    KindOfTable::plain(&SITE_KEYS)
}

const SITE: Shape = shape!("a site", site_kinds);

impl<'a> ConfigReader<'a> {
    /// Reads the sites. Without any `[[site]]` there is one, named home.
    pub fn sites(&mut self, top: &Table<'a>) {
        let Some(item) = top.get("site").filter(|item| !item.is_empty_list()) else {
            self.config.cluster.sites.push(Site { name: "home".into(), home: true });
            return;
        };
        let mut home = None;
        let (entries, mut whole) = item.list("[[site]], in double brackets, once for each");
        for entry in &entries {
            let Some(table) = entry.table(SITE) else {
                whole = false;
                continue;
            };
            let name = table.need(&SITE_NAME).and_then(|item| item.name());
            let flag = table.get("home");
            let is_home = flag.as_ref().is_some_and(|item| item.flag() == Some(true));
            whole &= name.is_some() && (is_home || flag.as_ref().is_none_or(|item| item.as_flag().is_some()));
            match (&flag, &home) {
                (Some(flag), Some(first)) if is_home => {
                    flag.wrong(format!("site '{first}' is home already"), "let exactly one site have home = true");
                }
                _ if is_home => home = Some(name.as_ref().map_or("", |name| *name.get_ref())),
                _ => {}
            }
            if let Some(name) = name {
                self.check_unique("a site", &name);
                self.config.cluster.sites.push(Site { name: name.into_inner().into(), home: is_home });
            }
            table.finish(None);
        }
        if let (None, true, Some(first)) = (home, whole, entries.first()) {
            self.diagnostics.absent(first.span(), "no site is home", "add home = true to one [[site]]");
        }
        if self.config.cluster.sites.len() > usize::from(u16::MAX) {
            item.wrong("there are too many sites", format!("have at most {}", u16::MAX));
        }
        self.sites_whole = whole;
    }
}
