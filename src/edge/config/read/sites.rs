//! `[[site]]`: the sites, one of them home.

use std::collections::HashSet;

use super::super::diagnostics::Diagnostics;
use super::super::keys::{Form, Key, KindOfTable, shape};
use super::super::toml_reader::{Shape, Table};
use super::check_unique;
use crate::core::cluster::{Site, SiteId};

const NAME: Key = Key::new("name", Form::Text, "Its name, without blanks").example("\"oslo\"");

const KEYS: [Key; 2] =
    [NAME, Key::new("home", Form::Flag, "The others are away from this one; exactly one is home").default("false")];

pub(super) fn kinds() -> Vec<KindOfTable> {
    KindOfTable::plain(&KEYS)
}

const SITE: Shape = shape!("a site", kinds);

/// The sites of a file.
pub(super) struct Sites {
    pub list: Vec<Site>,
    /// All of them could be read.
    pub whole: bool,
}

impl Sites {
    /// The site the others are away from.
    pub fn home(&self) -> SiteId {
        SiteId::at(self.list.iter().position(|site| site.home).unwrap_or(0))
    }
}

/// Without any `[[site]]` there is one, named home.
pub(super) fn read(top: &Table<'_>, diagnostics: &Diagnostics) -> Sites {
    let Some(item) = top.get("site").filter(|item| !item.is_empty_list()) else {
        return Sites { list: vec![Site { name: "home".into(), home: true }], whole: true };
    };
    let (mut list, mut seen, mut home) = (Vec::new(), HashSet::new(), None);
    let (entries, mut whole) = item.list("[[site]], in double brackets, once for each");
    for entry in &entries {
        let Some(table) = entry.table(SITE) else {
            whole = false;
            continue;
        };
        let name = table.need(&NAME).and_then(|item| item.name());
        let flag = table.get("home");
        let is_home = flag.as_ref().is_some_and(|item| item.flag() == Some(true));
        whole &= name.is_some() && (is_home || flag.as_ref().is_none_or(|item| item.as_flag().is_some()));
        match (&flag, &home) {
            (Some(flag), Some(first)) if is_home => {
                flag.wrong(format!("site '{first}' is home already"), "let exactly one site have home = true");
            }
            _ if is_home => home = Some(name.as_ref().map_or("", |name| name.value)),
            _ => {}
        }
        if let Some(name) = name {
            check_unique(&mut seen, "a site", &name, diagnostics);
            list.push(Site { name: name.value.into(), home: is_home });
        }
        table.finish(None);
    }
    if let (None, true, Some(first)) = (home, whole, entries.first()) {
        diagnostics.absent(first.span(), "no site is home", "add home = true to one [[site]]");
    }
    if list.len() > usize::from(u16::MAX) {
        item.wrong("there are too many sites", format!("have at most {}", u16::MAX));
    }
    Sites { list, whole }
}
