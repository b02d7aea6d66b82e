//! Where a history is kept unless the config says, and the lock beside it that lets one engine alone write it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::HistoryFault;
use crate::core::format::tame;

/// `$XDG_STATE_HOME/whimbrel/NAME-XXXXXXXX.db`, else under `~/.local/state`. The digits are a hash of the config's real path,
/// so that two clusters never share a file, and a cluster that gets another name keeps its file and its lock. `None` if
/// there is no home either.
pub fn default_path(cluster: &str, config: &Path) -> Option<PathBuf> {
    let config = std::fs::canonicalize(config).or_else(|_| std::path::absolute(config));
    let config = config.ok()?;
    within(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"), cluster, &config).map(under_any_name)
}

/// `$XDG_STATE_HOME/whimbrel/XXXXXXXX.EXTENSION`, with the same digits: a file that does not move with the cluster's name.
pub fn state_path(config: &Path, extension: &str) -> Option<PathBuf> {
    let path = default_path("", config)?;
    let name = path.file_stem()?.to_str()?.rsplit('-').next()?.to_owned();
    Some(path.with_file_name(name).with_extension(extension))
}

/// `$XDG_STATE_HOME/whimbrel`, else under `~/.local/state`.
pub fn state_folder() -> Option<PathBuf> {
    folder_within(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))
}

fn folder_within(state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    // The XDG specification says that relative paths are ignored.
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let state = state.and_then(absolute).or_else(|| Some(home.and_then(absolute)?.join(".local/state")))?;
    Some(state.join("whimbrel"))
}

/// The newest file of the same config under an earlier name of the cluster; without one, this path.
fn under_any_name(path: PathBuf) -> PathBuf {
    let name = path.file_name().and_then(|name| name.to_str());
    let (Some(digits), Some(folder)) = (name.and_then(|name| name.rsplit('-').next()), path.parent()) else {
        return path;
    };
    let end = format!("-{digits}");
    let is_one = |at: &PathBuf| at.file_name().is_some_and(|name| name.to_string_lossy().ends_with(&end));
    let there = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_one);
    let changed = |at: &PathBuf| std::fs::metadata(at).and_then(|file| file.modified()).ok();
    if path.exists() { path } else { there.max_by_key(changed).unwrap_or(path) }
}

fn within(state: Option<OsString>, home: Option<OsString>, cluster: &str, config: &Path) -> Option<PathBuf> {
    let folder = folder_within(state, home)?;
    let digits = config.as_os_str().as_encoded_bytes().iter().fold(0x811c_9dc5_u32, |hash, byte| {
        // FNV-1a: the same on every machine.
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    Some(folder.join(format!("{}-{digits:08x}.db", safe(cluster))))
}

/// The name as part of a file's name: other characters become `_`. Never empty, at most 64 characters.
fn safe(name: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let safe: String = name.trim().chars().take(64).map(|c| if fits(c) { c } else { '_' }).collect();
    match safe.trim_start_matches('.') {
        "" => "cluster".to_owned(),
        rest => rest.to_owned(),
    }
}

/// Holds the lock as long as it lives. The system frees the lock when the process ends in any way.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough, because a child process that is being started has a copy of the file for a moment. After an
        // error the lock is free when that copy is closed.
        let _ = self.0.unlock();
    }
}

/// The lock's file. It is never removed: then two processes could hold the lock, each of another file.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

impl Lock {
    /// Takes the lock of a history. `owner` is what a second engine says of this one.
    pub(super) fn take(path: &Path, owner: &str) -> Result<Self, HistoryFault> {
        let name = beside(path);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&name)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = std::fs::read_to_string(&name).unwrap_or_default();
                return Err(HistoryFault::InUse(owner.trim().to_owned()));
            }
            Err(TryLockError::Error(why)) => return Err(why.into()),
        }
        file.set_len(0)?;
        writeln!(file, "{}", tame(owner))?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod path_tests {
    use super::*;

    fn of(state: Option<&str>, home: Option<&str>, name: &str, config: &str) -> Option<String> {
        let path = within(state.map(Into::into), home.map(Into::into), name, Path::new(config))?;
        Some(path.display().to_string())
    }

    #[test]
    fn the_state_folder_else_the_home() {
        let a = of(Some("/s"), Some("/h"), "web", "/etc/a.toml").expect("a place");
        assert!(a.starts_with("/s/whimbrel/web-") && a.ends_with(".db"), "{a}");
        let b = of(Some("relative"), Some("/h"), "web", "/etc/a.toml").expect("a place");
        assert!(b.starts_with("/h/.local/state/whimbrel/web-"), "{b}");
        assert_eq!(of(None, None, "web", "/etc/a.toml"), None);
    }

    #[test]
    fn two_configs_never_share_one() {
        assert_ne!(of(Some("/s"), None, "web", "/etc/a.toml"), of(Some("/s"), None, "web", "/etc/b.toml"));
    }

    #[test]
    fn a_cluster_with_another_name_keeps_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str, config: &str| {
            under_any_name(within(Some(folder.path().into()), None, name, Path::new(config)).expect("a place"))
        };
        let one = at("one", "/etc/a.toml");
        std::fs::create_dir_all(one.parent().expect("a folder")).expect("a folder");
        std::fs::write(&one, "").expect("a file");
        std::fs::write(format!("{}.lock", one.display()), "").expect("a file");
        assert_eq!(at("two-words", "/etc/a.toml"), one);
        let other = at("two", "/etc/b.toml");
        assert!(other != one && other.to_string_lossy().contains("/two-"), "another config's: {other:?}");
    }

    #[test]
    fn any_name_is_a_file_name() {
        assert_eq!(safe("../../etc/passwd"), "_.._etc_passwd");
        assert_eq!(safe(" Büro 1 "), "Büro_1");
        assert_eq!(safe(".."), "cluster");
        assert_eq!(safe(""), "cluster");
        assert_eq!(safe(&"x".repeat(300)).len(), 64);
    }
}

#[cfg(test)]
mod lock_tests {
    use super::*;

    #[test]
    fn the_second_is_told_of_the_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        let first = Lock::take(&path, "pid 7, config /etc/a\n.toml").expect("nobody has it");
        let said = Lock::take(&path, "pid 8").expect_err("7 has it").to_string();
        assert!(said.contains("(pid 7, config /etc/a .toml)"), "{said}");
        drop(first);
        Lock::take(&path, "pid 8").expect("it is free again");
    }
}
