//! Each way in which a file becomes another, with real files.

use std::os::unix::fs::symlink;
use std::sync::mpsc::{Receiver, channel};

use tempfile::{TempDir, tempdir};

use super::*;

/// Far longer than any report takes.
const PATIENCE: Duration = Duration::from_secs(60);
const NEVER: Duration = Duration::from_secs(100_000);

/// A watched file in a folder of its own. Reports alone tell of changes, or looks alone.
struct Scene {
    folder: TempDir,
    path: PathBuf,
    told: Receiver<()>,
    watch: Watch,
}

fn scene(reports: bool, prepare: impl Fn(&Path) -> PathBuf) -> Scene {
    let folder = tempdir().unwrap();
    let path = prepare(folder.path());
    let (tell, told) = channel();
    let look = if reports { NEVER } else { Duration::from_millis(10) };
    let pace = WatchPace { quiet: Duration::from_millis(20), look, ..PACE };
    let watch = watch_with(&path, pace, reports, move || tell.send(()).is_ok(), |_| ()).unwrap();
    Scene { folder, path, told, watch }
}

fn plain(folder: &Path) -> PathBuf {
    let path = folder.join("w.toml");
    fs::write(&path, "0").unwrap();
    path
}

impl Scene {
    /// Waits until the file was told to be this, and is.
    #[track_caller]
    fn is_told(&self, text: &str) {
        while self.told.recv_timeout(PATIENCE).is_ok() {
            if fs::read_to_string(&self.path).is_ok_and(|now| now == text) {
                return;
            }
        }
        panic!("'{text}' was not told");
    }

    #[track_caller]
    fn is_told_gone(&self) {
        while self.told.recv_timeout(PATIENCE).is_ok() {
            if !self.path.exists() {
                return;
            }
        }
        panic!("that it is gone was not told");
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// What editors and deployments do to a file.
fn changes(scene: &Scene) {
    fs::write(&scene.path, "1").unwrap();
    scene.is_told("1");
    // Renamed over, as whimbrel itself saves.
    fs::write(scene.at("new"), "2").unwrap();
    fs::rename(scene.at("new"), &scene.path).unwrap();
    scene.is_told("2");
    // An editor's backup: the old file is renamed, another is written.
    fs::rename(&scene.path, scene.at("w.toml~")).unwrap();
    fs::write(&scene.path, "3").unwrap();
    scene.is_told("3");
    fs::remove_file(&scene.path).unwrap();
    scene.is_told_gone();
    fs::write(&scene.path, "4").unwrap();
    scene.is_told("4");
    // Instead of a file, a link to one, and the file behind the link.
    fs::write(scene.at("behind"), "5").unwrap();
    symlink("behind", scene.at("link")).unwrap();
    fs::rename(scene.at("link"), &scene.path).unwrap();
    scene.is_told("5");
    fs::write(scene.at("behind"), "6").unwrap();
    scene.is_told("6");
}

#[test]
fn every_way_to_change_a_file_is_told() {
    changes(&scene(true, plain));
}

#[test]
fn a_file_system_that_reports_nothing_is_looked_at() {
    changes(&scene(false, plain));
}

/// A Kubernetes volume: `w.toml` → `..data/w.toml`, `..data` → a folder that is swapped.
fn volume(folder: &Path) -> PathBuf {
    for (name, text) in [("..1", "1"), ("..2", "2"), ("..3", "3")] {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("w.toml"), text).unwrap();
    }
    symlink("..1", folder.join("..data")).unwrap();
    let mount = folder.join("mount");
    fs::create_dir(&mount).unwrap();
    symlink("../..data/w.toml", mount.join("w.toml")).unwrap();
    mount.join("w.toml")
}

#[test]
fn a_swap_of_links_is_told_and_what_is_behind_them_after() {
    for reports in [true, false] {
        let scene = scene(reports, volume);
        for to in ["2", "3"] {
            symlink(format!("..{to}"), scene.at("swap")).unwrap();
            fs::rename(scene.at("swap"), scene.at("..data")).unwrap();
            scene.is_told(to);
        }
        fs::write(scene.at("..3/w.toml"), "4").unwrap();
        scene.is_told("4");
    }
}

#[test]
fn a_folder_that_is_swapped_is_watched_anew() {
    let scene = scene(true, volume);
    fs::rename(scene.at("..2"), scene.at("aside")).unwrap();
    fs::remove_dir_all(scene.at("..1")).unwrap();
    scene.is_told_gone();
    fs::create_dir(scene.at("fresh")).unwrap();
    fs::write(scene.at("fresh/w.toml"), "7").unwrap();
    fs::rename(scene.at("fresh"), scene.at("..1")).unwrap();
    // The link's own folder is watched, and its target appears in it.
    scene.is_told("7");
    fs::write(scene.at("..1/w.toml"), "8").unwrap();
    scene.is_told("8");
}

#[test]
fn the_way_to_a_file_is_the_folders_of_its_links_and_its_own() {
    let folder = tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let path = volume(&root);
    assert_eq!(way(&path), [root.join("mount"), root.clone(), root.join("..1")]);
    symlink("loop", root.join("loop")).unwrap();
    assert!(!way(&root.join("loop")).is_empty(), "a loop ends");
    assert_eq!(way(&root.join("none/such")), [root.join("none")]);
}

#[test]
fn a_watch_that_is_dropped_leaves_no_thread() {
    let Scene { watch, told, folder: _folder, .. } = scene(true, plain);
    drop(watch);
    // What tells lives in the thread.
    assert_eq!(told.recv(), Err(std::sync::mpsc::RecvError));
}

#[test]
fn a_look_knows_its_own_bytes() {
    let folder = tempdir().unwrap();
    let path = plain(folder.path());
    assert_eq!([b"0", b"1"].map(|known| has_changed(&path, known).unwrap()), [false, true]);
    assert!(has_changed(&folder.path().join("gone"), b"0").is_err());
}
