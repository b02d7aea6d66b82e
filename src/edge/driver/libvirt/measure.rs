//! What a hypervisor knows of a VM: the CPU time it had, and the memory it uses.

use std::time::Instant;

use super::connection::{BALLOON, CPU, Connection, VCPU};
use super::fields::Fields;
use super::line::Line;
use super::task::{DEADLINE, Key};
use crate::edge::driver::Usage;

/// A VM's counters on one host at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Counters {
    pub host: usize,
    at: Instant,
    /// Nanoseconds.
    cpu: Option<u64>,
    cpus: u64,
    memory: Option<f64>,
}

/// Reads them.
pub(super) fn read(line: &Line, host: usize, key: Key) -> Result<Counters, String> {
    let answer = line.ask(move |connection| counters(connection, host, &key))?;
    answer.within(DEADLINE)?
}

fn counters(connection: &Connection, host: usize, key: &Key) -> Result<Counters, String> {
    let domain = key.find(connection).map_err(|error| error.to_string())?;
    let domain = domain.ok_or("it does not run there any more")?;
    let figures = domain.stats(CPU | BALLOON | VCPU).map_err(|error| error.to_string())?;
    let size = domain.size().ok();
    let cpus = figures.get("vcpu.current").or_else(|| size.map(|size| u64::from(size.cpus)));
    let cpu = figures.get("cpu.time").or_else(|| size.map(|size| size.cpu_time));
    Ok(Counters { host, at: Instant::now(), cpu, cpus: cpus.unwrap_or(1).max(1), memory: memory(&figures) })
}

/// The part of its memory that the guest uses, in percent: its caches count as free, where it tells of them.
fn memory(figures: &Fields) -> Option<f64> {
    let available = figures.get("balloon.available").filter(|kib| *kib > 0)?;
    let free = figures.get("balloon.usable").or_else(|| figures.get("balloon.unused"))?;
    Some(100.0 - free.min(available) as f64 * 100.0 / available as f64)
}

/// What was used since an earlier reading; its CPU time begins anew on each host.
pub(super) fn usage(before: Option<&Counters>, now: &Counters) -> Usage {
    let cpu = before.filter(|before| before.host == now.host).and_then(|before| {
        let used = now.cpu?.checked_sub(before.cpu?)?;
        let had = now.at.saturating_duration_since(before.at).as_nanos() as f64 * now.cpus as f64;
        (had > 0.0).then(|| (used as f64 * 100.0 / had).min(100.0))
    });
    Usage { cpu, memory: now.memory }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn counters(host: usize, at: Instant, cpu: u64) -> Counters {
        Counters { host, at, cpu: Some(cpu), cpus: 2, memory: None }
    }

    #[test]
    fn cpu_is_what_it_had_of_what_its_processors_can_have() {
        let start = Instant::now();
        let first = counters(0, start, 1_000_000_000);
        let second = counters(0, start + Duration::from_secs(10), 6_000_000_000);
        assert_eq!(usage(None, &first).cpu, None);
        assert_eq!(usage(Some(&first), &second).cpu, Some(25.0));
    }

    #[test]
    fn cpu_time_begins_anew_with_a_move_or_a_restart() {
        let start = Instant::now();
        let first = counters(0, start, 6_000_000_000);
        assert_eq!(usage(Some(&first), &counters(1, start + Duration::from_secs(1), 7_000_000_000)).cpu, None);
        assert_eq!(usage(Some(&first), &counters(0, start + Duration::from_secs(1), 5_000_000_000)).cpu, None);
    }

    #[test]
    fn memory_is_told_by_the_guest_alone() {
        let mut figures = Fields::default();
        figures.set("balloon.current".into(), 1_000);
        assert_eq!(memory(&figures), None);
        figures.set("balloon.available".into(), 800);
        figures.set("balloon.unused".into(), 200);
        assert_eq!(memory(&figures), Some(75.0));
        figures.set("balloon.usable".into(), 600);
        assert_eq!(memory(&figures), Some(25.0));
    }
}
