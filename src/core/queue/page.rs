//! A page: the text file that is one queue, a job a line.

use std::collections::HashMap;
use std::ops::Range;

use thiserror::Error;

/// The longest page, in bytes.
pub const LONGEST_PAGE: usize = 256 << 20;
/// The longest line, in bytes.
pub const LONGEST_LINE: usize = 1 << 20;
/// The most lines of a page.
pub const MOST_LINES: u32 = 1_000_000;
/// The most grades of a page: a tag is a grade, and what has more of them has something else before its `=`.
const MOST_GRADES: usize = 1_000;

/// One job of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job<'a> {
    /// Its line on the page, from 1.
    pub number: u32,
    /// Its grade, `grade b`; empty if it has none.
    pub tag: &'a str,
    /// What is to be done.
    pub work: &'a str,
}

/// A page, whole, with its lines found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    text: String,
    /// The number and the bytes of each line that is a job, in order.
    jobs: Vec<(u32, Range<u32>)>,
}

/// Why a page is not worked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PageError {
    /// It is longer than [`LONGEST_PAGE`].
    #[error("the page is longer than 256 MiB: split it into several pages")]
    TooLong,
    /// It has more lines than [`MOST_LINES`].
    #[error("the page has more than 1,000,000 lines: split it into several pages")]
    TooManyLines,
    /// A line is longer than [`LONGEST_LINE`].
    #[error("line {0} is longer than 1 MiB: put its data into a file and name that")]
    LongLine(u32),
    /// It is no UTF-8 text, or holds a NUL.
    #[error("the page is no text: line {0} has bytes that are not UTF-8; save it as UTF-8")]
    NoText(u32),
    /// It has more than a thousand grades.
    #[error("the page has more than 1,000 grades: the part of a line before ` = ` is its grade")]
    TooManyGrades,
}

impl Page {
    /// Finds the jobs of a page. Blank lines and lines that begin with `#` are none.
    ///
    /// # Errors
    /// It is no text, or beyond a limit.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, PageError> {
        if bytes.len() > LONGEST_PAGE {
            return Err(PageError::TooLong);
        }
        let line_at = |at: usize| bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u32 + 1;
        if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
            return Err(PageError::NoText(line_at(at)));
        }
        if let Err(error) = std::str::from_utf8(&bytes) {
            return Err(PageError::NoText(line_at(error.valid_up_to())));
        }
        let Ok(text) = String::from_utf8(bytes) else { return Err(PageError::NoText(1)) };
        let mut jobs = Vec::new();
        let (mut number, mut begin) = (0, 0);
        for line in text.split_inclusive('\n') {
            if number == MOST_LINES {
                return Err(PageError::TooManyLines);
            }
            number += 1;
            let end = begin + line.len();
            if line.len() > LONGEST_LINE {
                return Err(PageError::LongLine(number));
            }
            let work = line.trim();
            if !work.is_empty() && !work.starts_with('#') {
                let from = begin + (line.len() - line.trim_start().len());
                jobs.push((number, from as u32..(from + work.len()) as u32));
            }
            begin = end;
        }
        let page = Self { text, jobs };
        if page.grades("").len() > MOST_GRADES { Err(PageError::TooManyGrades) } else { Ok(page) }
    }

    /// How many jobs it has.
    pub const fn count(&self) -> u32 {
        self.jobs.len() as u32
    }

    /// Every job, in the order of the lines.
    pub fn jobs(&self) -> impl Iterator<Item = Job<'_>> {
        self.jobs.iter().map(|(number, bytes)| self.at(*number, bytes))
    }

    /// The job of a number; `None` if that line is none.
    pub fn job(&self, number: u32) -> Option<Job<'_>> {
        self.nth(self.position(number)? as usize)
    }

    /// How many jobs come before that of a number; `None` if that line is none.
    pub fn position(&self, number: u32) -> Option<u32> {
        self.jobs.binary_search_by_key(&number, |(number, _)| *number).ok().map(|at| at as u32)
    }

    /// How many jobs are on the lines before this one.
    pub fn before(&self, line: u32) -> u32 {
        self.jobs.partition_point(|(number, _)| *number < line) as u32
    }

    /// The `index`-th job, from 0.
    pub fn nth(&self, index: usize) -> Option<Job<'_>> {
        self.jobs.get(index).map(|(number, bytes)| self.at(*number, bytes))
    }

    /// How many jobs are big: their line begins with this tag. An empty tag: none.
    pub fn big(&self, tag: &str) -> u32 {
        self.jobs().filter(|job| is_big(job, tag)).count() as u32
    }

    /// How many jobs each grade has, the grades that are big first, then in the order in which they come.
    pub fn grades(&self, big: &str) -> Vec<(String, u32)> {
        let mut counts: Vec<(&str, u32)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut last = usize::MAX;
        for job in self.jobs() {
            // Jobs of one grade often stand together.
            if last == usize::MAX || counts[last].0 != job.tag {
                last = *places.entry(job.tag).or_insert_with(|| {
                    counts.push((job.tag, 0));
                    counts.len() - 1
                });
                if counts.len() > MOST_GRADES {
                    break;
                }
            }
            counts[last].1 += 1;
        }
        counts.sort_by_key(|(tag, _)| big.is_empty() || !tag.starts_with(big));
        counts.into_iter().map(|(tag, jobs)| (tag.to_owned(), jobs)).collect()
    }

    fn at(&self, number: u32, bytes: &Range<u32>) -> Job<'_> {
        let line = &self.text[bytes.start as usize..bytes.end as usize];
        let (tag, work) = split(line);
        Job { number, tag, work }
    }
}

/// Whether a job is big: its line begins with this tag. An empty tag: none is.
pub fn is_big(job: &Job<'_>, tag: &str) -> bool {
    let begins = if job.tag.is_empty() { job.work } else { job.tag };
    !tag.is_empty() && begins.starts_with(tag)
}

/// A line's tag and work: `grade b = 123^123`, or just the work. A tag has spaces around its `=`, so that `x=3` is work, and
/// only letters, digits, spaces, dots, dashes and underscores, so that `a == b = c` is.
fn split(line: &str) -> (&str, &str) {
    match line.split_once(" = ") {
        Some((tag, work)) if is_tag(tag.trim_end()) => (tag.trim_end(), work.trim_start()),
        _ => ("", line),
    }
}

fn is_tag(text: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_');
    text.chars().next().is_some_and(char::is_alphabetic) && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(text: &str) -> Page {
        Page::parse(text.as_bytes().to_vec()).expect("a page")
    }

    #[test]
    fn a_jobs_number_is_its_line() {
        let page = page("# of today\n\ngrade b = 123^123\r\n  2 + 2  \n\ngrade a = 9^9\n");
        let jobs: Vec<_> = page.jobs().map(|job| (job.number, job.tag, job.work)).collect();
        assert_eq!(jobs, [(3, "grade b", "123^123"), (4, "", "2 + 2"), (6, "grade a", "9^9")]);
        assert_eq!((page.count(), page.big("grade a"), page.big("")), (3, 1, 0));
        assert_eq!(page.job(4).map(|job| job.work), Some("2 + 2"));
        assert_eq!(page.job(5), None);
    }

    #[test]
    fn an_equals_sign_in_the_work_makes_no_tag() {
        for work in ["x=3;x^2", "2 == 2 = 1", "x = 3", "(1) = 2", "= 5"] {
            let text = format!("{work}\n");
            let page = page(&text);
            let job = page.nth(0).expect("a job");
            if work == "x = 3" {
                assert_eq!((job.tag, job.work), ("x", "3"), "a letter before ` = ` is a tag");
            } else {
                assert_eq!((job.tag, job.work), ("", work));
            }
        }
    }

    #[test]
    fn grades_come_big_ones_first() {
        let page = page("grade c = 1\ngrade a = 2\ngrade c = 3\n4\n");
        let grades = page.grades("grade a");
        let expected = [("grade a", 1), ("grade c", 2), ("", 1)].map(|(tag, jobs)| (tag.to_owned(), jobs));
        assert_eq!(grades, expected);
    }

    #[test]
    fn what_is_no_page_is_refused_with_its_line() {
        assert_eq!(Page::parse(b"1\n\xff\n".to_vec()), Err(PageError::NoText(2)));
        assert_eq!(Page::parse(b"1\n2\n3\0\n".to_vec()), Err(PageError::NoText(3)));
        let mut long = b"1\n".to_vec();
        long.resize(10 << 20, b'7');
        assert_eq!(Page::parse(long), Err(PageError::LongLine(2)));
        assert_eq!(Page::parse(vec![b'\n'; 1_000_001]), Err(PageError::TooManyLines));
        assert_eq!(Page::parse(vec![b'\n'; 1_000_000]).map(|page| page.count()), Ok(0));
        let tags: String = (0..1_001).map(|n| format!("g{n} = 1\n")).collect();
        assert_eq!(Page::parse(tags.into_bytes()), Err(PageError::TooManyGrades));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_page_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(page) = Page::parse(bytes) {
                prop_assert!(page.jobs().zip(page.jobs().skip(1)).all(|(a, b)| a.number < b.number));
                prop_assert!(page.jobs().all(|job| page.job(job.number) == Some(job)));
                prop_assert_eq!(page.grades("").iter().map(|(_, jobs)| jobs).sum::<u32>(), page.count());
            }
        }
    }
}
