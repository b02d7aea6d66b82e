//! The jobs of a page, read as a page: the worker knows no other form of it.

use std::collections::BTreeMap;

use crate::core::queue::{LONGEST_PAGE, MOST_LINES, Page, PageError, Ranges};

/// The longest grade, in characters, as the table has it.
pub const LONGEST_TAG: usize = 255;

/// The jobs of one page as they come, in the order of their numbers.
#[derive(Default)]
pub(super) struct PageJobs {
    text: String,
    /// Number, and the lengths of tag and work: the page must have the same.
    lengths: Vec<(u32, u32, u32)>,
    /// Jobs with a result.
    pub done: Ranges,
    /// Jobs that were set aside.
    pub failed: Ranges,
    /// Tries of jobs that were begun and have no result.
    pub attempts: BTreeMap<u32, u32>,
}

/// A row of the table.
pub(super) type JobRow = (u32, String, String, String, u32);

/// The columns of a [`JobRow`].
pub const COLUMNS: &str = "number, tag, work, CAST(state AS CHAR), attempts";

impl PageJobs {
    /// The next job.
    ///
    /// # Errors
    /// It cannot be a line of a page.
    pub fn push(&mut self, (number, tag, work, state, attempts): &JobRow) -> Result<(), String> {
        let (number, tag, work) = (*number, tag.trim(), work.trim());
        let wrong = |what: &str| Err(format!("job {number} {what}"));
        if number == 0 || number > MOST_LINES {
            return wrong("has a number that is not between 1 and 1,000,000");
        }
        if tag.contains('\n') || work.contains('\n') {
            return wrong("has a line break in its tag or work: a job is one line");
        }
        if work.is_empty() {
            return wrong("has no work");
        }
        let last = self.lengths.last().map_or(0, |(number, ..)| *number);
        let lines = number.saturating_sub(last) as usize;
        if self.text.len() + lines + tag.len() + work.len() + 3 > LONGEST_PAGE {
            return Err(PageError::TooLong.to_string());
        }
        self.text.extend(std::iter::repeat_n('\n', lines - usize::from(last == 0)));
        if !tag.is_empty() {
            self.text.push_str(tag);
            self.text.push_str(" = ");
        }
        self.text.push_str(work);
        self.lengths.push((number, tag.len() as u32, work.len() as u32));
        match &**state {
            "done" => drop(self.done.insert(number)),
            "failed" => drop(self.failed.insert(number)),
            _ if *attempts > 0 => drop(self.attempts.insert(number, *attempts)),
            _ => {}
        }
        Ok(())
    }

    /// The page's length so far.
    pub const fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The page.
    ///
    /// # Errors
    /// It is none, or has other jobs than the table: a tag or a work would be read otherwise.
    pub fn page(&mut self) -> Result<Page, String> {
        let page = Page::parse(std::mem::take(&mut self.text).into_bytes()).map_err(|error| error.to_string())?;
        let mut jobs = page.jobs();
        for (number, tag, work) in &self.lengths {
            let job = jobs.next().map(|job| (job.number, job.tag.len() as u32, job.work.len() as u32));
            if job == Some((*number, *tag, *work)) {
                continue;
            }
            return Err(if *tag > 0 {
                format!(
                    "the tag of job {number} is none: it must be letters, digits, blanks, dots, dashes, underscores"
                )
            } else {
                format!(
                    "the work of job {number} would be read otherwise: put what is before its ` = ` into the column tag"
                )
            });
        }
        drop(jobs);
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(number: u32, tag: &str, work: &str, state: &str, attempts: u32) -> JobRow {
        (number, tag.to_owned(), work.to_owned(), state.to_owned(), attempts)
    }

    fn page(rows: &[JobRow]) -> Result<(PageJobs, Page), String> {
        let mut jobs = PageJobs::default();
        rows.iter().try_for_each(|row| jobs.push(row))?;
        let page = jobs.page()?;
        Ok((jobs, page))
    }

    #[test]
    fn a_jobs_number_is_its_line_also_if_numbers_are_left_out() {
        let rows = [
            row(1, "grade b", "123^123", "done", 1),
            row(4, "", " 1+1 ", "waiting", 0),
            row(5, "grade a", "9^9", "waiting", 2),
            row(900, "grade b", "2", "failed", 3),
        ];
        let (jobs, page) = page(&rows).expect("a page");
        let found: Vec<_> = page.jobs().map(|job| (job.number, job.tag, job.work)).collect();
        assert_eq!(found, [(1, "grade b", "123^123"), (4, "", "1+1"), (5, "grade a", "9^9"), (900, "grade b", "2")]);
        assert_eq!((jobs.done.as_slice(), jobs.failed.as_slice()), (&[(1, 1)][..], &[(900, 900)][..]));
        assert_eq!(jobs.attempts, BTreeMap::from([(5, 2)]));
    }

    #[test]
    fn no_jobs_are_an_empty_page() {
        assert_eq!(page(&[]).map(|(_, page)| page.count()), Ok(0));
    }

    #[test]
    fn what_cannot_be_a_line_is_refused_by_its_number() {
        let error = |tag: &str, work: &str| page(&[row(7, tag, work, "waiting", 0)]).map(|_| ()).expect_err(work);
        assert_eq!(error("", "1\n2"), "job 7 has a line break in its tag or work: a job is one line");
        assert_eq!(error("a", "  "), "job 7 has no work");
        assert!(error("", "# no job").starts_with("the work of job 7 would be read otherwise"));
        assert!(error("", "x = 3").contains("into the column tag"));
        assert!(error("a/b", "3").starts_with("the tag of job 7 is none"));
        assert!(error("", "a\0b").contains("no text"));
        assert!(page(&[row(0, "", "1", "waiting", 0)]).is_err());
        assert!(page(&[row(1_000_001, "", "1", "waiting", 0)]).is_err());
        assert!(page(&[row(1_000_000, "", "1", "waiting", 0)]).is_ok());
    }

    proptest! {
        /// Whatever is in the table: the page has the same jobs, or is refused.
        #[test]
        fn a_page_has_the_jobs_of_its_rows(jobs in prop::collection::btree_map(1_u32..30, ("[a-c =/#\n\t]{0,6}", ".{0,8}"), 0..8)) {
            let rows: Vec<_> = jobs.iter().map(|(number, (tag, work))| row(*number, tag, work, "waiting", 0)).collect();
            if let Ok((_, page)) = page(&rows) {
                let found: Vec<_> = page.jobs().map(|job| (job.number, job.tag, job.work)).collect();
                let expected: Vec<_> = rows.iter().map(|row| (row.0, row.1.trim(), row.2.trim())).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
