//! Whoever asks an engine in another process.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Reply, Request, short};

/// A line of an answer is no longer: the plan of a host with some ten thousand VMs.
const LONGEST: u64 = 16 << 20;
/// An engine takes a question within this time.
const TAKEN: Duration = Duration::from_secs(10);

/// Why an engine was not reached.
#[derive(Debug, Error)]
pub enum Unreached {
    /// None listens there.
    #[error("no engine listens at this history")]
    Nobody,
    /// It could not be asked, or what it said is no answer.
    #[error("the engine cannot be asked: {0}")]
    Failed(#[from] io::Error),
}

/// One question, and its answers as they come. Must be used within a tokio runtime.
pub struct Caller {
    stream: BufReader<UnixStream>,
    line: Vec<u8>,
}

impl Caller {
    /// Asks the engine at a socket.
    ///
    /// # Errors
    /// Nobody is there, or it cannot be asked.
    pub async fn ask(socket: &Path, request: &Request) -> Result<Self, Unreached> {
        let (path, _folder) = short(socket).map_err(nobody_or)?;
        let stream = timeout(TAKEN, UnixStream::connect(path)).await.map_err(io::Error::from)?.map_err(nobody_or)?;
        Ok(Self::over(stream, request).await?)
    }

    async fn over(mut stream: UnixStream, request: &Request) -> io::Result<Self> {
        let mut line = serde_json::to_vec(request).map_err(io::Error::other)?;
        line.push(b'\n');
        match timeout(TAKEN, stream.write_all(&line)).await.map_err(io::Error::from)? {
            // An engine that has no place for this caller answers so without reading the question.
            Err(why) if matches!(why.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            written => written?,
        }
        Ok(Self { stream: BufReader::new(stream), line: Vec::new() })
    }

    /// The next answer; `None`: there are no more. Can be given up and called again.
    ///
    /// # Errors
    /// The engine is gone in the middle of a line, or says what this cannot read.
    pub async fn next(&mut self) -> io::Result<Option<Reply>> {
        let left = LONGEST.saturating_sub(self.line.len() as u64);
        let mut bounded = (&mut self.stream).take(left);
        bounded.read_until(b'\n', &mut self.line).await?;
        let line = std::mem::take(&mut self.line);
        match line.last() {
            None => Ok(None),
            Some(b'\n') => Ok(Some(serde_json::from_slice(&line)?)),
            Some(_) => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn nobody_or(error: io::Error) -> Unreached {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Unreached::Nobody,
        _ => Unreached::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_engine_that_has_answered_and_hung_up_before_it_was_asked_is_heard() {
        let (mut engine, ours) = UnixStream::pair().expect("a pair of sockets");
        engine.write_all(b"{\"ok\":false,\"text\":\"try again\"}\n").await.expect("there is room");
        drop(engine);
        let request = serde_json::from_str(r#"{"plan":{"drain":"mln1"}}"#).expect("a request");
        let mut caller = Caller::over(ours, &request).await.expect("a caller");
        let answer = caller.next().await.expect("a line");
        assert_eq!(answer, Some(Reply::Done { ok: false, text: "try again".to_owned() }));
    }
}
