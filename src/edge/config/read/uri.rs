//! A hypervisor's uri as libvirt takes it: with a scheme, and without a password.

use reqwest::Url;

use super::super::cursor::Item;
use super::super::mask;
use super::template;

/// What stands for a host's name.
pub(super) const HOST: &str = "{host}";

/// How a driver's uri may look.
pub(super) const TEMPLATE: &str = "qemu+ssh://root@{host}/system";

/// A driver's uri, in which `{host}` may stand for a host's name.
pub(super) fn template(item: &Item<'_>, key: &str) -> Option<String> {
    let text = item.text()?.value;
    let known = template::check(item, text, key, &[HOST]);
    (check(item, &text.replace(HOST, "host"), TEMPLATE) && known).then(|| text.to_owned())
}

/// A host's own uri.
pub(super) fn own(item: &Item<'_>, host: &str) -> Option<String> {
    let text = item.text()?.value;
    if let Some(word) = template::placeholders(text).next() {
        let help = format!("write {}: {HOST} belongs in the driver's uri", example(host));
        item.wrong(format!("a host's own uri has no placeholder {word}"), help);
        return None;
    }
    check(item, text, &example(host)).then(|| text.to_owned())
}

/// How a host's uri may look.
pub(super) fn example(host: &str) -> String {
    format!("qemu+ssh://root@{host}/system")
}

/// Whether it leads to the machine that it is used on, whichever that is. libvirt's test hypervisor is nowhere else.
pub(super) fn is_local(uri: &str) -> bool {
    let (scheme, rest) = uri.split_once("://").unwrap_or(("", uri));
    let nowhere = rest.is_empty() || rest.starts_with(['/', '?', '#']);
    nowhere && !scheme.eq_ignore_ascii_case("test")
}

/// Whether a name can stand for `{host}` in this uri.
pub(super) fn fits(template: &str, host: &str) -> bool {
    let plain = host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']'));
    plain && Url::parse(&template.replace(HOST, host)).is_ok()
}

fn check(item: &Item<'_>, uri: &str, example: &str) -> bool {
    const SECRET: &str = "libvirt takes none from there: use ssh keys, or libvirt's own auth.conf";
    let url = Url::parse(uri);
    let secret = match &url {
        Ok(url) => url.password().is_some(),
        // A password with unescaped signs in it makes no uri.
        Err(_) => mask::password(uri).is_some(),
    };
    let example = format!("write it as {example}");
    match url {
        _ if secret => item.wrong("a password stands in the uri", SECRET),
        _ if !uri.contains("://") => item.wrong("this is no uri: it has no ://", example),
        Err(error) => item.wrong(format!("this is no uri: {error}"), example),
        Ok(_) if uri.chars().any(|c| c.is_whitespace() || c.is_control()) => {
            item.wrong("this is no uri: it has a blank or a control character in it", example);
        }
        Ok(_) => return true,
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_without_a_host_is_local_wherever_it_is_used() {
        for uri in ["qemu:///system", "qemu://", "qemu+unix:///system?socket=/run/a", "QEMU:///session"] {
            assert!(is_local(uri), "{uri}");
        }
        for uri in ["qemu+tcp://mln1/system", "qemu+ssh://root@[::1]:22/system", "test:///default", "test://"] {
            assert!(!is_local(uri), "{uri}");
        }
    }
}
