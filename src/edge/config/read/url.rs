//! A monitor's url: of the right scheme, and without a password.

use reqwest::Url;

use super::super::cursor::Item;
use super::super::mask;

const PASSWORD: &str = "a password stands in the url";

/// A url of a page. Apache and http monitors send neither user nor password.
pub(super) fn page(item: &Item<'_>) -> Option<String> {
    let url =
        read(item, &["http", "https"], "http://127.0.0.1/server-status?auto", "this monitor sends none: take it out")?;
    if !url.username().is_empty() {
        item.wrong("a user stands in the url", "this monitor sends none: take it out");
    }
    item.as_text().map(str::to_owned)
}

/// A url of a MySQL or MariaDB server.
pub(super) fn mysql(item: &Item<'_>) -> Option<String> {
    const HELP: &str = "take it out, and add password_env = \"VARIABLE\" or password_file = \"FILE\"";
    read(item, &["mysql"], "mysql://watch@127.0.0.1:3306", HELP)?;
    let text = item.as_text()?;
    // The driver's own words may repeat what is in the url.
    if let Err(error) = mysql_async::Opts::from_url(text) {
        let why = match error {
            mysql_async::UrlError::UnknownParameter { param } => format!("the url has an unknown parameter '{param}'"),
            mysql_async::UrlError::InvalidParamValue { param, .. } => {
                format!("the url's parameter '{param}' has a wrong value")
            }
            _ => "this url is not complete".to_owned(),
        };
        item.wrong(why, "write it as mysql://user@host:3306/database?require_ssl=true");
    }
    Some(text.to_owned())
}

fn read(item: &Item<'_>, schemes: &[&str], example: &str, no_password: &str) -> Option<Url> {
    let text = item.text()?.value;
    let example = format!("write it as {example}");
    let url = match Url::parse(text) {
        Ok(url) => url,
        // A password with unescaped signs in it makes no url.
        Err(_) if mask::password(text).is_some() => {
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
