//! Words for errors: what was probably meant, and lists.

use std::collections::HashSet;

/// The word that was probably meant, if one is near enough.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let length = lower.chars().count();
    // A word of one letter is near to every other, so it is near to none.
    let allowed = (length / 3).clamp(1, 3).min(length.saturating_sub(1));
    // If the lengths differ by more, so do the words.
    let similar = known.into_iter().filter(|k| k.chars().count().abs_diff(length) <= allowed);
    let near = similar.map(|k| (strsim::osa_distance(&lower, &k.to_lowercase()), k));
    near.filter(|&(d, _)| d <= allowed).min_by_key(|&(d, _)| d).map(|(_, k)| k)
}

/// A word of the file for a message, in quotes: ` 'x'`. Empty if it is near to none of these, because then it may be a secret.
pub(super) fn if_near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    if nearest(word, known).is_some() { format!(" '{word}'") } else { String::new() }
}

/// `did you mean 'x'?`, or the whole choice.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("did you mean '{near}'?"),
        None if known.clone().into_iter().next().is_none() => "there is none here yet: add one".to_owned(),
        None => format!("known here: {}", known.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// The name, with a number if it is taken. It is taken from then on.
pub fn free_name(name: String, taken: &mut HashSet<String>) -> String {
    let more = (2..).map(|n| format!("{name}-{n}"));
    let free = std::iter::once(name.clone()).chain(more).find(|name| taken.insert(name.clone()));
    free.unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let keys = ["threshold", "tarry", "low_threshold", "url"];
        let near = |word| nearest(word, keys);
        assert_eq!(near("treshold"), Some("threshold"));
        assert_eq!(near("taryr"), Some("tarry"));
        assert_eq!(near("URL"), Some("url"));
        assert_eq!(near("lowthreshold"), Some("low_threshold"));
        assert_eq!(near("colour"), None);
        assert_eq!(nearest("b", ["a"]), None);
    }
}
