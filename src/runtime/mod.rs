//! The tokio shell that ties core to edge.
//!
//! | file | its story |
//! | --- | --- |
//! | `heart` | engine and simulator, stepped in the order of time; asks real monitors for what only they can tell |
//! | `polls` | real readings under way; a monitor that panics is an alarm, not an end |
//! | `pace` | which time it is: the wall clock's, or a simulated one that runs faster |
//! | `conductor` | the loop: wakes, polls, commands, reloads, the end |
//! | `print` | records as lines on standard output |
//! | `publish` | records as snapshots for a console |
//! | `beside` | what a snapshot has that is not the engine's |
//! | `signals` | SIGINT, SIGTERM, SIGHUP as words for the loop |

mod beside;
mod conductor;
mod heart;
mod pace;
mod polls;
mod print;
mod publish;
mod signals;

pub use conductor::{Conductor, Control, Ended, Sink};
pub use heart::{Asked, Heart};
pub use pace::{Pace, steady_clock};
pub use print::{Format, Printer};
pub use publish::Publisher;
pub use signals::{Hangup, on_hangup, to_control};
