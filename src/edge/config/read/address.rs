//! Addresses: the url of a monitor or a queue, and a hypervisor's uri, of the right scheme and without a password; and `{word}` in a text, which
//! stands for something else.

use url::Url;

use super::super::toml_reader::Item;
use super::super::words::{did_you_mean, if_near};

use crate::core::format::is_hostile;

const PASSWORD: &str = "a password stands in the url";
const NO_PASSWORD: &str = "take it out, and add password_env = \"VARIABLE\" or password_file = \"FILE\"";

/// A url of a page, written as in `example`. Apache and http monitors send neither user nor password.
pub(super) fn page(item: &Item<'_>, example: &str) -> Option<String> {
    const HELP: &str = "apache and http monitors send neither user nor password: take them out of the url";
    let url = read_url(item, &["http", "https"], example, HELP)?;
    if !url.username().is_empty() {
        item.wrong("a user stands in the url", HELP);
    }
    item.as_text().map(str::to_owned)
}

/// A url of a MySQL or MariaDB server.
pub(super) fn mysql(item: &Item<'_>) -> Option<String> {
    read_url(item, &["mysql"], "mysql://watch@127.0.0.1:3306", NO_PASSWORD)?;
    let text = item.as_text()?;
    // The library's own message may repeat the url, so it is not used.
    if let Err(error) = mysql_async::Opts::from_url(text) {
        let why = match error {
            mysql_async::UrlError::UnknownParameter { .. } => "the url has an unknown parameter".to_owned(),
            mysql_async::UrlError::InvalidParamValue { param, .. } => {
                format!("the url's parameter '{param}' has a wrong value")
            }
            _ => "this url is not complete".to_owned(),
        };
        item.wrong(why, "write it as mysql://user@host:3306/database?require_ssl=true");
    }
    Some(text.to_owned())
}

/// How the url of a queue's collection may look.
const COLLECTION: &str = "http://queue.example/q/";

/// A url of a collection on a WebDAV server.
pub(super) fn collection(item: &Item<'_>) -> Option<String> {
    let url = read_url(item, &["http", "https"], COLLECTION, NO_PASSWORD)?;
    if !url.username().is_empty() {
        item.wrong("a user stands in the url", "take it out, and add user = \"NAME\"");
    } else if url.query().is_some() || url.fragment().is_some() {
        item.wrong("the url of a collection ends with its path", format!("write it as {COLLECTION}"));
    }
    item.as_text().map(str::to_owned)
}

/// A url of a database on a MySQL or MariaDB server.
pub(super) fn database(item: &Item<'_>) -> Option<String> {
    let text = mysql(item)?;
    let url = Url::parse(&text).ok()?;
    if url.path().trim_matches('/').is_empty() {
        item.wrong("the url names no database", "write it as mysql://user@host:3306/database");
    }
    Some(text)
}

/// The password in a url, also in one that cannot be parsed, because a password may contain any character.
fn password(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (user, _) = rest.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password)
}

fn read_url(item: &Item<'_>, schemes: &[&str], example: &str, no_password: &str) -> Option<Url> {
    let text = item.text()?.into_inner();
    let example = format!("write it as {example}");
    let url = match Url::parse(text) {
        Ok(url) => url,
        // A password with unescaped signs in it makes no url.
        Err(_) if password(text).is_some() => {
            item.wrong(PASSWORD, no_password);
            return None;
        }
        Err(error) => {
            item.wrong(format!("this is no url: {error}"), example);
            return None;
        }
    };
    let secret = url.password().is_some();
    if secret {
        item.wrong(PASSWORD, no_password);
    }
    let known = schemes.contains(&url.scheme());
    if !known {
        let schemes: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
        item.wrong(format!("the url must begin with {}", schemes.join(" or ")), example);
    } else if !url.has_host() {
        item.wrong("the url names no host", example);
    }
    (known && !secret && url.has_host()).then_some(url)
}

/// What stands for a host's name.
pub(super) const HOST: &str = "{host}";

/// How a driver's uri may look.
pub(super) const TEMPLATE: &str = "qemu+ssh://root@{host}/system";

/// A driver's uri, in which `{host}` may stand for a host's name.
pub(super) fn template(item: &Item<'_>, key: &str) -> Option<String> {
    let text = item.text()?.into_inner();
    let known = check_placeholders(item, text, key, &[HOST]);
    (check_uri(item, &text.replace(HOST, "host"), TEMPLATE) && known).then(|| text.to_owned())
}

/// A host's own uri.
pub(super) fn own(item: &Item<'_>, host: &str) -> Option<String> {
    let text = item.text()?.into_inner();
    if placeholders(text).next().is_some() {
        let help = format!("write {}: {HOST} belongs in the driver's uri", example(host));
        item.wrong("a host's own uri has no placeholders", help);
        return None;
    }
    check_uri(item, text, &example(host)).then(|| text.to_owned())
}

/// How a host's uri may look.
pub(super) fn example(host: &str) -> String {
    format!("qemu+ssh://root@{host}/system")
}

/// Whether it means the machine on which it is used. libvirt's test hypervisor is the same everywhere, so it is not local.
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

fn check_uri(item: &Item<'_>, uri: &str, example: &str) -> bool {
    const SECRET: &str = "libvirt takes none from there: use ssh keys, or libvirt's own auth.conf";
    let url = Url::parse(uri);
    let secret = match &url {
        Ok(url) => url.password().is_some(),
        // A password with unescaped signs in it makes no uri.
        Err(_) => password(uri).is_some(),
    };
    let example = format!("write it as {example}");
    match url {
        _ if secret => item.wrong("a password stands in the uri", SECRET),
        _ if !uri.contains("://") => item.wrong("this is no uri: it has no ://", example),
        Err(error) => item.wrong(format!("this is no uri: {error}"), example),
        Ok(_) if uri.chars().any(|c| c.is_whitespace() || is_hostile(c)) => {
            item.wrong("this is no uri: it has a blank, a control or an invisible character in it", example);
        }
        Ok(_) => return true,
    }
    false
}

/// The words in braces of a text, with their braces, in order.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('{').filter_map(|(at, _)| {
        let tail = text.get(at..)?;
        let whole = tail.get(..=tail.find('}')?)?;
        let word = whole.strip_prefix('{')?.strip_suffix('}')?;
        let begins = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let goes_on = word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        (begins && goes_on).then_some(whole)
    })
}

/// Records the placeholders of a text that this key does not have. True if there are none.
pub(super) fn check_placeholders(item: &Item<'_>, text: &str, key: &str, known: &[&str]) -> bool {
    let mut right = true;
    for unknown in placeholders(text).filter(|word| !known.contains(word)) {
        let help = match known {
            [only] => format!("write {only}"),
            _ => did_you_mean(unknown, known.iter().copied()),
        };
        let near = if_near(unknown, known.iter().copied());
        let unknown = if near.is_empty() { "with this name" } else { unknown };
        item.wrong(format!("'{key}' has no placeholder {unknown}"), help);
        right = false;
    }
    right
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

    #[test]
    fn a_word_in_braces_is_a_placeholder_and_nothing_else() {
        let found = |text| placeholders(text).collect::<Vec<_>>();
        assert_eq!(found("{vm}@{host_state}{x1}"), ["{vm}", "{host_state}", "{x1}"]);
        assert_eq!(found("{{vm}} ${HOME}"), ["{vm}", "{HOME}"]);
        assert_eq!(found("{} { vm } {print $1} a{3} {vm é{to"), Vec::<&str>::new());
    }
}
