//! Says in words what a libvirt error means: what has happened, to what, and what to do about it.

use super::data::{ErrorCode, LibvirtError};
use super::login;
use crate::core::format::one_line;

/// Why a host cannot be reached, and what to do about it, if that is known.
pub(super) fn down(host: &str, uri: &str, error: &LibvirtError) -> String {
    let said = error.message.as_str();
    let login = login(uri);
    let has = |phrase: &str| said.contains(phrase);
    if has("Host key verification failed") {
        format!("the ssh host key of {host} is not known here: connect once by hand with ssh {login}")
    } else if has("Permission denied") && uri.contains("ssh") {
        format!(
            "ssh to {login} is refused: it takes a key without a passphrase, or one in an agent (ssh-copy-id {login})"
        )
    } else if has("ssh: connect") && has("Connection refused") {
        format!("ssh to {login} is refused: is sshd running there, and at that port?")
    } else if has("Connection refused") {
        format!("connection refused: is libvirtd (or virtproxyd) running on {host} and listening?")
    } else if has("No route to host") || has("Network is unreachable") {
        format!("no route to {host}: is it switched on and its network up?")
    } else if has("Connection timed out") {
        format!("{host} does not answer: is it switched on, and no firewall between?")
    } else if has("resolve") || has("Name or service not known") || has("No address associated") {
        format!("{host} has no address: check the host name in {uri}")
    } else if has("keepalive timeout") {
        format!("{host} stopped answering: is it still switched on, and its network up?")
    } else if [ErrorCode::AUTH_FAILED, ErrorCode::AUTH_CANCELLED, ErrorCode::AUTH_UNAVAILABLE].contains(&error.code) {
        format!("{host} asks for a login, and nobody is asked here: use ssh keys, certificates or auth_tcp ({error})")
    } else if has("certificate") || has("TLS") {
        format!("TLS to {host} failed: {error}")
    } else if has("Failed to connect socket") || has("No such file or directory") {
        format!("no libvirt daemon answers at {uri}: is libvirtd (or virtqemud) running there? ({error})")
    } else {
        error.to_string()
    }
}

/// Why a migration failed: libvirt's own words, and what they leave out.
pub(super) fn failed(from: &str, to: &str, error: &LibvirtError) -> String {
    let has = |phrase: &str| error.message.contains(phrase);
    if error.code == ErrorCode::MIGRATE_UNSAFE {
        format!("{error}: share the disk between the hosts, or set copy_storage")
    } else if has("End of file while reading data") || has("keepalive timeout") {
        format!("the connection to {from} broke off: {error}")
    } else if has("client socket is closed") {
        format!("{from} lost its connection to {to}: {error}")
    } else if has("unable to connect to server") {
        format!("{from} cannot reach {to}: {error}")
    } else {
        error.to_string()
    }
}

/// Another program's text in one line of up to 300 characters.
pub(super) fn line(text: &str) -> String {
    one_line(text, 300)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(message: &str) -> LibvirtError {
        LibvirtError { message: message.into(), ..LibvirtError::default() }
    }

    #[test]
    fn what_keeps_a_host_from_answering_is_said_with_its_remedy() {
        let said = |message: &str| down("kvm2", "qemu+ssh://root@kvm2/system?no_tty=1", &error(message));
        let refused = said("unable to connect to server at '10.0.0.2:16509': Connection refused");
        assert_eq!(refused, "connection refused: is libvirtd (or virtproxyd) running on kvm2 and listening?");
        assert_eq!(
            said("Cannot recv data: ssh: connect to host kvm2 port 22: Connection refused: Connection reset by peer"),
            "ssh to root@kvm2 is refused: is sshd running there, and at that port?"
        );
        assert!(said("keepalive timeout").ends_with("is it still switched on, and its network up?"));
        assert!(
            said("Cannot recv data: Host key verification failed.: Connection reset by peer").contains("ssh root@kvm2")
        );
        assert!(
            said("Cannot recv data: root@kvm2: Permission denied (publickey,password).")
                .contains("ssh-copy-id root@kvm2")
        );
        assert!(said("unable to connect to server at 'kvm2:16509': No route to host").starts_with("no route to kvm2"));
        assert!(said("unable to resolve 'kvm2' service '16509': Name or service not known").contains("has no address"));
        assert_eq!(said("something new"), "something new");
        assert_eq!(said(""), "libvirt gave no reason");
    }

    #[test]
    fn a_refused_login_says_that_nobody_is_asked() {
        let error = LibvirtError { code: ErrorCode::AUTH_FAILED, message: "authentication failed: no agent".into() };
        assert!(down("kvm2", "qemu+tcp://kvm2/system", &error).contains("nobody is asked"));
    }

    #[test]
    fn a_failed_migration_names_the_end_that_was_lost() {
        let said = |message: &str| failed("kvm1", "kvm2", &error(message));
        let cut = said("internal error: client socket is closed");
        assert_eq!(cut, "kvm1 lost its connection to kvm2: internal error: client socket is closed");
        assert!(
            said("End of file while reading data: Input/output error").starts_with("the connection to kvm1 broke off")
        );
        assert!(said("unable to connect to server at 'x': Connection refused").starts_with("kvm1 cannot reach kvm2"));
        let unsafe_disk = LibvirtError { code: ErrorCode::MIGRATE_UNSAFE, message: "Unsafe migration".into() };
        assert!(failed("a", "b", &unsafe_disk).ends_with("or set copy_storage"));
    }

    #[test]
    fn text_of_several_lines_becomes_one() {
        assert_eq!(line(" a\n  b "), "a b");
    }
}
