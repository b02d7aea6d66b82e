//! A machine without libvirt's library.

use std::process::Command;

use crate::support::services::or_skip;
use crate::support::{Config, Run, STATE};

/// One array that libvirt drives, and one that it does not.
const CONFIG: &str = r#"
mode = "auto"
[[array]]
name = "real"
driver = { kind = "libvirt", uri = "qemu+tcp://{host}/system" }
host = ["kvm1", "kvm2"]
[[array]]
name = "other"
host = ["mln1", "mln2"]
[[vm]]
name = "web1"
host = "kvm1"
interval = "1s"
monitor = { kind = "hypervisor", field = "cpu" }
policy = { kind = "threshold", threshold = 50, tarry = 3 }
[[vm]]
name = "nii2"
host = "mln1"
interval = "1s"
monitor = { kind = "simulated", service = "apache" }
policy = { kind = "threshold", threshold = 1000, tarry = 1, settle = "1s" }
"#;

/// The binary where `libvirt.so.0` is an empty file, if it is there at all.
fn without_libvirt() -> Result<Command, String> {
    let script = r#"
        for library in $(PATH=$PATH:/sbin:/usr/sbin ldconfig -p | sed -n 's/^.*libvirt\.so\.0 .*=> //p'); do
            mount --bind /dev/null "$library" || exit
        done
        exec "$0" "$@""#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    match command.arg("true").output() {
        Ok(output) if output.status.success() => {}
        _ => return Err("a mount namespace of one's own needs root".to_owned()),
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, env!("CARGO_BIN_EXE_whimbrel")]);
    command.env("XDG_STATE_HOME", STATE);
    Ok(command)
}

#[test]
fn without_libvirts_library_the_package_is_named_and_other_arrays_go_on() {
    const TEST: &str = "without_libvirts_library_the_package_is_named_and_other_arrays_go_on";
    let Some(mut command) = or_skip(TEST, without_libvirt()) else { return };
    let config = Config::new(CONFIG);
    let mut run = Run::start(command.arg("run").arg(config.path()).args(["--format", "json"]));
    let alarm = run.until(|event| event["type"] == "alarm");
    let text = alarm["text"].as_str().unwrap_or_default();
    let said = "array real cannot be driven: libvirt's library cannot be used: install libvirt0 (Debian, Ubuntu) or libvirt-libs";
    assert!(text.starts_with(said), "{text}");
    let gap = run.until_type("gap", "web1");
    assert!(gap["reason"].as_str().unwrap_or_default().contains("install libvirt0"), "{gap}");
    let outcome = run.until(|event| event["vm"] == "nii2" && event["phase"] == "confirmed");
    assert_eq!((&outcome["from"], &outcome["to"]), (&"mln1".into(), &"mln2".into()));
    run.stop();
}
