//! Where a history is kept unless the config says.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// `$XDG_STATE_HOME/whimbrel/NAME-XXXXXXXX.db`, else under `~/.local/state`. The digits are of the config's real path,
/// so that two clusters never share a file. `None` if there is no home either.
pub fn default_path(cluster: &str, config: &Path) -> Option<PathBuf> {
    let config = std::fs::canonicalize(config).or_else(|_| std::path::absolute(config));
    let config = config.ok()?;
    within(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"), cluster, &config)
}

fn within(state: Option<OsString>, home: Option<OsString>, cluster: &str, config: &Path) -> Option<PathBuf> {
    // The XDG specification has relative paths ignored.
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let state = state.and_then(absolute).or_else(|| Some(home.and_then(absolute)?.join(".local/state")))?;
    let digits = config.as_os_str().as_encoded_bytes().iter().fold(0x811c_9dc5_u32, |hash, byte| {
        // FNV-1a: the same on every machine.
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    Some(state.join("whimbrel").join(format!("{}-{digits:08x}.db", safe(cluster))))
}

/// The name with what a file's name should not have made `_`; never empty, at most 64 characters.
fn safe(name: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let safe: String = name.trim().chars().take(64).map(|c| if fits(c) { c } else { '_' }).collect();
    match safe.trim_start_matches('.') {
        "" => "cluster".to_owned(),
        rest => rest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
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
    fn any_name_is_a_file_name() {
        assert_eq!(safe("../../etc/passwd"), "_.._etc_passwd");
        assert_eq!(safe(" Büro 1 "), "Büro_1");
        assert_eq!(safe(".."), "cluster");
        assert_eq!(safe(""), "cluster");
        assert_eq!(safe(&"x".repeat(300)).len(), 64);
    }
}
