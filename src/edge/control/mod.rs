//! Commands from another process: a socket beside the history of a running engine. One line of JSON is asked, lines of JSON
//! are answered; what they hold is in docs/control.md.
//!
//! Who may open the history may command: the socket is its user's alone. There is one engine a history, so there is one
//! socket. Everything that is said is bounded, and nobody waits for somebody who does not answer.

mod client;
mod server;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::core::engine::{Command, Drain, DrainPlan};

pub use client::{Caller, Unreached};
pub use server::Server;

/// What is asked, on one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Request {
    /// That something is done: answered with [`Reply::Done`].
    Command {
        /// This.
        command: Command,
        /// Who wants it, for the log; at most 64 characters.
        #[serde(default = "somebody")]
        by: String,
    },
    /// What something would mean: answered with [`Reply::Plan`].
    Plan {
        /// This.
        plan: Subject,
    },
    /// How something goes on: answered with [`Reply::Progress`] each time it is another, and at its end [`Reply::Done`].
    Follow {
        /// This.
        follow: Subject,
    },
}

/// What can be planned and followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The emptying of this host.
    Drain(String),
}

/// What is answered, a line each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reply {
    /// What came of it; the last line.
    Done {
        /// It was done.
        ok: bool,
        /// In words.
        text: String,
    },
    /// What draining a host would mean.
    Plan {
        /// In names.
        plan: DrainPlan,
    },
    /// How far the draining of a host is.
    Progress {
        /// In names.
        progress: Drain,
    },
}

/// What an engine is asked, and where its answer goes.
#[derive(Debug)]
pub struct Call {
    /// This. The engine answers [`Request::Follow`] with the progress at that moment, and the server asks again and again.
    pub request: Request,
    /// There; nobody may be waiting any more.
    pub answer: oneshot::Sender<Reply>,
}

/// The socket of an engine that keeps this history.
pub fn beside(history: &Path) -> PathBuf {
    let mut path = history.as_os_str().to_owned();
    path.push(".sock");
    path.into()
}

fn somebody() -> String {
    "somebody".to_owned()
}

/// A path that fits into a socket's address, which holds some hundred bytes: by its folder, kept open meanwhile, if it is
/// longer.
fn short(path: &Path) -> std::io::Result<(PathBuf, Option<std::fs::File>)> {
    use std::os::fd::AsRawFd;
    const FITS: usize = 100;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok((path.to_owned(), None)) };
    if path.as_os_str().len() <= FITS {
        return Ok((path.to_owned(), None));
    }
    let folder = std::fs::File::open(folder)?;
    Ok((Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name), Some(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(line: &str) -> Request {
        serde_json::from_str(line).unwrap_or_else(|why| panic!("{line}: {why}"))
    }

    #[test]
    fn what_is_asked_is_one_line_of_json() {
        let drain = Command::Drain { host: "mln1".to_owned() };
        let by = "anna".to_owned();
        assert_eq!(
            reads(r#"{"command":{"drain":{"host":"mln1"}},"by":"anna"}"#),
            Request::Command { command: drain.clone(), by }
        );
        assert_eq!(
            reads(r#"{"command":{"drain":{"host":"mln1"}}}"#),
            Request::Command { command: drain, by: somebody() }
        );
        let subject = Subject::Drain("mln1".to_owned());
        assert_eq!(reads(r#"{"plan":{"drain":"mln1"}}"#), Request::Plan { plan: subject.clone() });
        assert_eq!(reads(r#"{"follow":{"drain":"mln1"}}"#), Request::Follow { follow: subject });
        for wrong in [r#"{"plan":{"drain":"mln1"},"command":"acknowledge"}"#, r#"{"plan":{"move":"a"}}"#, "{}", "7"] {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_answered_is_read_as_it_was_written() {
        let done = Reply::Done { ok: true, text: "well".to_owned() };
        let line = serde_json::to_string(&done).unwrap();
        assert_eq!(line, r#"{"ok":true,"text":"well"}"#);
        assert_eq!(serde_json::from_str::<Reply>(&line).unwrap(), done);
        let progress = Drain { host: "mln1".into(), of: 3, moved: 1, ..Drain::default() };
        let reply = Reply::Progress { progress };
        assert_eq!(serde_json::from_str::<Reply>(&serde_json::to_string(&reply).unwrap()).unwrap(), reply);
    }

    #[test]
    fn a_long_path_still_fits_an_address() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let (path, _held) = short(&deep.join("a.sock")).unwrap();
        assert!(path.as_os_str().len() < 100 && path.ends_with("a.sock"), "{path:?}");
        std::fs::write(&path, "").unwrap();
        assert!(deep.join("a.sock").exists());
    }
}
