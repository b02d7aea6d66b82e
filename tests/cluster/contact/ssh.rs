//! Hosts that are reached by ssh.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use portable_pty::CommandBuilder;

use crate::setting::{CALM, ONCE, RESTLESS, in_lab, outcome, run, runs_only_on, vm, way};
use crate::support::Config;
use crate::support::lab::Lab;
use crate::support::pty::Console;
use crate::support::services::or_skip;

/// What ssh says or asks at a terminal, and never may here.
const OF_SSH: [&str; 6] =
    ["authenticity", "yes/no", "password:", "Enter passphrase", "Permission denied", "verification failed"];

/// An array over these hosts: name, URI, URI as a peer.
fn array(hosts: &[(&str, String, String)]) -> String {
    let host = |(name, uri, peer): &(&str, String, String)| {
        format!("{{ name = \"{name}\", uri = \"{uri}\", peer_uri = \"{peer}\" }}")
    };
    let hosts: Vec<_> = hosts.iter().map(host).collect();
    format!("[[array]]\nname = \"a\"\ndriver = {{ kind = \"libvirt\" }}\nhost = [{}]\n", hosts.join(", "))
}

#[test]
fn hosts_are_asked_and_a_vm_moves_over_ssh() {
    const TEST: &str = "hosts_are_asked_and_a_vm_moves_over_ssh";
    in_lab(TEST, |lab| {
        let uris = lab.ssh_uri(1).and_then(|one| Ok([one, lab.ssh_uri(2)?]));
        let Some([one, two]) = or_skip(TEST, uris) else { return };
        let web1 = lab.guest(1, "web1").start();
        let hosts = array(&[("lab1", one, lab.peer_uri(1)), ("lab2", two, lab.peer_uri(2))]);
        // It is not where the config has it.
        let config = Config::new(&format!("mode = \"auto\"\n{ONCE}{hosts}{}", vm(&web1, 2, RESTLESS)));
        let mut run = run(lab, &config);
        run.until(|event| event["by"] == "driver" && event["text"] == "runs on lab1");
        assert_eq!(way(&outcome(&mut run, "web1")), ["lab1", "lab2", "confirmed"]);
        runs_only_on(lab, &web1, 2);
        run.stop();
    });
}

/// An ssh that knows no host, and a key that asks for a passphrase.
fn strangers(folder: &Path) -> (String, String) {
    let (client, key) = (folder.join("client"), folder.join("key"));
    let script = format!(
        "#!/bin/sh\nexec ssh -F none -o UserKnownHostsFile={0}/known -o GlobalKnownHostsFile={0}/known -o IdentitiesOnly=yes \"$@\"\n",
        folder.display()
    );
    std::fs::write(&client, script).expect("the folder can be written");
    std::fs::set_permissions(&client, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "secret", "-f"]).arg(&key).status();
    assert!(made.expect("it is part of ssh").success());
    (client.display().to_string(), key.display().to_string())
}

/// Hosts that do not answer: by whom ssh does not know, by a key that is not let in, and by an address that nobody has.
fn closed(lab: &Lab, config: &Config) -> Result<String, String> {
    lab.ssh_uri(1)?;
    let known = lab.ssh_uri(2)?;
    let (client, key) = strangers(&config.beside(""));
    let (stranger, locked) = (lab.address(1), lab.address(2));
    let uri = |rest: String| format!("qemu+ssh://root@{rest}");
    let command = known.split("command=").nth(1).unwrap_or_default();
    Ok(array(&[
        ("open", lab.uri(3), lab.uri(3)),
        ("stranger", uri(format!("{stranger}/system?keyfile={key}&command={client}")), lab.uri(1)),
        ("locked", uri(format!("{locked}/system?keyfile={key}&no_verify=1&command={command}")), lab.uri(2)),
        (
            "nobody",
            uri(format!("10.77.0.99/system?keyfile={key}&no_verify=1&command={command}")),
            "qemu+tcp://10.77.0.99/system".to_owned(),
        ),
    ]))
}

#[test]
fn what_keeps_ssh_from_a_host_is_said_and_nothing_is_asked_at_the_terminal() {
    const TEST: &str = "what_keeps_ssh_from_a_host_is_said_and_nothing_is_asked_at_the_terminal";
    in_lab(TEST, |lab| {
        let config = Config::new("");
        let Some(hosts) = or_skip(TEST, closed(lab, &config)) else { return };
        let web1 = lab.guest(3, "web1").start();
        config.write(&format!("{hosts}{}", vm(&web1, 3, CALM).replace("lab3", "open")));
        let mut run = run(lab, &config);
        for (host, why) in [
            (
                "stranger",
                "the ssh host key of stranger is not known here: connect once by hand with ssh root@10.77.0.11",
            ),
            (
                "locked",
                "ssh to root@10.77.0.12 is refused: it takes a key without a passphrase, or one in an agent (ssh-copy-id root@10.77.0.12)",
            ),
            ("nobody", "no route to nobody: is it switched on and its network up?"),
        ] {
            let said = format!("host {host} is down, with 0 VMs on it: {why}");
            if run.events.iter().all(|event| event["text"] != said) {
                run.until(|event| event["text"] == said);
            }
        }
        run.stop();

        let [program, namespace] = lab.prefix();
        let mut command = CommandBuilder::new(program);
        command.args([&namespace, env!("CARGO_BIN_EXE_whimbrel")]);
        command.arg(config.path());
        command.env("LANG", "C.UTF-8");
        let mut console = Console::spawn(command);
        for host in ["stranger", "locked", "nobody"] {
            console.shows(&format!("host {host} is down"));
        }
        console.press("q");
        console.until("the terminal as it was", Console::is_restored);
        let raw = String::from_utf8_lossy(&console.raw).into_owned();
        let said: Vec<_> = OF_SSH.iter().filter(|words| raw.contains(**words)).collect();
        assert!(said.is_empty(), "{said:?}");
    });
}
