//! Replaces the config file atomically, keeps its owner, and never overwrites another person's change.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, Gid, Uid, accessat, fchown};
use tempfile::NamedTempFile;

use super::has_changed;

const REPLACED: &str = "the file is replaced whole, let this user write to its folder";
const SPACE: &str = "make room on that file system, or see why it takes nothing";

fn refused(step: &str, path: &Path, remedy: &str) -> impl Fn(io::Error) -> String {
    move |error| format!("cannot {step} {}: {error}: {remedy}", path.display())
}

fn gone(path: &Path) -> String {
    format!("the file is gone: {}", path.display())
}

/// Replaces `expected` by `new`: writes a temporary file beside the file, syncs it, and renames it over the file. Links stay: their
/// target is replaced. Mode, owner and group stay.
///
/// # Errors
/// The file is no longer `expected`, or cannot be replaced: why, in one line. It is unchanged unless that says otherwise.
pub fn save(path: &Path, expected: &[u8], new: &[u8]) -> Result<(), String> {
    let target = fs::canonicalize(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => gone(path),
        _ => refused("find", path, "let this user look into its folders")(error),
    })?;
    let folder = target.parent().unwrap_or(Path::new("/"));
    check(&target, expected)?;
    let metadata = fs::metadata(&target).map_err(refused("look at", &target, "let this user read it"))?;
    let mut file = tempfile::Builder::new().prefix(".whimbrel-").tempfile_in(folder).map_err(refused(
        "write to the folder",
        folder,
        REPLACED,
    ))?;
    file.write_all(new).map_err(refused("write to", folder, SPACE))?;
    keep_owner(&file, &metadata)?;
    // After the owner, because a change of owner clears bits of the mode.
    let mode = fs::Permissions::from_mode(metadata.mode() & 0o7777);
    file.as_file().set_permissions(mode).map_err(refused("set the mode of a file in", folder, REPLACED))?;
    file.as_file().sync_all().map_err(refused("write to", folder, SPACE))?;
    // Again, as late as possible.
    check(&target, expected)?;
    file.persist(&target).map_err(|refusal| refused("replace", &target, REPLACED)(refusal.error))?;
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(refused(
        "be sure that a power cut would spare the change saved in",
        folder,
        "see what ails the disk",
    ))
}

fn check(target: &Path, expected: &[u8]) -> Result<(), String> {
    match has_changed(target, expected) {
        Ok(false) => Ok(()),
        Ok(true) => Err("the file was changed by somebody else meanwhile".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(gone(target)),
        Err(error) => Err(refused("read", target, "let this user read it")(error)),
    }
}

fn keep_owner(file: &NamedTempFile, old: &Metadata) -> Result<(), String> {
    let (uid, gid) = (old.uid(), old.gid());
    if file.as_file().metadata().is_ok_and(|new| (new.uid(), new.gid()) == (uid, gid)) {
        return Ok(());
    }
    fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(|_| {
        format!("the file belongs to user {uid} and group {gid}, and this user may not keep it so: run whimbrel as its owner")
    })
}

/// Whether the file could be saved, so that editing can be offered. A later change may still prevent it.
///
/// # Errors
/// Why not, and what would help, in one line.
pub fn writable(path: &Path) -> Result<(), String> {
    let target = fs::canonicalize(path).map_err(|error| format!("{} cannot be found: {error}", path.display()))?;
    let metadata = fs::metadata(&target).map_err(|error| format!("{} cannot be read: {error}", target.display()))?;
    if !metadata.is_file() {
        return Err(format!("{} is no file: an edit could not be saved", target.display()));
    }
    let folder = target.parent().unwrap_or(Path::new("/"));
    let may = |path: &Path| accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).map_err(io::Error::from);
    may(&target).map_err(|error| format!("{} cannot be written: {error}", target.display()))?;
    may(folder).map_err(|error| {
        format!("the folder {} cannot be written: {error}; an edit replaces the file whole", folder.display())
    })?;
    let (user, uid) = (rustix::process::geteuid(), metadata.uid());
    if user.is_root() || user.as_raw() == uid {
        return Ok(());
    }
    Err(format!(
        "{} belongs to user {uid}, and an edit could not keep it so: run whimbrel as its owner",
        target.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use tempfile::{TempDir, tempdir};

    use super::*;

    fn folder_with(name: &str, text: &str) -> (TempDir, PathBuf) {
        let folder = tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_saved_file_has_the_new_bytes_and_the_old_mode() {
        for mode in [0o640, 0o400, 0o1666] {
            let (folder, path) = folder_with("w.toml", "old");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            save(&path, b"old", b"new\r\n").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new\r\n");
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
            assert_eq!(names(&folder), ["w.toml"], "nothing is left beside it");
        }
    }

    #[test]
    fn the_owner_stays() {
        let (_folder, path) = folder_with("w.toml", "old");
        // Only root may give a file away.
        if fchown(File::open(&path).unwrap(), Some(Uid::from_raw(1234)), Some(Gid::from_raw(4321))).is_err() {
            return;
        }
        save(&path, b"old", b"new").unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid(), fs::read(&path).unwrap()), (1234, 4321, b"new".to_vec()));
    }

    #[test]
    fn somebody_elses_change_is_never_overwritten() {
        let (folder, path) = folder_with("w.toml", "theirs");
        let error = save(&path, b"old", b"ours").unwrap_err();
        assert!(error.contains("changed by somebody else"), "{error}");
        assert_eq!((fs::read(&path).unwrap(), names(&folder)), (b"theirs".to_vec(), vec!["w.toml".to_owned()]));
    }

    #[test]
    fn links_stay_links_and_lead_to_the_new_file() {
        let (folder, target) = folder_with("real.toml", "old");
        let elsewhere = tempdir().unwrap();
        let (middle, link) = (folder.path().join("middle"), elsewhere.path().join("w.toml"));
        symlink("real.toml", &middle).unwrap();
        symlink(&middle, &link).unwrap();
        save(&link, b"old", b"new").unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), middle);
        assert_eq!(fs::read_link(&middle).unwrap(), Path::new("real.toml"));
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert!(fs::symlink_metadata(&target).unwrap().is_file());
        assert_eq!(names(&elsewhere), ["w.toml"]);
    }

    #[test]
    fn a_file_that_is_gone_is_not_made_anew() {
        let (folder, path) = folder_with("w.toml", "old");
        let link = folder.path().join("link");
        symlink("w.toml", &link).unwrap();
        fs::remove_file(&path).unwrap();
        for path in [&path, &link] {
            assert!(save(path, b"old", b"new").unwrap_err().contains("the file is gone"));
            assert!(writable(path).unwrap_err().contains("cannot be found"));
        }
        assert_eq!(names(&folder), ["link"]);
    }

    #[test]
    fn what_can_be_saved_is_writable_and_the_rest_says_why_not() {
        let (folder, path) = folder_with("w.toml", "old");
        assert_eq!(writable(&path), Ok(()));
        assert!(writable(folder.path()).unwrap_err().contains("is no file"));
        // Root writes everywhere else.
        if !rustix::process::geteuid().is_root() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
            assert!(writable(&path).unwrap_err().contains("cannot be written"));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
            assert!(writable(&path).unwrap_err().contains("the folder"));
            let error = save(&path, b"old", b"new").unwrap_err();
            assert!(error.contains("let this user write to its folder"), "{error}");
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        }
    }
}
