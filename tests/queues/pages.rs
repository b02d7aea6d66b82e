//! Pages whose results are known: computed here, by other means than the worker's.

use std::collections::BTreeMap;

use crate::support::proxy::Seeded;

/// A page, and what must come of it.
#[derive(Debug, Clone)]
pub struct KnownPage {
    pub name: String,
    pub text: String,
    /// The result of each job, by its number.
    pub results: BTreeMap<u32, String>,
}

impl KnownPage {
    /// A page of so many jobs that `bc` computes, of any grade, with lines between them that are no jobs.
    pub fn of_bc(name: &str, jobs: u32, seed: u64) -> Self {
        let mut seeded = Seeded::new(seed);
        Self::of(name, jobs, &mut seeded.clone(), |_| formula(&mut seeded))
    }

    /// A page of so many jobs, each of which is to be repeated as it is.
    pub fn of_echoes(name: &str, jobs: u32, seed: u64) -> Self {
        Self::of(name, jobs, &mut Seeded::new(seed), |number| {
            let work = format!("{name} job {number}; $(false) {{job}}");
            (work.clone(), work)
        })
    }

    /// `job` gives the work of the job of a number, and its result.
    fn of(name: &str, jobs: u32, seeded: &mut Seeded, mut job: impl FnMut(u32) -> (String, String)) -> Self {
        let mut page = Self { name: name.to_owned(), text: format!("# {name}\n"), results: BTreeMap::new() };
        let mut number = 1;
        for _ in 0..jobs {
            let gap = seeded.pick(&["", "", "", "\n", "# between jobs\n", "  \r\n"]);
            number += 1 + u32::from(!gap.is_empty());
            let grade = seeded.pick(&["", "grade a = ", "grade b = ", "  grade c =  "]);
            let (work, result) = job(number);
            page.text += &format!("{gap}{grade}{work}\n");
            page.results.insert(number, format!("{result}\n"));
        }
        page
    }
}

/// A line of bc, and its answer.
fn formula(seeded: &mut Seeded) -> (String, String) {
    let [a, b] = [(); 2].map(|()| 1 + u128::from(seeded.below(1 << 40)));
    let (small, exponent) = (2 + u128::from(seeded.below(30)), seeded.below(25) as u32);
    match seeded.below(7) {
        0 => (format!("{a}+{b}"), (a + b).to_string()),
        1 => (format!("{a}-{b}"), (a as i128 - b as i128).to_string()),
        2 => (format!("{a} * {b}"), (a * b).to_string()),
        3 => (format!("({a}*{b})/{small}"), (a * b / small).to_string()),
        4 => (format!("{a}%{small}"), (a % small).to_string()),
        5 => (format!("{small}^{exponent}"), small.pow(exponent).to_string()),
        _ => (format!("x={a};x*x+(x<{b})"), (a * a + u128::from(a < b)).to_string()),
    }
}
