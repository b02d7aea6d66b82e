//! The names of claims, and what VMs and pages may be called: their names are parts of them. All of them are parsed from the
//! right: VMs and pages may have dots in their names.

use crate::core::format::is_hostile;

/// Digits of the number that makes a name unique: milliseconds since 1970 and four random ones.
const NUMBER_DIGITS: usize = 17;

/// The longest name of a page, in bytes: `PAGE.N` must fit into a file name as well.
const LONGEST_PAGE_NAME: usize = 200;
/// The longest name of a VM here, in bytes.
const LONGEST_VM_NAME: usize = 180;

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

/// Whether it is what [`super::new_instance`] makes.
pub fn is_instance(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Whether it is a number as it is written in names.
pub fn is_number(text: &str) -> bool {
    text.len() == NUMBER_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
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
    fn a_page_has_a_safe_name() {
        for good in ["jobs", "render 7", "größe.txt", "a.12416136000002345"] {
            assert_eq!(check_page_name(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", ".hidden", "a/b", "a\nb", "a\u{202e}b", " a", &"x".repeat(201)] {
            assert!(check_page_name(bad).is_err(), "{bad:?}");
        }
    }
}
