//! The names in a queue's tree. All of them are parsed from the right: VMs and pages may have dots in their names.

use crate::core::format::is_hostile;

/// The longest name of a page, in bytes: `PAGE.N` must fit into a file name as well.
const LONGEST_PAGE_NAME: usize = 200;
/// The longest name of a VM here, in bytes.
const LONGEST_VM_NAME: usize = 180;
/// Digits of the number that makes a name unique: milliseconds since 1970 and four random ones.
const NUMBER_DIGITS: usize = 17;

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

/// `VM.INSTANCE.N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimName<'a> {
    /// Whose worker claimed it.
    pub vm: &'a str,
    /// Which start of the worker.
    pub instance: &'a str,
    /// What makes it unique.
    pub number: &'a str,
}

/// A file under `claims/` whose name begins with a dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DotFile<'a> {
    /// `.VM.INSTANCE.json`: what a worker writes of itself.
    Worker { vm: &'a str, instance: &'a str },
    /// `.VM.INSTANCE.tmp-N`: a file that is not whole yet; the VM's name is empty if no worker writes it.
    Unfinished { vm: &'a str },
    /// `.probe-…`: the trace of a probe that was broken off.
    Probe,
    /// Anything else: not ours.
    Foreign,
}

/// The parts of a claim's name.
pub fn parse_claim(name: &str) -> Option<ClaimName<'_>> {
    let (rest, number) = name.rsplit_once('.')?;
    let (vm, instance) = rest.rsplit_once('.')?;
    let is_claim = !vm.is_empty() && is_instance(instance) && is_number(number);
    is_claim.then_some(ClaimName { vm, instance, number })
}

/// The page and the number in `PAGE.N`.
pub fn parse_numbered(name: &str) -> Option<(&str, &str)> {
    let (page, number) = name.rsplit_once('.')?;
    (!page.is_empty() && is_number(number)).then_some((page, number))
}

/// What a file under `claims/` is whose name begins with a dot.
pub fn parse_dot_file(name: &str) -> DotFile<'_> {
    let Some(name) = name.strip_prefix('.') else { return DotFile::Foreign };
    if name.starts_with("probe-") {
        return DotFile::Probe;
    }
    let Some((rest, end)) = name.rsplit_once('.') else { return DotFile::Foreign };
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

/// Makes a name unique: from milliseconds since 1970 and a random number.
pub fn number(millis: i64, random: u64) -> u64 {
    millis.unsigned_abs() * 10_000 + random % 10_000
}

/// A number as it is written in names.
pub fn number_text(number: u64) -> String {
    format!("{number:0NUMBER_DIGITS$}")
}

/// The milliseconds since 1970 in a number.
pub fn millis_of(number: &str) -> Option<i64> {
    Some(number.parse::<i64>().ok()? / 10_000)
}

/// Whether a name can be a page's.
///
/// # Errors
/// What is wrong with it.
pub fn check_page_name(name: &str) -> Result<(), String> {
    if name.len() > LONGEST_PAGE_NAME {
        return Err(format!("its name is longer than {LONGEST_PAGE_NAME} bytes: give it a shorter one"));
    }
    check(name)
}

/// Whether a VM's name can be part of a file's name.
///
/// # Errors
/// What is wrong with it.
pub fn check_vm_name(name: &str) -> Result<(), String> {
    if name.len() > LONGEST_VM_NAME {
        return Err(format!("it is longer than {LONGEST_VM_NAME} bytes: give the VM a shorter name"));
    }
    check(name)
}

fn check(name: &str) -> Result<(), String> {
    let wrong = match name {
        "" => "its name is empty",
        _ if name.starts_with('.') => "its name begins with a dot",
        _ if name.contains('/') => "its name has a slash in it",
        _ if name.chars().any(is_hostile) => "its name has a control or an invisible character in it",
        _ if name.trim() != name => "its name begins or ends with a blank",
        _ => return Ok(()),
    };
    Err(format!("{wrong}: give it another one"))
}

fn is_instance(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_number(text: &str) -> bool {
    text.len() == NUMBER_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INSTANCE: &str = "0123456789ab";

    #[test]
    fn a_claims_name_is_read_from_the_right() {
        let number = number_text(number(1_241_613_600_000, 12_345));
        assert_eq!(number, "12416136000002345");
        assert_eq!(millis_of(&number), Some(1_241_613_600_000));
        let name = format!("a.b.{INSTANCE}.{number}");
        assert_eq!(parse_claim(&name), Some(ClaimName { vm: "a.b", instance: INSTANCE, number: &number }));
        for wrong in ["nii4", "nii4.0123456789ab.7", "nii4.0123456789AB.12416136000002345", ".0123456789ab.1"] {
            assert_eq!(parse_claim(wrong), None, "{wrong}");
        }
        assert_eq!(parse_numbered("jobs.12416136000002345"), Some(("jobs", "12416136000002345")));
        assert_eq!(parse_numbered("jobs.7"), None);
    }

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
        for foreign in [".davfs.tmp0123", ".nii4.json", ".DAV", "nii4", ".", ".nii4.0123456789ab.tmp-x"] {
            assert_eq!(parse_dot_file(foreign), DotFile::Foreign, "{foreign}");
        }
    }

    #[test]
    fn a_page_has_a_safe_name() {
        for good in ["jobs", "render 7", "größe.txt", "a.12416136000002345"] {
            assert_eq!(check_page_name(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", ".hidden", "a/b", "a\nb", "a\u{202e}b", " a", &"x".repeat(201)] {
            assert!(check_page_name(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_or_none(text in "\\PC*") {
            let _ = (parse_claim(&text), parse_numbered(&text), parse_dot_file(&text), parse_result(&text));
        }
    }
}
