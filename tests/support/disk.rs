//! A small file system of its own, for disks that are full or read-only.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Mounted, and gone when the test is over.
pub struct Small(tempfile::TempDir);

impl Small {
    /// Of this size, as in `4m`.
    ///
    /// # Errors
    /// This user may not mount.
    pub fn mount(size: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|why| why.to_string())?;
        let owner = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let options = format!("size={size},uid={},gid={}", owner.0, owner.1);
        as_root(&["mount", "-t", "tmpfs", "-o", &options, "whimbrel"], folder.path())?;
        Ok(Self(folder))
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Nothing is written there any more.
    ///
    /// # Errors
    /// This user may not mount.
    pub fn read_only(&self) -> Result<(), String> {
        as_root(&["mount", "-o", "remount,ro"], self.path())
    }

    /// Takes all the room there is, into a file.
    pub fn fill(&self) -> Filler {
        let path = self.path().join("filler");
        let mut file = File::create(&path).expect("a file");
        while file.write_all(&[0; 4_096]).is_ok() {}
        Filler(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: a failed test may still have a file open.
        let _ = as_root(&["umount", "-l"], self.path());
    }
}

/// All the room there was.
pub struct Filler(PathBuf);

impl Filler {
    /// Gives it back.
    pub fn free(self) {
        std::fs::remove_file(&self.0).expect("it is there");
    }
}

fn as_root(command: &[&str], path: &Path) -> Result<(), String> {
    let sudo: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["sudo", "-n"] };
    let words: Vec<&str> = sudo.iter().chain(command).copied().collect();
    let out = Command::new(words[0]).args(&words[1..]).arg(path).output();
    let out = out.map_err(|why| format!("{}: {why}", words[0]))?;
    let text = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    if out.status.success() { Ok(()) } else { Err(format!("{}: {text}", words.join(" "))) }
}
