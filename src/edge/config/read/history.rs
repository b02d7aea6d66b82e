//! `[history]`: which file keeps the past, and for how long.

use std::path::Path;

use super::super::model::{HistoryFile, HistorySettings};
use super::super::toml_reader::{Item, Table};
use super::super::words::{TEN_YEARS, written};
use crate::core::cluster::Span;

const SHORTEST: Span = Span::from_hours(1);

pub(super) fn read(table: Table<'_>, folder: Option<&Path>) -> HistorySettings {
    let default = HistorySettings::default();
    let (raw, rolled) = (table.get("raw"), table.get("rolled"));
    let settings = HistorySettings {
        file: table.get("file").map_or(HistoryFile::Default, |item| file(&item, folder)),
        raw: raw.as_ref().and_then(kept).unwrap_or(default.raw),
        rolled: rolled.as_ref().and_then(kept).unwrap_or(default.rolled),
    };
    if settings.raw < SHORTEST
        && let Some(item) = &raw
    {
        item.wrong(format!("'raw' must be at least {}", written(SHORTEST)), "write raw = \"14d\"");
    } else if settings.rolled < settings.raw
        && let Some(item) = rolled.as_ref().or(raw.as_ref())
    {
        let (long, short) = (written(settings.raw), written(settings.rolled));
        let message = format!("raw samples are kept for {long}, longer than what is rolled up of them, {short}");
        item.wrong(message, "write a 'rolled' that is at least as long as 'raw'");
    }
    table.finish(None);
    settings
}

fn kept(item: &Item<'_>) -> Option<Span> {
    item.duration_to(TEN_YEARS).map(|span| span.value)
}

fn file(item: &Item<'_>, folder: Option<&Path>) -> HistoryFile {
    if item.is_off() {
        return HistoryFile::Off;
    }
    match item.line() {
        Some(file) => HistoryFile::At(folder.unwrap_or(Path::new("")).join(file.value)),
        None => HistoryFile::Default,
    }
}
