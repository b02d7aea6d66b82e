//! Placeholders become arguments. What is put in is never looked at again, by nobody: not for placeholders, not by a shell.

/// The template with each `{name}` that has a value replaced by it. Other text stays as it is, braces too.
pub(super) fn fill(template: &[String], values: &[(&str, &str)]) -> Vec<String> {
    template.iter().map(|argument| filled(argument, values)).collect()
}

/// Whether a template has this placeholder.
pub(super) fn names(template: &[String], name: &str) -> bool {
    let placeholder = format!("{{{name}}}");
    template.iter().any(|argument| argument.contains(&placeholder))
}

fn filled(argument: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(argument.len());
    let mut rest = argument;
    while let Some(at) = rest.find('{') {
        let (before, placeholder) = rest.split_at(at);
        out.push_str(before);
        let value = placeholder.find('}').and_then(|end| {
            let value = values.iter().find(|(name, _)| *name == &placeholder[1..end])?.1;
            Some((value, end))
        });
        rest = match value {
            Some((value, end)) => {
                out.push_str(value);
                &placeholder[end + 1..]
            }
            None => {
                out.push('{');
                &placeholder[1..]
            }
        };
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(argument: &str, values: &[(&str, &str)]) -> String {
        fill(&[argument.to_owned()], values).remove(0)
    }

    #[test]
    fn placeholders_stand_for_their_values() {
        let values = [("vm", "nii1"), ("index", "2"), ("to", "mln2")];
        assert_eq!(one("/root/.vmmanage/{vm}.{index}.mln", &values), "/root/.vmmanage/nii1.2.mln");
        assert_eq!(one("{to}{to}", &values), "mln2mln2");
        assert_eq!(one("{vm}.{index}.mln", &[("vm", "nii1"), ("index", "")]), "nii1..mln");
    }

    #[test]
    fn a_value_is_not_filled_in_turn() {
        assert_eq!(one("{vm} {to}", &[("vm", "{to}"), ("to", "{vm}")]), "{to} {vm}");
    }

    #[test]
    fn other_braces_stay() {
        assert_eq!(one("awk {print} {vm", &[("vm", "a")]), "awk {print} {vm");
        assert_eq!(one("{{vm}}", &[("vm", "a")]), "{a}");
        assert!(names(&["x{host}y".to_owned()], "host") && !names(&["{hosts}".to_owned()], "host"));
    }

    proptest! {
        #[test]
        fn text_without_placeholders_stays_and_a_value_comes_whole(text in "[^{}]*", value in any::<String>()) {
            prop_assert_eq!(&one(&text, &[("vm", &value)]), &text);
            prop_assert_eq!(one(&format!("{text}{{vm}}"), &[("vm", &value)]), format!("{text}{value}"));
        }
    }
}
