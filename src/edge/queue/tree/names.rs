//! The names in a queue's tree. All of them are parsed from the right: VMs and pages may have dots in their names.

use crate::edge::queue::names::{is_instance, is_number};

pub use crate::edge::queue::names::{
    check_page_name, check_vm_name, millis_of, number, number_text, parse_claim, parse_numbered,
};

/// Pages that wait.
pub const OPEN: &str = "open";
/// Claims and what workers write of themselves.
pub const CLAIMS: &str = "claims";
/// Claims that are finished.
pub const DONE: &str = "done";
/// What is asked of workers.
pub const CONTROL: &str = "control";
/// A claim's page.
pub const PAGE: &str = "page";
/// A claim's status.
pub const STATUS: &str = "status.json";
/// A claim's results.
pub const RESULTS: &str = "results";

/// A file under `claims/` whose name begins with a dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DotFile<'a> {
    /// `.VM.INSTANCE.json`: what a worker writes of itself.
    Worker { vm: &'a str, instance: &'a str },
    /// `.VM.INSTANCE.tmp-N`: a file that is not whole yet; the VM's name is empty if no worker writes it.
    Unfinished { vm: &'a str },
    /// `.probe-…`: the trace of a probe that was broken off.
    Probe,
    /// `.….lock`: somebody changes something that only one may change at a time.
    Lock,
    /// Anything else: not ours.
    Foreign,
}

/// What a file under `claims/` is whose name begins with a dot.
pub fn parse_dot_file(name: &str) -> DotFile<'_> {
    let Some(name) = name.strip_prefix('.') else { return DotFile::Foreign };
    if name.starts_with("probe-") {
        return DotFile::Probe;
    }
    let Some((rest, end)) = name.rsplit_once('.') else { return DotFile::Foreign };
    if end == "lock" {
        return DotFile::Lock;
    }
    let (vm, instance) = rest.rsplit_once('.').unwrap_or(("", rest));
    match end.strip_prefix("tmp-") {
        Some(number) if is_instance(instance) && is_number(number) => DotFile::Unfinished { vm },
        None if is_instance(instance) && end == "json" && !vm.is_empty() => DotFile::Worker { vm, instance },
        _ => DotFile::Foreign,
    }
}

/// The job and whether it was set aside, from a name under `results/`.
pub fn parse_result(name: &str) -> Option<(u32, bool)> {
    let (digits, is_error) = match name.strip_suffix(".error") {
        Some(digits) => (digits, true),
        None => (name, false),
    };
    let job = digits.parse().ok()?;
    (result_name(job, is_error) == name).then_some((job, is_error))
}

/// The name of a job's result, or of its error.
pub fn result_name(job: u32, is_error: bool) -> String {
    format!("{job:06}{}", if is_error { ".error" } else { "" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INSTANCE: &str = "0123456789ab";

    #[test]
    fn a_results_name_has_six_digits_or_more() {
        assert_eq!(parse_result("000007"), Some((7, false)));
        assert_eq!(parse_result("000007.error"), Some((7, true)));
        assert_eq!(parse_result("1000000"), Some((1_000_000, false)));
        for wrong in ["7", "0000007", "000007.tmp", ".davfs.tmp01", "+00007", "000007.error.error"] {
            assert_eq!(parse_result(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn nobody_takes_anothers_dot_file_for_its_own() {
        let worker = DotFile::Worker { vm: "nii4", instance: INSTANCE };
        assert_eq!(parse_dot_file(".nii4.0123456789ab.json"), worker);
        let unfinished = |vm| DotFile::Unfinished { vm };
        assert_eq!(parse_dot_file(".nii4.0123456789ab.tmp-12416136000002345"), unfinished("nii4"));
        assert_eq!(parse_dot_file(".0123456789ab.tmp-12416136000002345"), unfinished(""));
        assert_eq!(parse_dot_file(".probe-0123456789ab"), DotFile::Probe);
        assert_eq!(parse_dot_file(".add.a.0123456789ab.json.lock"), DotFile::Lock);
        for foreign in [".davfs.tmp0123", ".nii4.json", ".DAV", "nii4", ".", ".nii4.0123456789ab.tmp-x"] {
            assert_eq!(parse_dot_file(foreign), DotFile::Foreign, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_or_none(text in "\\PC*") {
            let _ = (parse_claim(&text), parse_numbered(&text), parse_dot_file(&text), parse_result(&text));
        }
    }
}
