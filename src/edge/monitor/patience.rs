//! The deadline, and whether a service that said nothing is busy or gone.

use std::future::{Future, pending};
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Where a service can be knocked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Door {
    Tcp(String, u16),
    Socket(PathBuf),
}

/// What was heard until the deadline.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard<T> {
    /// The work ended, after a knock or before it came to that.
    Answer { answer: T, knocked: bool },
    /// It did not. If the door is open, the service is there, and too busy.
    Nothing { door_open: bool },
}

impl Door {
    async fn opens(&self) -> bool {
        match self {
            Self::Tcp(host, port) => TcpStream::connect((host.as_str(), *port)).await.is_ok(),
            Self::Socket(path) => UnixStream::connect(path).await.is_ok(),
        }
    }
}

/// Does the work until the deadline. Where half of it has passed in silence, a second connection is tried beside the
/// work: what the work waits for, a dead host or a busy service, the client libraries do not tell.
pub(super) async fn within<T>(deadline: Duration, door: Option<Door>, work: impl Future<Output = T>) -> Heard<T> {
    let start = Instant::now();
    let (mut knocked, mut door_open) = (false, false);
    let knock = async {
        let Some(door) = door else { return pending().await };
        sleep_until(start + deadline / 2).await;
        knocked = true;
        door_open = door.opens().await;
    };
    let work_and_knock = async {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            answer = &mut work => answer,
            () = knock => work.await,
        }
    };
    match timeout_at(start + deadline, work_and_knock).await {
        Ok(answer) => Heard::Answer { answer, knocked },
        Err(_) => Heard::Nothing { door_open },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::ready;
    use tokio::net::TcpListener;

    const DEADLINE: Duration = Duration::from_millis(500);

    async fn listener() -> (TcpListener, Door) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, Door::Tcp("127.0.0.1".to_owned(), port))
    }

    #[tokio::test]
    async fn work_that_ends_is_an_answer() {
        assert_eq!(within(DEADLINE, None, ready(7)).await, Heard::Answer { answer: 7, knocked: false });
    }

    #[tokio::test]
    async fn silence_behind_an_open_door_is_a_busy_service() {
        let (_listener, door) = listener().await;
        assert_eq!(within(DEADLINE, Some(door), pending::<()>()).await, Heard::Nothing { door_open: true });
    }

    #[tokio::test]
    async fn silence_behind_a_shut_door_is_a_dead_one() {
        let (listener, door) = listener().await;
        drop(listener);
        assert_eq!(within(DEADLINE, Some(door), pending::<()>()).await, Heard::Nothing { door_open: false });
    }

    #[tokio::test]
    async fn a_late_answer_still_counts_after_the_knock() {
        let (listener, door) = listener().await;
        // Ends only once the knock has been heard, so after half of the deadline.
        let work = async { listener.accept().await.is_ok() };
        assert_eq!(
            within(Duration::from_secs(2), Some(door), work).await,
            Heard::Answer { answer: true, knocked: true }
        );
    }
}
