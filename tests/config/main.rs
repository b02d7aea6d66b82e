//! The config: what loads, what is refused and how that reads.
//!
//! `tests/config/valid/*.toml` must load. Each `tests/config/invalid/NAME.toml` must be refused with the report in
//! `NAME.txt`, byte for byte; `WHIMBREL_BLESS=1 cargo test --test config` writes what is printed now, to be read before
//! it is committed.

mod edits;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use whimbrel::core::cluster::{Commands, CopyStorage, Domain, Driver, Libvirt, Reach, Span};
use whimbrel::core::scanner::{Scanner, TokenKind};
use whimbrel::core::simulation::{Plan, Scenario, Size, VmPlan};
use whimbrel::edge::config::{self, Config};

fn corpus(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has no config in it");
    files
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn valid_configs_load() {
    for path in corpus("tests/config/valid").into_iter().chain(corpus("config")) {
        if let Err(report) = config::load(&path) {
            panic!("{report}");
        }
    }
}

#[test]
fn invalid_configs_are_explained() {
    let bless = std::env::var_os("WHIMBREL_BLESS").is_some();
    let mut wrong = Vec::new();
    for path in corpus("tests/config/invalid") {
        // The report names the file as it was given.
        let report = match fs::read(&path).map(String::from_utf8) {
            Ok(Ok(text)) => config::parse(Path::new(name(&path)), &text).err().map(|report| report.to_string()),
            _ => {
                config::load(&path).err().map(|report| report.to_string().replace(path.to_str().unwrap(), name(&path)))
            }
        };
        let Some(report) = report.map(|report| report + "\n") else {
            wrong.push(format!("{}: was accepted", name(&path)));
            continue;
        };
        let expected = path.with_extension("txt");
        if bless {
            fs::write(&expected, &report).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if report != expected {
            wrong.push(format!("{}: expected\n{expected}--- but got\n{report}", name(&path)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_report_keeps_its_form_and_order() {
    for path in corpus("tests/config/invalid") {
        let text = fs::read_to_string(path.with_extension("txt")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let mut last = (0, 0);
        for block in lines.chunks(4) {
            let [head, source, marks, help] = block else { panic!("{}: not four lines an error", name(&path)) };
            let mut parts = head.splitn(4, ':');
            assert_eq!(parts.next(), Some(name(&path)));
            let place: Vec<usize> = parts.by_ref().take(2).map(|n| n.parse().unwrap()).collect();
            assert!(parts.next().is_some_and(|rest| rest.starts_with(" error: ")), "{head}");
            assert!(help.starts_with("help: ") && help.len() > 6, "{help}");
            assert!(marks.trim_start().starts_with('^') && !source.contains('\u{1b}'), "{marks}");
            assert!(last <= (place[0], place[1]), "{}: {head} is out of order", name(&path));
            last = (place[0], place[1]);
        }
    }
}

#[test]
fn no_report_tells_a_password() {
    for path in corpus("tests/config/invalid") {
        let told = match config::load(&path) {
            Err(report) => format!("{report}{report:?}"),
            Ok(config) => format!("{config:?}"),
        };
        assert!(!told.to_lowercase().contains("hunter2"), "{}: {told}", name(&path));
    }
}

#[test]
fn a_file_that_cannot_be_read_says_so() {
    let report = config::load(Path::new("no/such/whimbrel.toml")).unwrap_err().to_string();
    assert!(report.starts_with("no/such/whimbrel.toml:1:1: error: cannot read the file: "), "{report}");
    assert!(report.contains("\nhelp: "), "{report}");
}

#[cfg(unix)]
#[test]
fn a_file_without_end_is_refused() {
    let report = config::load(Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(
        report.starts_with("/dev/zero:1:1: error: cannot read the file: it is longer than 16 MiB\nhelp: "),
        "{report}"
    );
}

#[test]
fn a_byte_order_mark_and_crlf_keep_columns_right() {
    let plain = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/first.toml")).unwrap();
    let windows = format!("\u{feff}{}", plain.replace('\n', "\r\n"));
    let path = Path::new("first.toml");
    assert_eq!(config::parse(path, &windows).unwrap(), config::parse(path, &plain).unwrap());

    let broken = |text: &str| text.replace("[[array]]", "mood = 1\n[[array]]").replace("\"mln3\"", "7");
    let windows = format!("\u{feff}{}", broken(&plain).replace('\n', "\r\n"));
    let reports = [&windows, &broken(&plain)].map(|text| config::parse(path, text).unwrap_err().to_string());
    assert_eq!(reports[0], reports[1]);
    assert!(reports[0].starts_with("first.toml:1:1: error: unknown key 'mood'\nmood = …\n^^^^\n"), "{}", reports[0]);
}

/// What a config can say of a plan.
fn sayable(mut plan: Plan) -> Plan {
    plan.vms.iter_mut().for_each(|vm| {
        let default = VmPlan::default();
        (vm.limit_ghz, vm.deadline) = (None, default.deadline);
        (vm.queue_first, vm.queue_every) = (default.queue_first, default.queue_every);
        (vm.surges, vm.silences) = (Vec::new(), Vec::new());
    });
    let plain = config::parse(Path::new("w.toml"), include_str!("valid/smallest.toml")).unwrap();
    let Plan { seed, bandwidth_mb_s, between_sites, outages, driven, .. } = plain.plan;
    Plan { seed, bandwidth_mb_s, between_sites, outages, driven, ..plan }
}

#[test]
fn a_config_that_is_written_and_read_is_the_same() {
    for path in corpus("tests/config/valid").into_iter().chain(corpus("config")).chain(corpus("tests/config/edits")) {
        let read = config::load(&path).unwrap();
        let text = config::render(&read);
        let again = config::parse(&path, &text).unwrap_or_else(|report| panic!("{report}"));
        // Where the policies stand is another place, and the history is no part of a cluster.
        let again =
            Config { origins: read.origins.clone(), history: read.history.clone(), retention: read.retention, ..again };
        assert_eq!(again, read, "{text}");
    }
}

#[test]
fn a_fleet_is_written_with_the_policies_its_vms_share() {
    let (cluster, monitors, plan) = Scenario::Fleet.build(Size::default(), 1);
    let text = config::render(&Config::simulated(cluster, monitors, plan));
    let config = config::parse(Path::new("fleet.toml"), &text).unwrap();
    let shared = |name: &str| config.sharing(name).count();
    assert!(shared("mysql") >= 2 && shared("apache") >= 2 && shared("queue") >= 2, "{text}");
    assert!(text.contains("\n[policy.mysql] # of slow queries\nkind = \"threshold\"\nthreshold = "), "{text}");
    assert!(config.origins.iter().any(|origin| origin.shared.is_none()), "others have their own");
}

#[test]
fn a_real_cluster_is_written_as_one_would_write_it() {
    let config = config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/valid/libvirt.toml")).unwrap();
    let text = config::render(&config);
    for written in [
        "name = \"own\"\ndriver = \"libvirt\"\nbase = \"own3\"\npick = \"best\"\nhost = [",
        "driver = { kind = \"libvirt\", uri = \"qemu:///system\" }\nhost = [ # the ring in its order: later = better\n  \
         { name = \"here\" },\n]\n",
        "  { name = \"own2\", draining = true, uri = \"qemu+unix:///system?socket=/run/own2\", peer_uri = \
         \"qemu+tcp://own2/system\" },\n",
        "  { name = \"e2\" },\n]\n\n[array.driver]\nkind = \"libvirt\"\nuri = \"qemu+tcp://{host}/system\"\n",
        "copy_storage = \"increment\"\nunsafe = true\nstall = \"5s\"\n\n",
        "[[vm]]\nname = \"nii2\"\ndomain = \"a name with blanks\"\nhost = \"kvm1\"\n",
        "uuid = \"6c1f4f3a-6a3d-4bd1-8d0e-2f6c1b0f9a77\"\n",
        "monitor = { kind = \"hypervisor\", field = \"cpu\" }\n",
    ] {
        assert!(text.contains(written), "{written}\nis not in\n{text}");
    }
}

fn sample() -> &'static str {
    include_str!("../../config/whimbrel.toml")
}

/// Where the string values of a config are that are neither names of things nor words from a list.
fn strings_without_names(text: &str) -> Vec<Range<usize>> {
    const NAMES_AND_WORDS: [&str; 14] = [
        "name",
        "mode",
        "pick",
        "kind",
        "driver",
        "copy_storage",
        "resting",
        "break_even",
        "zone",
        "on_timeout",
        "direction",
        "indicator_kind",
        "field",
        "service",
    ];
    let (mut found, mut key) = (Vec::new(), "");
    for token in Scanner::new(text) {
        let raw = &text[token.span.clone()];
        match token.kind {
            TokenKind::Key => key = raw,
            // A list of hosts has their names in it.
            TokenKind::Sign if raw == "[" && key == "host" => key = "name",
            TokenKind::Text if !NAMES_AND_WORDS.contains(&key) => found.push(token.span),
            _ => {}
        }
    }
    found
}

/// Pieces of which a torn config is made.
fn piece() -> impl Strategy<Value = String> {
    let words = vec![
        "[[vm]]",
        "[[array]]",
        "[policy.web]",
        "[",
        "]",
        "{",
        "}",
        "=",
        ",",
        ".",
        "\"",
        "'",
        "\"\"\"",
        "#",
        "\n",
        "\r",
        "\t",
        "0",
        "-1",
        "nan",
        "1e999",
        "é漢",
        "\u{feff}",
        "\u{0}",
        "\\u",
        "name",
        "url",
        "://a:b@c",
        "[[array.host]]",
    ];
    prop_oneof![proptest::sample::select(words).prop_map(str::to_owned), ".{0,6}"]
}

/// A text of any signs a config can hold in one line, with something in it.
fn words() -> impl Strategy<Value = String> {
    "[ -~é漢]{0,12}x".prop_filter("a placeholder", |text| !text.contains('{'))
}

fn libvirt() -> impl Strategy<Value = Libvirt> {
    let uris = (any::<bool>(), any::<bool>());
    let flags =
        (any::<bool>(), any::<Option<bool>>(), any::<Option<bool>>(), any::<bool>(), any::<bool>(), any::<bool>());
    let copies = proptest::sample::select(vec![CopyStorage::None, CopyStorage::All, CopyStorage::Increment]);
    let numbers =
        (proptest::option::of(1..=u32::MAX), proptest::option::of(1i64..100_000), 5_000i64..1_000_000, copies);
    (uris, flags, numbers).prop_map(|((uri, peer), flags, (bandwidth, downtime, stall, copy_storage))| Libvirt {
        uri: uri.then(|| "qemu+ssh://root@{host}:22/system?keyfile=/k".to_owned()),
        peer_uri: peer.then(|| "qemu+tcp://{host}/system".to_owned()),
        tunnelled: flags.0,
        persistent: flags.1,
        undefine_source: flags.2,
        bandwidth: bandwidth.map(u64::from),
        downtime: downtime.map(Span::from_millis),
        post_copy: flags.3,
        auto_converge: flags.4,
        copy_storage,
        allow_unsafe: flags.5,
        stall: Span::from_millis(stall),
    })
}

fn commands() -> impl Strategy<Value = Commands> {
    let command = |last: &'static [&'static str]| {
        proptest::collection::vec(words(), 0..4).prop_map(move |mut words| {
            words.insert(0, "program".to_owned());
            words.extend(last.iter().map(|word| (*word).to_owned()));
            words
        })
    };
    let maybe = |last| proptest::option::of(command(last));
    let needed = (command(&["{vm}", "{from}", "--to={to}", "{index}"]), command(&["{vm}", "{host}"]));
    let others = (maybe(&["{vm}"]), maybe(&["{vm}", "{ x }"]), maybe(&["a{host}b"]));
    (needed, others, 1i64..10_000_000, 1i64..10_000_000).prop_map(|(needed, others, long, short)| Commands {
        migrate: needed.0,
        locate: needed.1,
        progress: others.0,
        abort: others.1,
        host_state: others.2,
        migrate_deadline: Span::from_millis(long),
        deadline: Span::from_millis(short),
    })
}

fn drivers() -> impl Strategy<Value = Driver> {
    prop_oneof![Just(Driver::Simulator), libvirt().prop_map(Driver::Libvirt), commands().prop_map(Driver::Command)]
}

/// A name and a uuid that begin with this digit, if there are any.
fn domains(digit: &'static str) -> impl Strategy<Value = Domain> {
    let uuid = "[0-9a-f]{7}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    let parts = (proptest::option::of(words()), proptest::option::of(uuid));
    let begin = move |text: String| format!("{digit}{text}");
    parts.prop_map(move |(name, uuid)| Domain { name: name.map(begin), uuid: uuid.map(begin) })
}

/// How the hosts of this array may be reached: where its driver has no template, by themselves.
fn reach(driver: &Driver, host: &str, own: (bool, bool)) -> Reach {
    let Driver::Libvirt(libvirt) = driver else { return Reach::default() };
    Reach {
        uri: (own.0 || libvirt.uri.is_none()).then(|| format!("qemu+tls://{host}.example.org/system")),
        peer_uri: own.1.then(|| format!("qemu+tls://peer.{host}/system")),
    }
}

proptest! {
    #[test]
    fn drivers_and_names_that_are_written_and_read_are_the_same(
        driver in drivers(), domains in [domains("1"), domains("2")], own in any::<[(bool, bool); 3]>(),
    ) {
        let text = "array = [{ name = \"a\", host = [\"h1\", \"h2\", \"h3\"] }]\n\
                    vm = [{ name = \"v\", host = \"h1\", monitor = { kind = \"http\", url = \"http://h\" }, policy = \"p\" }, \
                          { name = \"w\", host = \"h2\", monitor = { kind = \"http\", url = \"http://h\" }, policy = \"p\" }]\n\
                    policy = { p = { kind = \"threshold\", threshold = 1, tarry = 1 } }\n";
        let mut config = config::parse(Path::new("w.toml"), text).unwrap();
        let hosts = config.cluster.hosts.iter().zip(own);
        config.reaches = hosts.map(|(host, own)| reach(&driver, &host.name, own)).collect();
        if driver != Driver::Simulator {
            config.domains = domains.into();
        }
        config.plan.driven = if driver == Driver::Simulator { Vec::new() } else { vec![true] };
        config.drivers = vec![driver];
        let text = config::render(&config);
        let again = config::parse(Path::new("w.toml"), &text).unwrap_or_else(|report| panic!("{report}\n{text}"));
        prop_assert_eq!(Config { origins: config.origins.clone(), ..again }, config);
    }

    #[test]
    fn a_scenario_that_is_written_and_read_is_the_same(
        scenario in proptest::sample::select(&Scenario::ALL[..]), vms in 1u32..400, hosts in 4u32..200, seed in any::<u64>(),
    ) {
        let (cluster, monitors, plan) = scenario.build(Size { vms: Some(vms), hosts: Some(hosts) }, seed);
        let text = config::render(&Config::simulated(cluster.clone(), monitors.clone(), plan.clone()));
        let read = config::parse(Path::new("w.toml"), &text).unwrap_or_else(|report| panic!("{report}"));
        prop_assert_eq!(&read.cluster, &cluster);
        prop_assert_eq!(&read.plan, &sayable(plan.clone()));
        let whole = read.with_untold(&cluster, &plan);
        prop_assert_eq!((whole.monitors, whole.plan), (monitors, plan));
    }

    /// Whatever stands in a file, it is read or refused with a reason.
    #[test]
    fn garbage_is_refused_not_fatal(pieces in proptest::collection::vec(piece(), 0..40)) {
        let text = pieces.concat();
        let read = config::parse(Path::new("garbage.toml"), &text);
        prop_assert!(read.is_err_and(|report| !report.problems().is_empty()));
    }

    #[test]
    fn any_uri_is_read_or_refused(scheme in "qemu|qemu\\+ssh|test|", rest in "[a-z0-9@:/?#%&=.é{}\\[\\] -]{0,24}", own in any::<bool>()) {
        let text = include_str!("valid/smallest.toml");
        let uri = format!("{scheme}://{rest}");
        let text = if own {
            text.replace("[\"h\"]", &format!("[{{ name = \"h\", uri = \"{uri}\" }}], driver = \"libvirt\""))
        } else {
            text.replace("[\"h\"]", &format!("[\"h\"], driver = {{ kind = \"libvirt\", uri = \"{uri}\" }}"))
        };
        match config::parse(Path::new("uri.toml"), &text) {
            Ok(config) => {
                let Driver::Libvirt(driver) = &config.drivers[0] else { panic!("{config:?}") };
                let read = if own { &config.reaches[0].uri } else { &driver.uri };
                prop_assert_eq!(read.as_deref(), Some(uri.as_str()));
            }
            Err(report) => prop_assert!(report.problems().iter().all(|problem| problem.line == 2), "{report}"),
        }
    }

    #[test]
    fn any_url_is_read_or_refused(kind in "mysql|http|apache", rest in "[a-z0-9@:/?#%&=.é\\[\\]-]{0,24}") {
        let text = include_str!("valid/smallest.toml");
        let text = text.replace("\"http\"", &format!("{kind:?}")).replace("http://h", &format!("{kind}://{rest}"));
        if let Err(report) = config::parse(Path::new("url.toml"), &text) {
            prop_assert!(report.problems().iter().all(|problem| problem.line == 1), "{report}");
        }
    }

    /// Whatever is wrong around it, a password in the config is never told.
    #[test]
    fn torn_or_not_a_password_is_masked(
        before in proptest::collection::vec(piece(), 0..8),
        secret in proptest::sample::select(vec![
            "url = \"mysql://me:hunter2@db\"", "url = 'http://me:hunter2@db/'", "password = \"hunter2\"", "PASS = hunter2",
            "password.value = 'hunter2'", "password: hunter2", "token \"hunter2\"", "pw = \"a\"hunter2\"", "api_key = { a = 'hunter2' }",
            "url = 'http://h/?auth=hunter2'", "url = \"mysql://me:p\"hunter2@db\"", "password_env = hunter2",
            "uri = \"qemu+ssh://root:hunter2@{host}/system\"", "migrate = [\"m\", \"--password\", \"hunter2\"]",
        ]),
        after in proptest::collection::vec(piece(), 0..8),
    ) {
        let text = format!("{} {secret} {}", before.concat(), after.concat());
        if let Err(report) = config::parse(Path::new("secret.toml"), &text) {
            prop_assert!(!report.to_string().contains("hunter2"), "{text:?}: {report}");
        }
    }

    /// Names and words from a list are no secrets: messages say what is there instead. No other string value is told.
    #[test]
    fn no_string_value_of_a_broken_file_is_told(
        secret in "[a-z]{5}zqx[0-9]{4}",
        form in proptest::sample::select(vec!["S", "S S", "http://u:S@h/?a=S", "mysql://u@h/?S=1", "\\u0053 S", "{S}", "Mon-S 9:S"]),
        which in any::<proptest::sample::Index>(),
        cuts in proptest::collection::vec((0.0..1.0f64, 0usize..8, piece()), 1..5),
    ) {
        let strings = strings_without_names(sample());
        let place = which.get(&strings).clone();
        let quote = &sample()[place.start..=place.start];
        let value = [quote, &form.replace('S', &secret), quote].concat();
        let [head, tail] = [&sample()[..place.start], &sample()[place.end..]];
        let mut pieces: Vec<String> = head.chars().map(String::from).collect();
        pieces.push(value);
        pieces.extend(tail.chars().map(String::from));
        for (at, length, piece) in cuts {
            let at = (at * pieces.len() as f64) as usize;
            let end = (at + length).min(pieces.len());
            pieces.splice(at..end, [piece]);
        }
        if let Err(report) = config::parse(Path::new("secret.toml"), &pieces.concat()) {
            prop_assert!(!format!("{report}{report:?}").contains(&secret), "{report}");
        }
    }

    #[test]
    fn a_torn_sample_is_never_fatal(
        cuts in proptest::collection::vec((0.0..1.0f64, 0usize..40, piece()), 1..6),
    ) {
        let mut text: Vec<char> = sample().chars().collect();
        for (at, length, piece) in cuts {
            let at = (at * text.len() as f64) as usize;
            let end = (at + length).min(text.len());
            text.splice(at..end, piece.chars());
        }
        let text: String = text.into_iter().collect();
        let lines = text.lines().count();
        match config::parse(Path::new("torn.toml"), &text) {
            Ok(config) => {
                // Nothing that was read right is left out.
                let plain: toml::Table = toml::from_str(text.trim_start_matches('\u{feff}')).unwrap();
                let vms = plain.get("vm").and_then(toml::Value::as_array).map(Vec::len);
                prop_assert_eq!(vms, Some(config.cluster.vms.len()));
                prop_assert_eq!(vms, Some(config.monitors.len()));
                prop_assert_eq!(vms, Some(config.plan.vms.len()));
            }
            Err(report) => {
                for problem in report.problems() {
                    prop_assert!(problem.line >= 1 && problem.line <= lines + 1 && problem.column >= 1);
                    prop_assert!(!problem.message.contains('\n') && !problem.help.is_empty());
                }
            }
        }
    }
}

#[test]
fn the_list_of_keys_and_the_sample_are_made_from_the_table() {
    for (name, made) in [("docs/config.md", config::reference()), ("config/whimbrel.toml", config::sample())] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        if std::env::var_os("WHIMBREL_BLESS").is_some() {
            fs::write(&path, &made).expect("the file can be written");
        }
        let written = fs::read_to_string(&path).expect("the file is there");
        assert!(written == made, "{name} is not what the table of keys says: WHIMBREL_BLESS=1 writes it anew");
    }
}
