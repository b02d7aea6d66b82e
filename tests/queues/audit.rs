//! What lies in a queue's home, counted without asking whimbrel: nothing lost, nothing twice, nothing stray.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::pages::KnownPage;

/// A claim that is finished.
#[derive(Debug, Clone, Default)]
pub struct FinishedPage {
    /// The page's name.
    pub name: String,
    /// The page, as it is now; `None` where only its jobs are kept.
    pub text: Option<String>,
    /// Each job's result, or its error.
    pub results: Vec<(u32, Result<String, String>)>,
}

/// Everything in a queue's home.
#[derive(Debug, Default)]
pub struct Remains {
    pub finished: Vec<FinishedPage>,
    /// Pages that wait.
    pub open: Vec<String>,
    /// Pages in a worker's hand, and claims without a page.
    pub claims: Vec<String>,
    /// What is where nothing should be.
    pub strays: Vec<String>,
}

impl Remains {
    /// What a tree holds under this folder.
    pub fn of_tree(root: &Path) -> Self {
        let mut remains = Self { open: shown(&root.join("open")), ..Self::default() };
        for name in names(&root.join("claims")) {
            match name.strip_prefix('.') {
                // What a worker reports of itself: `.VM.INSTANCE.json`.
                Some(hidden) if hidden.ends_with(".json") => {}
                // What nobody's worker has left may still be in use, and is cleared when it is an hour old.
                Some(hidden) if hidden.starts_with("probe-") || is_nobodys(hidden) => {}
                Some(_) => remains.strays.push(format!("claims/{name}")),
                None => remains.claims.push(name),
            }
        }
        let stray_controls = names(&root.join("control")).into_iter().filter(|name| !name.ends_with(".json"));
        remains.strays.extend(stray_controls.map(|name| format!("control/{name}")));
        let stray_folders = names(root).into_iter().filter(|name| !FOLDERS.contains(&&**name));
        remains.strays.extend(stray_folders);
        for name in shown(&root.join("done")) {
            let finished = remains.finished(&root.join("done").join(&name), &name);
            remains.finished.push(finished);
        }
        remains
    }

    fn finished(&mut self, folder: &Path, claim: &str) -> FinishedPage {
        let name = claim.rsplit_once('.').map_or(claim, |(page, _)| page).to_owned();
        let mut stray: Vec<String> = shown(folder);
        stray.retain(|file| !["page", "status.json", "results"].contains(&&**file));
        self.strays.extend(stray.iter().map(|file| format!("done/{claim}/{file}")));
        let mut finished = FinishedPage { name, text: text(&folder.join("page")), results: Vec::new() };
        for file in shown(&folder.join("results")) {
            let (digits, is_error) = file.strip_suffix(".error").map_or((&*file, false), |digits| (digits, true));
            let Some(job) = digits.parse().ok().filter(|_| digits.len() >= 6) else {
                self.strays.push(format!("done/{claim}/results/{file}"));
                continue;
            };
            let content = text(&folder.join("results").join(&file)).unwrap_or_default();
            finished.results.push((job, if is_error { Err(content) } else { Ok(content) }));
        }
        finished
    }

    /// Whether nothing waits and nothing is in work.
    pub fn is_done(&self) -> bool {
        self.open.is_empty() && self.claims.is_empty()
    }

    /// All that is wrong with it, if each of these pages was worked and nothing else was there to be worked; empty: nothing.
    pub fn faults(&self, pages: &[KnownPage]) -> Vec<String> {
        let mut faults = Vec::new();
        let list =
            |what: &str, names: &[String]| names.iter().map(|name| format!("{what}: {name}")).collect::<Vec<_>>();
        faults.extend(list("still waits", &self.open));
        faults.extend(list("still claimed", &self.claims));
        faults.extend(list("stray", &self.strays));
        let mut by_name: BTreeMap<&str, Vec<&FinishedPage>> = BTreeMap::new();
        for finished in &self.finished {
            by_name.entry(&finished.name).or_default().push(finished);
        }
        for page in pages {
            match by_name.remove(&*page.name).as_deref() {
                None => faults.push(format!("lost: the page {}", page.name)),
                Some([finished]) => faults.extend(finished.faults(page)),
                Some(several) => faults.push(format!("twice: the page {} is in {} claims", page.name, several.len())),
            }
        }
        faults.extend(by_name.into_keys().map(|name| format!("stray: nobody has added the page {name}")));
        faults
    }
}

impl FinishedPage {
    fn faults(&self, page: &KnownPage) -> Vec<String> {
        let mut faults = Vec::new();
        let name = &page.name;
        if self.text.as_ref().is_some_and(|text| *text != page.text) {
            faults.push(format!("the page {name} was changed"));
        }
        let mut by_job: BTreeMap<u32, Vec<&Result<String, String>>> = BTreeMap::new();
        for (job, result) in &self.results {
            by_job.entry(*job).or_default().push(result);
        }
        for (job, wanted) in &page.results {
            match by_job.remove(job).as_deref() {
                None => faults.push(format!("lost: job {job} of {name}")),
                Some([Ok(result)]) if result == wanted => {}
                Some([result]) => {
                    faults.push(format!("wrong: job {job} of {name} has {result:?} instead of {wanted:?}"));
                }
                Some(several) => faults.push(format!("twice: job {job} of {name} has {several:?}")),
            }
        }
        faults.extend(by_job.into_keys().map(|job| format!("stray: {name} has no job {job}")));
        faults
    }
}

const FOLDERS: [&str; 4] = ["claims", "control", "done", "open"];

/// An unfinished file of an operator: `INSTANCE.tmp-N`. A worker's has its VM before that.
fn is_nobodys(hidden: &str) -> bool {
    hidden.split_once('.').is_some_and(|(instance, rest)| instance.len() == 12 && rest.starts_with("tmp-"))
}

fn text(path: &Path) -> Option<String> {
    fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// What is in a folder, in order. A server may be changing it meanwhile.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    // Apache's own, of an upload that was broken off.
    names.retain(|name| !name.starts_with(".davfs.tmp") && name != ".DAV");
    names.sort();
    names
}

/// The same without hidden files, which are nobody's results and no pages.
fn shown(folder: &Path) -> Vec<String> {
    names(folder).into_iter().filter(|name| !name.starts_with('.')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_auditor_finds_what_is_lost_what_is_there_twice_and_what_is_stray() {
        let root = tempfile::tempdir().expect("a folder");
        let pages: Vec<KnownPage> = (0..2).map(|n| KnownPage::of_bc(&format!("p{n}"), 3, n)).collect();
        let finish = |page: &KnownPage, number: &str| {
            let folder = root.path().join(format!("done/{}.{number}", page.name));
            fs::create_dir_all(folder.join("results")).expect("a folder");
            fs::write(folder.join("page"), &page.text).expect("a file");
            for (job, result) in &page.results {
                fs::write(folder.join(format!("results/{job:06}")), result).expect("a file");
            }
            folder
        };
        let found = || Remains::of_tree(root.path()).faults(&pages);
        let first = finish(&pages[0], "17000000000000001");
        assert_eq!(found(), ["lost: the page p1"]);
        finish(&pages[1], "17000000000000002");
        assert_eq!(found(), Vec::<String>::new());

        let jobs: Vec<u32> = pages[0].results.keys().copied().collect();
        fs::write(first.join(format!("results/{:06}.error", jobs[0])), "its worker died").expect("a file");
        fs::remove_file(first.join(format!("results/{:06}", jobs[1]))).expect("a file");
        fs::write(first.join(format!("results/{:06}", jobs[2])), "7 apples\n").expect("a file");
        fs::write(first.join("results/tmp"), "").expect("a file");
        fs::create_dir_all(root.path().join("claims/vm.0123456789ab.17000000000000003")).expect("a folder");
        fs::write(root.path().join("claims/.vm.0123456789ab.tmp-17000000000000003"), "").expect("a file");
        fs::create_dir_all(root.path().join("open")).expect("a folder");
        fs::write(root.path().join("open/late"), "1\n").expect("a file");
        let all = found();
        for (at, wanted) in [
            "still waits: late",
            "still claimed: vm.",
            "stray: claims/.vm.",
            "stray: done/p0.17000000000000001/results/tmp",
            "twice: job",
            "lost: job",
            "wrong: job",
        ]
        .into_iter()
        .enumerate()
        {
            assert!(all[at].starts_with(wanted), "{wanted}: {all:?}");
        }
        finish(&pages[1], "17000000000000004");
        assert!(found().iter().any(|fault| fault.starts_with("twice: the page p1 is in 2 claims")));
    }
}
