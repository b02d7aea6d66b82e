//! Which file is the config.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The config to read: the one named, else `$WHIMBREL_CONFIG`, `./whimbrel.toml`, `$XDG_CONFIG_HOME/whimbrel/whimbrel.toml`
/// (or the same under `~/.config`). A file named by hand or by the environment is taken even if it is not there, so that
/// reading it says so.
pub fn find(explicit: Option<&Path>) -> Option<PathBuf> {
    find_in(explicit, |name| std::env::var_os(name), is_there)
}

/// A file that may not be looked at is there, and so is a link that leads nowhere: reading it will say why not.
fn is_there(path: &Path) -> bool {
    let absent = |error: io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    path.symlink_metadata().map_or_else(|error| !absent(error), |_| true)
}

fn find_in(
    explicit: Option<&Path>,
    env: impl Fn(&str) -> Option<OsString>,
    exists: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = explicit {
        return Some(path.to_owned());
    }
    if let Some(path) = set("WHIMBREL_CONFIG") {
        return Some(path);
    }
    // The XDG specification: a relative path is to be ignored.
    let xdg = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let folder = xdg.or_else(|| set("HOME").map(|home| home.join(".config")));
    let local = PathBuf::from("whimbrel.toml");
    let candidates = [Some(local), folder.map(|folder| folder.join("whimbrel").join("whimbrel.toml"))];
    candidates.into_iter().flatten().find(|path| exists(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(explicit: Option<&str>, env: &[(&str, &str)], files: &[&str]) -> Option<String> {
        let value = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
        let exists = |path: &Path| files.iter().any(|file| Path::new(file) == path);
        find_in(explicit.map(Path::new), value, exists).map(|path| path.display().to_string())
    }

    #[test]
    fn the_nearer_place_wins() {
        let env = [("WHIMBREL_CONFIG", "/etc/w.toml"), ("XDG_CONFIG_HOME", "/x"), ("HOME", "/home/me")];
        let files =
            ["/etc/w.toml", "whimbrel.toml", "/x/whimbrel/whimbrel.toml", "/home/me/.config/whimbrel/whimbrel.toml"];
        assert_eq!(found(Some("my.toml"), &env, &files).as_deref(), Some("my.toml"));
        assert_eq!(found(None, &env, &files).as_deref(), Some("/etc/w.toml"));
        assert_eq!(found(None, &env[1..], &files).as_deref(), Some("whimbrel.toml"));
        assert_eq!(found(None, &env[1..], &files[2..]).as_deref(), Some("/x/whimbrel/whimbrel.toml"));
        assert_eq!(found(None, &env[2..], &files[2..]).as_deref(), Some("/home/me/.config/whimbrel/whimbrel.toml"));
        assert_eq!(found(None, &env[1..], &[]), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_nowhere_is_not_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("whimbrel.toml");
        assert!(!is_there(&link));
        std::os::unix::fs::symlink("gone.toml", &link).unwrap();
        assert!(is_there(&link));
        assert!(!is_there(&link.join("below.toml")) && !is_there(Path::new("/dev/null/.config/whimbrel.toml")));
    }

    #[test]
    fn a_named_file_is_never_silently_skipped() {
        let files = ["whimbrel.toml"];
        assert_eq!(found(None, &[("WHIMBREL_CONFIG", "/gone.toml")], &files).as_deref(), Some("/gone.toml"));
        assert_eq!(found(Some("gone.toml"), &[], &files).as_deref(), Some("gone.toml"));
    }

    #[test]
    fn empty_and_relative_variables_are_unset() {
        let env = [("WHIMBREL_CONFIG", ""), ("XDG_CONFIG_HOME", "rel"), ("HOME", "/h")];
        let files = ["rel/whimbrel/whimbrel.toml", "/h/.config/whimbrel/whimbrel.toml"];
        assert_eq!(found(None, &env, &files).as_deref(), Some("/h/.config/whimbrel/whimbrel.toml"));
    }
}
