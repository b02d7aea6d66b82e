//! The engine's side of the socket. It has a thread of its own, so that a slow caller delays nobody else.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as Listener, UnixStream as Probe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::Sender;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::{Call, Reply, Request, beside, short};
use crate::core::engine::Drain;
use crate::core::format::{counted, is_hostile};
use crate::edge::supervisor::{fault, supervise};

/// The most callers at one time.
const CALLERS: usize = 16;
/// The longest question, in bytes.
const LONGEST: u64 = 64 << 10;
/// The longest name of a caller, in characters.
const LONGEST_NAME: usize = 64;
/// The deadline for reading a question, for the engine's answer, and for writing that answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a follower's progress is read.
const LOOK: Duration = Duration::from_millis(250);
/// A follower hears something at least this often, so that it can tell a slow drain from an engine that stands still.
const REPEAT: Duration = Duration::from_secs(5);
/// The pause after a failed accept. Without it, a process out of file descriptors would loop at full speed.
const BREATH: Duration = Duration::from_millis(100);

/// Answers callers as long as it lives. Dropping it removes the socket.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    /// Device and inode of our socket: another engine may have replaced it, and that one must stay.
    is: (u64, u64),
    /// Ends the thread when dropped.
    _open: oneshot::Sender<()>,
}

impl Server {
    /// Listens beside a history. `calls` gets each call, and one line for an operator each time the thread begins again
    /// after a panic.
    ///
    /// # Errors
    /// Another engine listens there, or the socket cannot be made; in words.
    pub fn open(history: &Path, calls: Sender<Result<Call, String>>) -> Result<Self, String> {
        let path = beside(history);
        let refused = |why: io::Error| format!("{}: {why}", path.display());
        let (listener, is) = listen(&path).map_err(refused)?;
        let (open, mut shut) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let listener = {
            let _entered = runtime.enter();
            UnixListener::from_std(listener).map_err(refused)?
        };
        let places = Arc::new(Semaphore::new(CALLERS));
        // The listener and the callers' tasks outlive a panic: whoever calls meanwhile is answered when the work goes on.
        let work = move || {
            // The loop may have ended.
            let report = |text| drop(calls.blocking_send(Err(text)));
            supervise("the socket for other processes", report, || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = &mut shut => {}
                        () = accept(&listener, &places, &calls) => {}
                    }
                });
            });
        };
        std::thread::Builder::new().name("control".to_owned()).spawn(work).map_err(refused)?;
        Ok(Self { path, is, _open: open })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|is| is == self.is) {
            // The whole folder may be gone already.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the socket under another name, closes it to other users, then gives it its name. A socket that nobody answers at
/// was left over by an engine that died, and is replaced.
fn listen(path: &Path) -> io::Result<(Listener, (u64, u64))> {
    let (at, _folder) = short(path)?;
    if Probe::connect(&at).is_ok() {
        return Err(io::Error::other("another engine answers here"));
    }
    if fs::symlink_metadata(&at).is_ok_and(|there| !there.file_type().is_socket()) {
        return Err(io::Error::other("this is no socket, but somebody's file: give it another name"));
    }
    let mut new = at.clone().into_os_string();
    new.push(".new");
    match fs::remove_file(&new) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    let listener = Listener::bind(&new)?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    fs::rename(&new, &at)?;
    Ok((listener, identity(&at)?))
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|socket| (socket.dev(), socket.ino()))
}

/// Serves each caller in a task of its own, for ever.
async fn accept(listener: &UnixListener, places: &Arc<Semaphore>, calls: &Sender<Result<Call, String>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(BREATH).await;
            continue;
        };
        fault("control");
        if !stream.peer_cred().is_ok_and(|peer| peer.uid() == geteuid().as_raw() || peer.uid() == 0) {
            continue;
        }
        let calls = calls.clone();
        match places.clone().try_acquire_owned() {
            Ok(place) => drop(tokio::spawn(async move {
                attend(stream, &calls).await;
                drop(place);
            })),
            // The caller may have gone.
            Err(_) => drop(turn_away(stream)),
        }
    }
}

/// Tells a caller for whom there is no place, without waiting: a new socket's buffer has room for one line.
fn turn_away(stream: UnixStream) -> io::Result<()> {
    let text = format!("whimbrel is answering {CALLERS} other callers; try again in a few seconds");
    stream.into_std()?.write_all(&line_of(&Reply::Done { ok: false, text })?)
}

fn line_of(reply: &Reply) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    Ok(line)
}

/// Reads one caller's question and writes the answers.
async fn attend(stream: UnixStream, calls: &Sender<Result<Call, String>>) {
    let mut caller = BufReader::new(stream);
    let Ok(Some(question)) = timeout(PATIENCE, question(&mut caller)).await else { return };
    // The caller may have gone.
    drop(match read(&question) {
        Err(text) => say(&mut caller, &Reply::Done { ok: false, text }).await,
        Ok(request @ Request::Follow { .. }) => follow(&mut caller, calls, request).await,
        Ok(request) => say(&mut caller, &ask(calls, request).await).await,
    });
}

/// One line; `None` if it has no end, is too long or cannot be read.
async fn question(caller: &mut BufReader<UnixStream>) -> Option<Vec<u8>> {
    let mut question = Vec::new();
    caller.take(LONGEST).read_until(b'\n', &mut question).await.ok()?;
    (question.pop() == Some(b'\n')).then_some(question)
}

async fn say(caller: &mut BufReader<UnixStream>, reply: &Reply) -> io::Result<()> {
    timeout(PATIENCE, caller.write_all(&line_of(reply)?)).await?
}

fn read(question: &[u8]) -> Result<Request, String> {
    let request = serde_json::from_slice(question).map_err(|why| format!("this is no request: {why}"))?;
    if let Request::Command { by, .. } = &request
        && (by.is_empty() || by.chars().count() > LONGEST_NAME || by.chars().any(is_hostile))
    {
        return Err(format!("'by' is a name of at most {LONGEST_NAME} characters"));
    }
    Ok(request)
}

/// Asks the engine.
async fn ask(calls: &Sender<Result<Call, String>>, request: Request) -> Reply {
    let (answer, answered) = oneshot::channel();
    let asked = async {
        calls.send(Ok(Call { request, answer })).await.ok()?;
        answered.await.ok()
    };
    if let Ok(Some(reply)) = timeout(PATIENCE, asked).await {
        return reply;
    }
    Reply::Done { ok: false, text: "the engine does not answer: it may be ending, or busy; see what it did".to_owned() }
}

/// Writes the progress of a drain each time it changes and every few seconds, until the drain ends or the caller hangs up.
async fn follow(
    caller: &mut BufReader<UnixStream>,
    calls: &Sender<Result<Call, String>>,
    request: Request,
) -> io::Result<()> {
    let (mut told, mut at) = (None, Instant::now());
    loop {
        match ask(calls, request.clone()).await {
            Reply::Progress { progress } => {
                let end = progress.done.then(|| drained(&progress));
                let reply = Reply::Progress { progress };
                if told.as_ref() != Some(&reply) || at.elapsed() >= REPEAT {
                    say(caller, &reply).await?;
                    (told, at) = (Some(reply), Instant::now());
                }
                if let Some(text) = end {
                    return say(caller, &Reply::Done { ok: true, text }).await;
                }
            }
            other => return say(caller, &other).await,
        }
        tokio::select! {
            // The caller hangs up or sends anything more.
            _ = caller.read_u8() => return Ok(()),
            () = sleep(LOOK) => {}
        }
    }
}

fn drained(progress: &Drain) -> String {
    let Drain { host, moved, .. } = progress;
    let vms = counted(*moved as usize, "VM has", "VMs have");
    format!("{host} is drained: {vms} left it; it takes none until it is released")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_was_left_over_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db.sock");
        drop(listen(&path).unwrap());
        let (_open, is) = listen(&path).unwrap();
        assert_eq!(identity(&path).unwrap(), is);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(listen(&path).unwrap_err().to_string().contains("another engine"));
        fs::remove_file(&path).unwrap();
        fs::write(&path, "notes").unwrap();
        assert!(listen(&path).unwrap_err().to_string().contains("no socket"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "notes");
    }
}
