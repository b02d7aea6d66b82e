//! The tokio shell that ties core to edge.
//!
//! | file | its story |
//! | --- | --- |
//! | `heart` | engine and simulator, stepped in the order of time; asks real monitors for what only they can tell |
//! | `drives` | the drivers of real arrays: what they are asked, and what they find as events |
//! | `polls` | real readings under way; a monitor that panics is an alarm, not an end |
//! | `pace` | which time it is: the wall clock's, or a simulated one that runs faster |
//! | `conductor` | the loop: wakes, polls, commands, reloads, the end |
//! | `print` | records as lines on standard output |
//! | `spool` | standard output on a thread of its own |
//! | `publish` | records as snapshots for a console |
//! | `archive` | records on their way into the history |
//! | `sink` | all of these as one |
//! | `beside` | what a snapshot has that is not the engine's |
//! | `desk` | slow questions on a thread of their own: the past, what-if, the config file |
//! | `porter` | commands from another process |
//! | `backroom` | history and desk as the loop sees them |
//! | `begin` | an engine that goes on where the one before stopped; a demo with a past |
//! | `studio` | a simulated cluster that stands still and answers at once, for pictures |
//! | `signals` | SIGINT, SIGTERM, SIGHUP as words for the loop |

mod archive;
mod backroom;
mod begin;
mod beside;
mod conductor;
mod desk;
mod drives;
mod heart;
mod pace;
mod polls;
mod porter;
mod print;
mod publish;
mod signals;
mod sink;
mod spool;
mod studio;

pub use archive::Archive;
pub use backroom::Backroom;
pub use begin::{give_past, keep_in, over};
pub use conductor::{Conductor, Control, Ended};
pub use desk::Papers;
pub use heart::{Asked, Heart};
pub use pace::{Pace, steady_clock};
pub use porter::door;
pub use print::{Format, Printer};
pub use publish::Publisher;
pub use signals::{Hangup, on_hangup, to_control};
pub use sink::{Show, Sink};
pub use studio::Studio;
