//! SIGINT, SIGTERM and SIGHUP as words for the loop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::Control;

/// What a hang-up means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangup {
    /// Read the config again.
    Reload,
    /// End.
    Stop,
}

/// `run` reads its config again on SIGHUP; without one there is nothing to read, and it ends.
pub const fn on_hangup(has_config: bool) -> Hangup {
    if has_config { Hangup::Reload } else { Hangup::Stop }
}

/// Sends on what signals say, until the receiver is gone. Signals are caught from the moment this returns.
///
/// # Errors
/// If the signals cannot be caught.
pub fn to_control(hangup: Hangup) -> io::Result<mpsc::Receiver<Control>> {
    let (sender, receiver) = mpsc::channel(8);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            let word = tokio::select! {
                _ = interrupt.recv() => Control::Stop,
                _ = terminate.recv() => Control::Stop,
                _ = hang_up.recv() => match hangup {
                    Hangup::Reload => Control::Reload,
                    Hangup::Stop => Control::Stop,
                },
            };
            if sender.send(word).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
