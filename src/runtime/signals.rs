//! SIGINT, SIGTERM and SIGHUP as words for the loop.

use std::time::Duration;
use std::{io, process, thread};

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::{Control, WRITTEN_WITHIN};
use crate::edge::supervisor::{fault, supervise};

/// How long the loop may take to end in order; longer than its last writes may take. After that the process ends, even if a
/// reader hangs. A second signal ends it at once.
const PATIENCE: Duration = Duration::from_secs(WRITTEN_WITHIN.as_secs() + 2);

/// Passes signals on to the loop, from a thread of its own. Signals are caught from the moment this returns. If the process
/// still runs some time after it was told to stop, the thread ends it. `reloads`: SIGHUP reads the config again, and does not end it.
///
/// # Errors
/// If the signals cannot be caught.
pub fn to_control(reloads: bool) -> io::Result<mpsc::Receiver<Control>> {
    let (sender, receiver) = mpsc::channel(8);
    let (caught, ready) = std::sync::mpsc::channel();
    let listen = move || match Signals::catch() {
        Ok((runtime, mut signals)) => {
            let _ = caught.send(Ok(()));
            let report = |text| drop(sender.try_send(Control::Trouble(text)));
            // Signals that come meanwhile wait.
            supervise("the thread for signals", report, || runtime.block_on(signals.tell(reloads, &sender)));
        }
        Err(error) => drop(caught.send(Err(error))),
    };
    thread::Builder::new().name("signals".to_owned()).spawn(listen)?;
    ready.recv().unwrap_or_else(|_| Err(io::Error::other("the thread for signals is gone")))?;
    Ok(receiver)
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn catch() -> io::Result<(Runtime, Self)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _inside = runtime.enter();
            Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hang_up: signal(SignalKind::hangup())?,
            }
        };
        Ok((runtime, signals))
    }

    async fn tell(&mut self, reloads: bool, sender: &mpsc::Sender<Control>) {
        loop {
            fault("signals");
            let word = tokio::select! {
                _ = self.interrupt.recv() => Control::Stop,
                _ = self.terminate.recv() => Control::Stop,
                _ = self.hang_up.recv() => if reloads { Control::Reload } else { Control::Stop },
            };
            if word != Control::Stop {
                // A full channel already holds the same request. A closed one has no receiver any more.
                let _ = sender.try_send(word);
                continue;
            }
            let told = async {
                // It waits for room: a channel full of other requests does not hold this one.
                let _ = sender.send(word).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = told => {}
                () = tokio::time::sleep(PATIENCE) => {}
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
            process::exit(1);
        }
    }
}
