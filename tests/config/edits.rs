//! Edits of policies in awkward files: the bytes that were to change, and no other.
//!
//! `tests/config/edits/*.toml` are written as no program would write them. Of each edit the whole file is compared, and the
//! settings it says.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use whimbrel::core::cluster::{Source, VmId};
use whimbrel::core::policy::{Scope, Settings};
use whimbrel::edge::config::{
    self, AmendError, Amended, BlockEdit, Config, PolicyBlock, amend, blocks_of, check_block,
};

const FILES: [&str; 9] =
    ["inline", "inline-lines", "headers", "dotted", "arrays", "texts", "windows", "under-header", "drivers"];
const PATH: &str = "whimbrel.toml";

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/edits").join(name).with_extension("toml");
    String::from_utf8(fs::read(path).unwrap()).unwrap()
}

fn read(text: &str) -> Config {
    config::parse(Path::new(PATH), text).unwrap_or_else(|report| panic!("{report}"))
}

/// The file with one place changed, which must be there once.
#[track_caller]
fn with(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old:?}");
    text.replace(old, new)
}

fn text(amended: Result<Amended, AmendError>) -> String {
    String::from_utf8(amended.unwrap_or_else(|error| panic!("{error}")).bytes).unwrap()
}

/// The file with single keys of some VMs' policies changed.
fn with_keys(bytes: &[u8], vms: &[&str], keys: &[(&str, Option<&str>)], scope: Scope) -> Result<Amended, AmendError> {
    amend(bytes, Path::new(PATH), vms, scope, BlockEdit::Keys(keys))
}

/// The file with another text of the VM's policy block.
fn with_block(file: &str, vm: &str, scope: Scope, block: &str) -> Result<Amended, AmendError> {
    amend(file.as_bytes(), Path::new(PATH), &[vm], scope, BlockEdit::Text(block))
}

fn block_of(text: &str, vm: &str) -> Option<PolicyBlock> {
    blocks_of(text, &[vm]).pop()?
}

fn block(text: &str, vm: &str) -> String {
    block_of(text, vm).unwrap().text
}

/// The VM's block, edited as a text.
#[track_caller]
fn edited(file: &str, vm: &str, old: &str, new: &str) -> String {
    let block = with(&block(file, vm), old, new);
    text(with_block(file, vm, Scope::Block, &block))
}

#[test]
fn a_block_is_one_key_a_line_in_the_files_notation() {
    let inline = file("inline");
    assert_eq!(block(&inline, "db"), "kind = \"threshold\"\nthreshold = 50\ntarry = 3\n");
    let tight =
        "kind = \"base\"\nthreshold = 5_0\ntarry = 3\nlow_threshold = 1.50\nlow_tarry = 20\nsettle = \"1m30s\"\n";
    assert_eq!(block(&inline, "tight"), tight);
    assert_eq!(block(&inline, "wide"), "kind = \"threshold\"\nthreshold = +800.0\ntarry = 0x3\n");
    let headers = file("headers");
    assert_eq!(block(&headers, "nii1"), "kind = \"threshold\"\nthreshold = 5e1\t# fifty\ntarry = 3\n");
    let office = "kind = \"schedule\"   # rests at night\nthreshold = 50\n\
                  low_threshold = 1            # 1 is \"nothing to do\"\ntarry = 3\nlow_tarry = 20\n\
                  hours = \"Mon-Fri 09:00-16:00\"\nzone = 'Europe/Oslo' # local time\n";
    assert_eq!(block(&headers, "nii2"), office);
    assert_eq!(block(&file("windows"), "nii2"), office, "line ends are the editor's");
    let dotted = "kind = \"base\"\nthreshold = 50        # here\ntarry = 3\nlow_threshold = 1\nlow_tarry = 20\n";
    assert_eq!(block(&file("dotted"), "nii1"), dotted);
    assert_eq!(block(&file("arrays"), "nii4"), "kind = \"threshold\"\nthreshold = 50\ntarry = 3\n");
    assert!(
        block(&file("texts"), "nii1-ß").contains("hours = \"\"\"\nMon-Fri 09:00-16:00,\\\n  Sat 10:00-12:00\"\"\"\n")
    );
    assert_eq!(block_of(&headers, "nobody"), None);
    assert_eq!(block_of("[[vm]]\nname = ", "nii1"), None);
}

#[test]
fn blocks_read_together_are_those_read_alone() {
    for name in FILES {
        let text = file(name);
        let config = read(&text);
        let vms: Vec<&str> = config.cluster.vms.iter().map(|vm| vm.name.as_str()).chain(["nobody"]).collect();
        let together = blocks_of(&text, &vms);
        assert_eq!(together.len(), vms.len());
        let mut seen = Vec::new();
        for (block, vm) in together.into_iter().zip(&vms) {
            let mut alone = block_of(&text, vm);
            // Of VMs that share a block the first has the others.
            if let Some(alone) = alone.as_mut().filter(|alone| alone.shared.is_some()) {
                if seen.contains(&alone.shared) {
                    alone.others.clear();
                }
                seen.push(alone.shared.clone());
            }
            assert_eq!(block, alone, "{name}: {vm}");
        }
    }
    assert_eq!(blocks_of("[[vm]]\nname = ", &["nii1", "nii2"]), [None, None]);
}

#[test]
fn a_block_knows_where_it_stands_and_who_shares_it() {
    let place = |name: &str, vm: &str| {
        let block = block_of(&file(name), vm).unwrap();
        (block.line, block.shared, block.others)
    };
    assert_eq!(place("headers", "nii1"), (22, None, Vec::new()));
    assert_eq!(place("headers", "nii3"), (7, Some("office".into()), vec!["nii2".to_owned()]));
    assert_eq!(place("windows", "nii2"), (7, Some("office".into()), vec!["nii3".to_owned()]));
    assert_eq!(place("dotted", "nii2"), (2, Some("web".into()), vec!["nii3".to_owned()]));
    assert_eq!(place("arrays", "nii2").0, 6);
    for name in FILES {
        let text = file(name);
        let config = read(&text);
        for (vm, origin) in config.cluster.vms.iter().zip(&config.origins) {
            let block = block_of(&text, &vm.name).unwrap();
            assert_eq!((&block.shared, block.line), (&origin.shared, origin.line), "{name}: {}", vm.name);
            let id = config.cluster.vm_named(&vm.name).unwrap();
            let others: Vec<&str> = config.others_of(id).map(|id| config.cluster.vm(id).name.as_str()).collect();
            assert_eq!(block.others, others);
        }
    }
}

#[test]
fn a_changed_value_is_the_only_change() {
    let inline = file("inline");
    assert_eq!(
        edited(&inline, "db", "threshold = 50", "threshold = 60.5"),
        with(&inline, "threshold = 50, tarry = 3 }      #", "threshold = 60.5, tarry = 3 }      #")
    );
    assert_eq!(edited(&inline, "tight", "5_0", "6_0"), with(&inline, "5_0", "6_0"));
    assert_eq!(edited(&inline, "tight", "1m30s", "2m"), with(&inline, "1m30s", "2m"));
    assert_eq!(edited(&inline, "wide", "+800.0", "900"), with(&inline, "+800.0", "900"));
    let lines = file("inline-lines");
    assert_eq!(
        edited(&lines, "nii1", "threshold = 50", "threshold = 7"),
        with(&lines, "threshold = 50, # slow", "threshold = 7, # slow")
    );
    for name in ["headers", "windows"] {
        let headers = file(name);
        assert_eq!(edited(&headers, "nii1", "5e1", "51"), with(&headers, "5e1", "51"));
        assert_eq!(
            edited(&headers, "nii4", "= 50", "= 51"),
            with(&headers, "= 50 # the last line", "= 51 # the last line")
        );
        let new = edited(&headers, "nii3", "low_threshold = 1 ", "low_threshold = 2 ");
        assert_eq!(new, with(&headers, "low_threshold = 1 ", "low_threshold = 2 "));
    }
    let dotted = file("dotted");
    assert_eq!(edited(&dotted, "nii1", "\ntarry = 3", "\ntarry = 4"), with(&dotted, "'tarry'=3", "'tarry'=4"));
    assert_eq!(
        edited(&dotted, "nii3", "tarry = 3", "tarry = 4"),
        with(&dotted, "\"web\" . tarry = 3", "\"web\" . tarry = 4")
    );
    let arrays = file("arrays");
    assert_eq!(
        edited(&arrays, "nii1", "= 50", "= 51"),
        with(&arrays, "policy.threshold = 50, monitor", "policy.threshold = 51, monitor")
    );
    assert_eq!(edited(&arrays, "nii5", "= 50", "= 51"), with(&arrays, "db.threshold = 50", "db.threshold = 51"));
    let texts = file("texts");
    assert_eq!(
        edited(&texts, "漢字1", "\nthreshold = 50", "\nthreshold = 51"),
        with(&texts, "\nthreshold = 50\ntarry", "\nthreshold = 51\ntarry")
    );
    assert_eq!(edited(&texts, "nii1-ß", "Sat 10:00", "Sat 09:00"), with(&texts, "Sat 10:00", "Sat 09:00"));
}

#[test]
fn a_new_key_stands_as_its_neighbours_do() {
    let settle =
        |file: &str, vm: &str| text(with_keys(file.as_bytes(), &[vm], &[("settle", Some("\"1m\""))], Scope::Block));
    let inline = file("inline");
    assert_eq!(settle(&inline, "db"), with(&inline, "tarry = 3 }      #", "tarry = 3, settle = \"1m\" }      #"));
    assert_eq!(settle(&inline, "wide"), with(&inline, "tarry=0x3   , }", "tarry=0x3, settle=\"1m\"   , }"));
    let lines = file("inline-lines");
    let ends = "\ttarry = 3, # ends with a comma\n";
    assert_eq!(settle(&lines, "nii2"), with(&lines, ends, &format!("{ends}\tsettle = \"1m\",\n")));
    assert_eq!(settle(&lines, "nii3"), with(&lines, "tarry = 3 }", "tarry = 3, settle = \"1m\" }"));
    let stale = text(with_keys(lines.as_bytes(), &["nii1"], &[("stale_after", Some("5"))], Scope::Own));
    assert_eq!(stale, with(&lines, "\"45s\" # seconds", "\"45s\", # seconds\n  stale_after = 5"));
    for (name, eol) in [("headers", "\n"), ("windows", "\r\n")] {
        let headers = file(name);
        let zone = "zone          = 'Europe/Oslo' # local time";
        assert_eq!(settle(&headers, "nii2"), with(&headers, zone, &format!("{zone}{eol}settle        = \"1m\"")));
        let last = format!("\ttarry = 3{eol}  [vm.monitor]");
        let new = format!("\ttarry = 3{eol}\tsettle = \"1m\"{eol}  [vm.monitor]");
        assert_eq!(settle(&headers, "nii1"), with(&headers, &last, &new));
        assert_eq!(
            settle(&headers, "nii4"),
            with(&headers, "# the last line", &format!("# the last line{eol}settle = \"1m\""))
        );
    }
    let dotted = file("dotted");
    assert_eq!(
        settle(&dotted, "nii1"),
        with(&dotted, "policy.low_tarry = 20\n", "policy.low_tarry = 20\npolicy.settle = \"1m\"\n")
    );
    let web = "policy . \"web\" . tarry = 3\n";
    assert_eq!(settle(&dotted, "nii2"), with(&dotted, web, &format!("{web}policy . \"web\" . settle = \"1m\"\n")));
    let arrays = file("arrays");
    assert_eq!(
        settle(&arrays, "nii1"),
        with(&arrays, "policy.tarry = 3, monitor", "policy.tarry = 3, policy.settle = \"1m\", monitor")
    );
    assert_eq!(
        settle(&arrays, "nii4"),
        with(&arrays, "    policy.tarry = 3\n", "    policy.tarry = 3,\n    policy.settle = \"1m\"\n")
    );
    assert_eq!(
        settle(&arrays, "nii5"),
        with(&arrays, "db.low_tarry = 20 }", "db.low_tarry = 20, db.settle = \"1m\" }")
    );
}

#[test]
fn keys_under_a_header_are_found_and_put_in() {
    let under = file("under-header");
    assert_eq!(block(&under, "nii1"), "kind = \"threshold\"\nthreshold = 50 # per minute\ntarry = 3\n");
    let tarry = "web . \"tarry\" = 3\n";
    let expected = with(&under, tarry, &format!("{tarry}web . settle = \"1m\"\n"));
    assert_eq!(edited(&under, "nii1", "tarry = 3\n", "tarry = 3\nsettle = \"1m\"\n"), expected);
    let expected = with(&under, "low_tarry = 20 } # the", "low_tarry = 20, settle = \"1m\" } # the");
    assert_eq!(edited(&under, "nii2", "low_tarry = 20\n", "low_tarry = 20\nsettle = \"1m\"\n"), expected);
    let last = edited(&under, "nii3", "\ntarry = 3\n", "\ntarry = 3\nsettle = \"1m\"\n");
    assert_eq!(last, format!("{under}\npolicy.settle = \"1m\""));
    assert_eq!(edited(&last, "nii3", "settle = \"1m\"\n", ""), under);
    let always = with(&under, "policy.kind = \"schedule\"", "policy.kind = \"base\"");
    let patch = [("kind", Some("\"base\"")), ("hours", None)];
    let amended = with_keys(under.as_bytes(), &["nii3"], &patch, Scope::Own);
    let gone = "policy.hours = \"\"\"\nMon-Fri 09:00-16:00, \\\nSat 10:00-12:00\"\"\" # local\n";
    assert_eq!(text(amended), with(&always, gone, ""));
}

#[test]
fn a_comment_after_a_key_is_edited_with_it() {
    for (name, eol) in [("headers", "\n"), ("windows", "\r\n")] {
        let headers = file(name);
        let new = edited(&headers, "nii4", "50 # the last line", "60 # raised in June");
        assert_eq!(new, with(&headers, "50 # the last line", "60 # raised in June"));
        assert_eq!(edited(&headers, "nii1", "\t# fifty", ""), with(&headers, "\t# fifty", ""));
        let tarry = format!("\ttarry = 3{eol}  [vm.monitor]");
        let expected =
            with(&headers, &tarry, &tarry.replace("= 3", &format!("= 3 # enough{eol}\tsettle = \"1m\" # calm")));
        assert_eq!(edited(&headers, "nii1", "tarry = 3\n", "tarry = 3 # enough\nsettle = \"1m\"   # calm\n"), expected);
        let office = edited(&headers, "nii2", "# rests at night", "# always");
        assert_eq!(office, with(&headers, "# rests at night", "# always"));
    }
    let inline = file("inline");
    assert_eq!(edited(&inline, "db", "tarry = 3", "tarry = 3 # nowhere to write it"), inline);
}

/// What of a base policy a threshold policy has not.
fn to_threshold(file: &str, vm: &str) -> String {
    let patch = [("kind", Some("\"threshold\"")), ("low_threshold", None), ("low_tarry", None)];
    text(with_keys(file.as_bytes(), &[vm], &patch, Scope::Block))
}

#[test]
fn a_key_that_goes_takes_its_line_or_its_comma_with_it() {
    let inline = file("inline");
    let expected =
        with(&with(&inline, "{kind=\"base\"", "{kind=\"threshold\""), "low_threshold=1.50,low_tarry=20,", "");
    assert_eq!(to_threshold(&inline, "tight"), expected);
    let lines = file("inline-lines");
    let expected = with(&lines, "kind = \"base\", # of", "kind = \"threshold\", # of");
    assert_eq!(
        to_threshold(&lines, "nii1"),
        with(&expected, "  low_threshold = 1, low_tarry = 20, # both low", "   # both low")
    );
    let dotted = file("dotted");
    let expected = with(&dotted, "policy.kind = \"base\"", "policy.kind = \"threshold\"");
    assert_eq!(to_threshold(&dotted, "nii1"), with(&expected, "policy.low_threshold = 1\npolicy.low_tarry = 20\n", ""));
    let arrays = file("arrays");
    let expected = with(&arrays, "db.kind = \"base\"", "db.kind = \"threshold\"");
    assert_eq!(to_threshold(&arrays, "nii5"), with(&expected, ", db.low_threshold = 1, db.low_tarry = 20 }", " }"));
}

#[test]
fn a_last_line_goes_without_leaving_a_line_end() {
    let windows = file("windows");
    let settled = edited(&windows, "nii4", "tarry = 3\n", "tarry = 3\nsettle = \"1m\"\n");
    assert!(settled.ends_with("# the last line\r\nsettle = \"1m\""), "{settled:?}");
    assert_eq!(edited(&settled, "nii4", "settle = \"1m\"\n", ""), windows);
    let swapped = edited(&settled, "nii4", "settle = \"1m\"\n", "stale_after = 4\n");
    assert_eq!(swapped, with(&settled, "settle = \"1m\"", "stale_after = 4"));
}

#[test]
fn a_vm_gets_its_own_block_in_place_of_the_shared_ones_name() {
    let headers = file("headers");
    let block = with(&block(&headers, "nii3"), "threshold = 50\n", "threshold = 51\n");
    let own = "{ kind = \"schedule\", threshold = 51, low_threshold = 1, tarry = 3, low_tarry = 20, \
               hours = \"Mon-Fri 09:00-16:00\", zone = 'Europe/Oslo' }";
    let amended = with_block(&headers, "nii3", Scope::Own, &block).unwrap();
    assert_eq!(String::from_utf8(amended.bytes.clone()).unwrap(), with(&headers, "'office'", own));
    let changed: Vec<_> =
        amended.changed.iter().map(|c| (c.key.as_str(), c.old.as_deref(), c.new.as_deref())).collect();
    assert_eq!(changed, [("policy", Some("'office'"), Some(own)), ("threshold", Some("50"), Some("51"))]);
    let origins: Vec<_> = amended.config.origins.iter().map(|origin| origin.shared.as_deref()).collect();
    assert_eq!(origins, [None, Some("office"), None, None]);
    let arrays = file("arrays");
    let apart = text(with_keys(arrays.as_bytes(), &["nii3"], &[("tarry", Some("4"))], Scope::Own));
    assert_eq!(
        apart,
        with(&arrays, "policy = \"web\"", "policy = { kind = \"threshold\", threshold = 50, tarry = 4 }")
    );
}

#[test]
fn several_vms_change_at_once_and_a_shared_block_once() {
    let headers = file("headers");
    let all = ["nii1", "nii2", "nii3", "nii4", "nii4"];
    let amended = with_keys(headers.as_bytes(), &all, &[("tarry", Some("4"))], Scope::Block).unwrap();
    assert_eq!(amended.changed.len(), 3);
    assert_eq!(
        text(Ok(amended)),
        headers.replace("tarry = 3", "tarry = 4").replace("tarry         = 3", "tarry         = 4")
    );
}

#[test]
fn a_vm_and_a_shared_policy_of_one_name_are_told_apart() {
    let (headers, all) = (file("headers"), ["nii1", "nii2", "nii3", "nii4"]);
    let named = headers
        .replace("[policy.office]", "[policy.nii1]")
        .replace("'office'", "'nii1'")
        .replace("\"office\"", "\"nii1\"");
    let amended = with_keys(named.as_bytes(), &all, &[("tarry", Some("4"))], Scope::Block).unwrap();
    assert!(amended.config.cluster.vms.iter().all(|vm| vm.policy.rule.high().is_some_and(|high| high.tarry == 4)));
}

#[test]
fn a_value_that_is_meant_already_is_not_touched() {
    let inline = file("inline");
    let patch = [("threshold", Some("50")), ("settle", Some("'1m30s'"))];
    let amended = with_keys(inline.as_bytes(), &["tight"], &patch, Scope::Own).unwrap();
    assert_eq!((amended.changed, amended.bytes), (Vec::new(), inline.into_bytes()));
    for name in FILES {
        let file = file(name);
        for vm in read(&file).cluster.vms {
            let block = block_of(&file, &vm.name).unwrap();
            let same = text(with_block(&file, &vm.name, Scope::Block, &block.text));
            assert_eq!(same, file, "{name}: {}", vm.name);
        }
    }
}

#[test]
fn what_cannot_stand_is_refused() {
    let headers = file("headers");
    let refused = |vm, block: &str| with_block(&headers, vm, Scope::Block, block).unwrap_err();
    let AmendError::Block(problems) = refused("nii1", "kind = \"threshold\"\n  treshold = 5\ntarry = 3") else {
        panic!("not refused for its block")
    };
    let places: Vec<_> = problems.iter().map(|p| (p.line, p.column, p.length, p.message.as_str())).collect();
    assert_eq!(places, [(1, 1, 1, "a policy needs 'threshold'"), (2, 3, 8, "unknown key 'treshold'")]);
    assert_eq!(refused("nobody", ""), AmendError::Missing("the config has no VM 'nobody'".to_owned()));
    let broken = with_block("[[vm]\n", "nii1", Scope::Block, "").unwrap_err();
    assert!(matches!(&broken, AmendError::Broken(report) if report.problems()[0].line == 1), "{broken}");
    assert!(matches!(with_keys(b"\xff", &["nii1"], &[], Scope::Block), Err(AmendError::Broken(_))));
    for more in ["4\nstale_after = 9", "4 # four", " 4", "4, settle = \"1s\"", "", "four"] {
        let refused = with_keys(headers.as_bytes(), &["nii1"], &[("tarry", Some(more))], Scope::Own);
        assert_eq!(refused, Err(AmendError::Strayed), "{more}");
    }
    let deadline = with_keys(file("inline").as_bytes(), &["wide"], &[("threshold", Some("5000"))], Scope::Own);
    let said = deadline.unwrap_err().to_string();
    assert_eq!(said, "line 2, column 13: the deadline 5s is not above the threshold of 5000 ms");
}

/// Keys that any policy of the files but the schedule's texts has, with values of many notations.
fn patch() -> impl Strategy<Value = Vec<(&'static str, Option<String>)>> {
    let number = prop_oneof!["[2-9]", "[2-9]_[0-9]", "0x[2-9]", "\\+[2-9]"];
    let bound = prop_oneof![(60..700_u32).prop_map(|n| n.to_string()), "[6-9][0-9]\\.5", "[6-9]e1", "1_[0-9]{2}"];
    let length = prop_oneof!["\"[1-9]{1,2}s\"", "'[1-9]m[1-9]s'", "\"\"\"\n[1-9]m\"\"\""];
    let pairs = prop_oneof![
        bound.prop_map(|value| ("threshold", Some(value))),
        number.clone().prop_map(|value| ("tarry", Some(value))),
        number.prop_map(|value| ("stale_after", Some(value))),
        length.prop_map(|value| ("settle", Some(value))),
        Just(("settle", None)),
    ];
    proptest::collection::vec(pairs, 1..4)
}

fn settings(config: &Config, vm: &str) -> Settings {
    config.cluster.vm(config.cluster.vm_named(vm).unwrap()).policy.clone()
}

/// What is equal before and after the places in which two texts differ.
fn around<'a>(one: &'a [u8], other: &[u8]) -> (&'a [u8], &'a [u8]) {
    let head = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let most = one.len().min(other.len()) - head;
    let tail = one.iter().rev().zip(other.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    (&one[head..one.len() - tail], &one[one.len() - tail..])
}

proptest! {
    /// One key after the other gives what all at once give, and each alone changes one place, in which nothing but that
    /// key stood.
    #[test]
    fn an_edit_says_what_was_asked_and_touches_nothing_else(
        name in proptest::sample::select(&FILES[..]), which in 0usize..8, patch in patch(), own in any::<bool>(),
    ) {
        let old = file(name);
        let config = read(&old);
        let vm = &config.cluster.vms[which % config.cluster.vms.len()].name;
        let scope = if own { Scope::Own } else { Scope::Block };
        let asked: Vec<(&str, Option<&str>)> = patch.iter().map(|(key, value)| (*key, value.as_deref())).collect();
        let at_once = with_keys(old.as_bytes(), &[vm], &asked, scope).unwrap();

        let mut text = old;
        for one in &asked {
            let amended = with_keys(text.as_bytes(), &[vm], &[*one], scope).unwrap();
            let (middle, _) = around(text.as_bytes(), &amended.bytes);
            let middle = String::from_utf8_lossy(middle).into_owned();
            match amended.changed.as_slice() {
                [] => prop_assert_eq!(&amended.bytes, text.as_bytes()),
                [first, ..] => match &first.old {
                    Some(value) if first.new.is_some() => prop_assert!(value.contains(&middle), "{middle:?} of {value:?}"),
                    Some(value) => prop_assert!(middle.len() <= value.len() + "policy . \"web\" . settle        = ,\r\n  ".len()),
                    // A comment may stand between the comma that comes and the line that comes.
                    None => prop_assert!(middle.is_empty() || middle == " # seconds", "{middle:?}"),
                },
            }
            text = String::from_utf8(amended.bytes).unwrap();
        }
        let last = settings(&read(&text), vm);
        prop_assert_eq!(&settings(&at_once.config, vm), &last);
        if !own {
            // Whoever shares the block has it too, and nobody else.
            let id = config.cluster.vm_named(vm).unwrap();
            for (index, (before, after)) in config.cluster.vms.iter().zip(&at_once.config.cluster.vms).enumerate() {
                let touched = VmId::at(index) == id || config.others_of(id).any(|other| other == VmId::at(index));
                prop_assert_eq!(&after.policy, if touched { &last } else { &before.policy });
            }
        }
    }

    #[test]
    fn a_policy_that_becomes_another_kind_and_back_leaves_no_trace(
        name in proptest::sample::select(&FILES[..]), which in 0usize..8, first in any::<bool>(),
    ) {
        let mut text = file(name);
        let config = read(&text);
        let vm = &config.cluster.vms[which % config.cluster.vms.len()].name;
        let base = [
            ("kind", Some("\"base\"")), ("hours", None), ("zone", None), ("low_threshold", Some("0.5")), ("low_tarry", Some("20")),
        ];
        let threshold =
            [("low_tarry", None), ("hours", None), ("kind", Some("\"threshold\"")), ("low_threshold", None), ("zone", None)];
        let mut seen = Vec::new();
        for turn in 0..6 {
            let patch = if (turn % 2 == 0) == first { &base } else { &threshold };
            let amended = with_keys(text.as_bytes(), &[vm], patch, Scope::Block).unwrap();
            prop_assert_eq!(settings(&amended.config, vm).rule.kind().word(), patch.iter().find_map(|(key, value)| {
                value.filter(|_| *key == "kind").map(|value| value.trim_matches('"'))
            }).unwrap());
            text = String::from_utf8(amended.bytes).unwrap();
            seen.push(text.clone());
        }
        prop_assert_eq!((&seen[2], &seen[3]), (&seen[4], &seen[5]));
    }

    #[test]
    fn editing_back_gives_the_file_as_it_was(
        name in proptest::sample::select(&FILES[..]), which in 0usize..8, patch in patch(),
    ) {
        let (path, old) = (Path::new(PATH), file(name));
        let config = read(&old);
        let vm = &config.cluster.vms[which % config.cluster.vms.len()].name;
        let had = block(&old, vm);
        // A key that goes takes its comment along: what it leaves cannot be undone but by its bytes.
        let asked: Vec<(&str, Option<&str>)> =
            patch.iter().filter(|(_, value)| value.is_some()).map(|(key, value)| (*key, value.as_deref())).collect();
        let new = with_keys(old.as_bytes(), &[vm], &asked, Scope::Block).unwrap();
        prop_assert_eq!(text(amend(&new.bytes, path, &[vm], Scope::Block, BlockEdit::Text(&had))), old);
    }

    /// What is checked as a block is what the file says, right or wrong.
    #[test]
    fn a_block_passes_where_its_file_would(
        name in proptest::sample::select(&FILES[..]), which in 0usize..8,
        lines in proptest::collection::vec(prop_oneof![
            "(threshold|low_threshold|tarry|low_tarry) = (-?[0-9]{1,4}|0|1\\.5|nan)",
            "kind = \"(threshold|base|schedule|site)\"", "settle = \"[0-9]{1,2}[smx]\"", "hours = \"(Mon )?0[0-9]:00-1[0-9]:00\"",
            "home_tarry = 3", "stale_after = [0-3]",
        ], 0..7),
    ) {
        let (path, old) = (Path::new(PATH), file(name));
        let config = read(&old);
        let id = VmId::at(which % config.cluster.vms.len());
        let vm = &config.cluster.vm(id).name;
        let wanted = lines.join("\n");
        let checked = check_block(&wanted, &config, id, Scope::Block);
        match (with_block(&old, vm, Scope::Block, &wanted), checked) {
            (Ok(amended), Ok(settings)) => prop_assert_eq!(&amended.config.cluster.vm(id).policy, &settings),
            (Err(AmendError::Block(told)), Err(problems)) => {
                prop_assert_eq!(told, problems);
                // The file with the block in the VM's place is wrong too.
                let inline = format!("policy = {{ {} }}", lines.join(", "));
                let array = "[[array]]\nname = \"a\"\nbase = \"mln6\"\nhost = [\"mln1\", \"mln6\"]\n";
                let monitor = match &config.monitors[id.index()].source {
                    Source::Http { .. } => "kind = \"http\", url = \"http://h\", deadline = \"5s\"",
                    _ => "kind = \"mysql\", url = \"mysql://watch@db\"",
                };
                let whole = format!("{array}[[vm]]\nname = \"v\"\nhost = \"mln1\"\nmonitor = {{ {monitor} }}\n{inline}\n");
                prop_assert!(config::parse(path, &whole).is_err(), "{whole}");
            }
            (amended, checked) => prop_assert!(false, "{amended:?} but {checked:?}"),
        }
    }

    #[test]
    fn whatever_is_typed_is_checked_not_fatal(
        pieces in proptest::collection::vec(prop_oneof![
            "[\\[\\]{}=,.\"'#\n\r\t ]{1,3}", ".{0,6}", "(kind|threshold|tarry|settle|hours|zone)",
            Just("kind = \"threshold\"\n".to_owned()), Just("\"\"\"".to_owned()), Just("\u{feff}".to_owned()),
        ], 0..20),
    ) {
        let (text, config) = (pieces.concat(), read(&file("headers")));
        if let Err(problems) = check_block(&text, &config, VmId(1), Scope::Block) {
            prop_assert!(!problems.is_empty());
            let lines = text.lines().count().max(1);
            prop_assert!(problems.iter().all(|p| p.line >= 1 && p.line <= lines + 1 && p.column >= 1 && p.length >= 1));
        }
        let _ = (block_of(&text, "nii1"), with_block(&text, "nii1", Scope::Block, &text));
    }
}
