//! An engine that runs for one command, where none does. It is asked by its door like any other.

use std::io;
use std::path::Path;
use std::thread::JoinHandle;

use color_eyre::eyre::{Result, WrapErr, eyre};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, Instant, sleep};

use crate::core::cluster::Mode;
use crate::core::engine::Command;
use crate::edge::config::Config;
use crate::edge::control::{Caller, Request};
use crate::runtime::{Control, Format, Frontend, Printer, over};

/// Its door is open by then.
const OPENS: Duration = Duration::from_secs(10);
/// It is tried so often.
const LOOK: Duration = Duration::from_millis(20);

/// An engine on a thread of its own.
pub(super) struct Embedded {
    control: mpsc::Sender<Control>,
    thread: JoinHandle<()>,
    operator: String,
    /// The mode it would have; meanwhile it decides nothing by itself.
    mode: Mode,
}

impl Embedded {
    /// Begins where the engine before it stopped, in mode observe.
    ///
    /// # Errors
    /// Another engine has the history, or it cannot begin.
    pub(super) async fn begin(loaded: (Config, Vec<u8>), operator: String) -> Result<Self> {
        let (control, controls) = mpsc::channel(1);
        let (began, begun) = oneshot::channel();
        let by = operator.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || {
            let inside = runtime.enter();
            let show = Frontend::Print(Printer::new(Format::Text, Box::new(io::sink())));
            let mut event_loop = match over(loaded, show, None) {
                Ok(event_loop) => event_loop,
                // Whoever waits for it hears of it.
                Err(why) => return drop(began.send(Err(why.to_string()))),
            };
            let mut mode = Mode::Observe;
            event_loop.prepare(|engine_host, outputs, asks| {
                mode = engine_host.engine().cluster().mode;
                if mode != Mode::Observe {
                    engine_host.command(&by, Command::Mode { mode: Mode::Observe }, outputs, asks);
                }
            });
            drop(inside);
            let _ = began.send(Ok(mode));
            drop(runtime.block_on(event_loop.run(controls, None)));
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(run)?;
        let mode = begun.await.wrap_err("the engine cannot begin")?.map_err(|why| eyre!(why))?;
        Ok(Self { control, thread, operator, mode })
    }

    /// Waits until it can be asked.
    ///
    /// # Errors
    /// It cannot.
    pub(super) async fn opens(&self, socket: &Path, question: &Request) -> Result<()> {
        let last = Instant::now() + OPENS;
        loop {
            match Caller::ask(socket, question).await {
                Ok(_) => return Ok(()),
                Err(why) if Instant::now() >= last || self.thread.is_finished() => {
                    return Err(why).wrap_err("its history cannot be had, see `whimbrel run`");
                }
                Err(_) => sleep(LOOK).await,
            }
        }
    }

    /// Ends it in order, in the mode it had.
    pub(super) async fn end(self, socket: &Path) {
        if self.mode != Mode::Observe {
            let command = Command::Mode { mode: self.mode };
            let request = Request::Command { command, by: self.operator };
            if let Ok(mut caller) = Caller::ask(socket, &request).await {
                // What cannot be set back is narrower than it was, and the next engine says so.
                let _ = caller.next().await;
            }
        }
        // It may have ended already.
        let _ = self.control.send(Control::Stop).await;
        let _ = self.thread.join();
    }
}
