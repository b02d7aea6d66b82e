//! Where the files of a config's engine are that the config does not name: history, journal, socket.

use std::path::{Path, PathBuf};

use crate::edge::config::{Config, HistoryFile};
use crate::edge::control::beside;
use crate::edge::history::{default_path, state_folder, state_path};

/// Why there is no place for them by default.
pub const HOMELESS: &str = "neither XDG_STATE_HOME nor HOME is set: name a file for it, [history] file = \"…\"";

/// The history's file; `None` if it is switched off.
///
/// # Errors
/// There is no place for it.
pub fn history_place(config: &Config) -> Result<Option<PathBuf>, &'static str> {
    match &config.history {
        HistoryFile::Off => Ok(None),
        HistoryFile::At(path) => Ok(Some(path.clone())),
        HistoryFile::Default => default_path(&config.cluster.name, &config.path).map(Some).ok_or(HOMELESS),
    }
}

/// The journal's file: by the config's path, whatever its history is. `None`: there is no place for it.
pub fn journal_place(config: &Path) -> Option<PathBuf> {
    state_path(config, "journal")
}

/// The program's log. `None`: there is no place for it.
pub fn log_place() -> Option<PathBuf> {
    Some(state_folder()?.join("whimbrel.log"))
}

/// The socket at which the engine of a config can be reached while it runs.
///
/// # Errors
/// It has none, and what to do about it.
pub fn socket_place(config: &Config) -> Result<PathBuf, String> {
    match history_place(config) {
        Ok(Some(history)) => Ok(beside(&history)),
        Ok(None) => {
            Err("its history is off, and an engine is reached beside its history: give [history] a file".to_owned())
        }
        Err(why) => Err(why.to_owned()),
    }
}
