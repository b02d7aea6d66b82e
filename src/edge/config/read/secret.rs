//! `password_env` and `password_file`: where a password is, never the password itself.

use std::path::Path;

use super::super::toml_reader::{ConfigKey, Form, Item, Table};
use crate::core::cluster::Secret;

pub(super) const ENV: ConfigKey =
    ConfigKey::new("password_env", Form::SecretPlace, "The password is in this variable of the environment")
        .default("no password")
        .example("\"VM_PASSWORD\"");
pub(super) const FILE: ConfigKey = ConfigKey::new(
    "password_file",
    Form::SecretPlace,
    "Or it is in this file; its name is relative to the config's folder",
)
.default("no password")
.example("\"vm.password\"");

/// The variable that an item names. A wrong name is recorded and still returned.
pub(super) fn env(item: &Item<'_>) -> Option<Secret> {
    let name = item.text()?;
    if !is_variable(name.get_ref()) {
        let help = "name the variable that holds the password: letters, digits and _";
        item.wrong("this is no name of an environment variable", help);
    }
    Some(Secret::Env(name.into_inner().to_owned()))
}

/// The file that an item names, as it stands there.
pub(super) fn file(item: &Item<'_>) -> Option<Secret> {
    item.line().map(|file| Secret::File(file.into_inner().into()))
}

/// Finds a password's file from the config's folder, and records that a table has both keys.
pub(super) fn settle(table: &Table<'_>, password: &mut Option<Secret>, folder: Option<&Path>) {
    if let Some(Secret::File(file)) = password {
        *file = folder.unwrap_or(Path::new("")).join(&*file);
    }
    one_of(table, [ENV.name, FILE.name], "say where the password is");
}

/// Records the later of two keys that exclude each other.
pub(super) fn one_of(table: &Table<'_>, keys: [&'static str; 2], what: &str) {
    if let [Some(one), Some(other)] = keys.map(|key| table.get(key)) {
        let later = if one.span().start > other.span().start { one } else { other };
        later.wrong(format!("both '{}' and '{}' {what}", keys[0], keys[1]), "keep one of them");
    }
}

/// Whether this can be the name of an environment variable. Anything else may be the password itself.
fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
