//! Supervised threads: after a panic a thread reports it and begins again.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

/// The first pause after a panic. Each next one is twice as long …
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What an operator is asked to do about a panic.
pub const REPORT_IT: &str = "this is a fault of whimbrel's own, please report it with its log";

/// Runs `work` until it returns. After each panic, `report` gets one line for an operator, and `work` runs again after a
/// pause. Whatever `work` owns is as the panic left it.
pub fn supervise(what: &str, report: impl Fn(String), mut work: impl FnMut()) {
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        let Err(panic) = catch_unwind(AssertUnwindSafe(&mut work)) else { return };
        if began.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        report(format!("{what} failed and begins again: {}; {REPORT_IT}", panic_message(&*panic)));
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The message of a panic, in one line.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    text.lines().next().unwrap_or_default().to_owned()
}

/// Panics if the hidden variable `WHIMBREL_FAULT` names this place, so that a test sees what an operator would see:
/// `history` panics each time, `history:once` only the first time. A release build ignores it.
pub fn fault(place: &str) {
    #[cfg(debug_assertions)]
    {
        use std::sync::OnceLock;
        use std::sync::atomic::{AtomicBool, Ordering};
        static ASKED: OnceLock<Option<String>> = OnceLock::new();
        static DONE: AtomicBool = AtomicBool::new(false);
        let Some(asked) = ASKED.get_or_init(|| std::env::var("WHIMBREL_FAULT").ok()) else { return };
        let is_due = match asked.strip_suffix(":once") {
            Some(once) => once == place && !DONE.swap(true, Ordering::SeqCst),
            None => asked == place,
        };
        assert!(!is_due, "asked for by WHIMBREL_FAULT");
    }
    #[cfg(not(debug_assertions))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn work_that_panics_is_said_and_begins_again() {
        let (said, mut attempts) = (RefCell::new(Vec::new()), 0);
        supervise(
            "the test's thread",
            |text| said.borrow_mut().push(text),
            || {
                attempts += 1;
                assert!(attempts > 2, "attempt {attempts}\nand more of it");
            },
        );
        let said = said.into_inner();
        assert_eq!((attempts, said.len()), (3, 2));
        assert!(said[0].starts_with("the test's thread failed and begins again: attempt 1; "), "{said:?}");
        assert!(said.iter().all(|text| !text.contains('\n')), "one line: {said:?}");
    }
}
