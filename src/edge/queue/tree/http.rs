//! Files on a WebDAV server.
//!
//! Only 201, and 204 for what is replaced or removed, say that a step was done. Whatever else comes, a proxy may have repeated
//! a request that was done the first time: it is not known, and callers look. Nor does a 404 say that something is not there:
//! only a listing says it that does not have it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::DateTime;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, Url};
use tokio::time::timeout;

use super::multistatus::Multistatus;
use super::{Certainty, EntryKind, FolderEntry, Trouble, now};
use crate::core::cluster::{Secret, Span, Timestamp};
use crate::core::format::{duration, tame};
use crate::edge::net::{http, reveal, text};

/// A connection that is not used is closed before the server does it: a request must not meet one that is being closed.
const IDLE: Duration = Duration::from_secs(2);
/// Clocks that are further apart are worth a warning.
const APART: Span = Span::from_secs(10);
/// How much of an answer's body is read that nobody wants, so that its connection can be used again.
const UNWANTED: usize = 64 << 10;
/// The longest listing, in bytes: a million results.
const LONGEST_LISTING: usize = 1 << 30;

/// What is asked of each entry.
const FULL: &str = r#"<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/><getlastmodified/><getetag/></prop></propfind>"#;
const NAMES: &str =
    r#"<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop><resourcetype/></prop></propfind>"#;

/// A folder of a server.
pub struct Http {
    base: Url,
    client: Client,
    user: Option<String>,
    secret: Option<Secret>,
    password: Mutex<Option<String>>,
    deadline: Duration,
}

/// A request that brought no answer.
enum Unanswered {
    /// The server has not got it.
    NeverSent(Trouble),
    /// It may have got it, and may still do it.
    Lost(Trouble),
}

/// What is sent.
struct Sending {
    method: &'static str,
    /// Below the base.
    path: String,
    is_folder: bool,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Http {
    /// The folder at a URL.
    ///
    /// # Errors
    /// It is no such URL.
    pub fn new(url: &str, user: Option<String>, secret: Option<Secret>, deadline: Duration) -> Result<Self, Trouble> {
        let wrong = |why: &str| Trouble::Refused(format!("the queue's URL {why}"));
        let mut base = Url::parse(url).map_err(|_| wrong("is not one"))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(wrong("is not http or https"));
        }
        // They are given apart from it, and must not be in what is shown or sent.
        if !base.username().is_empty() || base.password().is_some() {
            return Err(wrong("has a user in it: write user = \"…\" and password_env beside it"));
        }
        base.set_query(None);
        base.set_fragment(None);
        let client = http::client().and_then(|client| {
            let client = client.pool_idle_timeout(IDLE).connect_timeout(deadline);
            client.build().map_err(|error| text::reason(&error))
        });
        let client = client.map_err(|why| Trouble::Refused(format!("no HTTP client: {why}")))?;
        Ok(Self { base, client, user, secret, password: Mutex::default(), deadline })
    }

    pub async fn list(&self, folder: &str, in_full: bool) -> Result<Option<Vec<FolderEntry>>, Trouble> {
        let asking = Sending::new("PROPFIND", folder).folder().header("depth", "1");
        let asking = asking.body(if in_full { FULL } else { NAMES });
        match self.propfind(&asking).await? {
            Some((_, inside)) => Ok(Some(inside)),
            None => self.missing(folder).await,
        }
    }

    pub async fn look(&self, path: &str) -> Result<Option<FolderEntry>, Trouble> {
        match self.propfind(&Sending::new("PROPFIND", path).header("depth", "0").body(FULL)).await? {
            Some((own, _)) => Ok(Some(own)),
            None => self.missing(path).await,
        }
    }

    /// Makes sure that something is not there of which the server says so.
    async fn missing<T>(&self, path: &str) -> Result<Option<T>, Trouble> {
        let mut path = path;
        while !path.is_empty() {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let asking = Sending::new("PROPFIND", folder).folder().header("depth", "1").body(NAMES);
            match self.propfind(&asking).await? {
                Some((_, inside)) if inside.iter().any(|entry| entry.name == name) => {
                    return Err(self.nonsense(&asking, &format!("it lists {}, and denies it", tame(name))));
                }
                Some(_) => return Ok(None),
                None => path = folder,
            }
        }
        Err(Trouble::Refused("the queue's URL is not there (404): make its folder on the server".to_owned()))
    }

    /// That this is a folder of a WebDAV server, and what is not as it should be with it.
    pub async fn warnings(&self) -> Result<Vec<String>, Trouble> {
        let asking = Sending::new("PROPFIND", "").folder().header("depth", "0").body(NAMES);
        let answer = self.send(&asking).await.map_err(Unanswered::trouble)?;
        let (status, date) = (answer.status().as_u16(), answer.headers().get("date").cloned());
        self.leave(answer).await;
        if status != 207 {
            return Err(self.refusal(&asking, status));
        }
        let mut warnings = Vec::new();
        let date = date.as_ref().and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()).map(|at| at.to_utc().into());
        let apart = date.map(|at: Timestamp| at.since(now()).max(now().since(at)));
        if let Some(apart) = apart.filter(|apart| *apart > APART) {
            warnings.push(format!(
                "the clocks of the server and of this machine are {} apart: what waits since when is shown wrongly",
                duration(apart)
            ));
        }
        let is_local = matches!(self.base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if self.user.is_some() && self.base.scheme() == "http" && !is_local {
            warnings.push("the password goes over the network in plain text: use https".to_owned());
        }
        Ok(warnings)
    }

    pub async fn read(&self, path: &str, most: usize) -> Result<Option<Vec<u8>>, Trouble> {
        let asking = Sending::new("GET", path);
        let answer = self.send(&asking).await.map_err(Unanswered::trouble)?;
        match answer.status().as_u16() {
            200 => {}
            404 | 410 => {
                self.leave(answer).await;
                return self.missing(path).await;
            }
            status => {
                self.leave(answer).await;
                return Err(self.refusal(&asking, status));
            }
        }
        let mut bytes = Vec::new();
        self.body(&asking, answer, most, |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })
        .await?;
        Ok(Some(bytes))
    }

    pub async fn write(&self, path: &str, bytes: Vec<u8>, in_place: bool) -> Certainty {
        let mut sending = Sending::new("PUT", path);
        if !in_place {
            sending = sending.header("if-none-match", "*");
        }
        sending.body = bytes;
        self.change(sending, &[201, 204]).await
    }

    pub async fn make(&self, folder: &str) -> Certainty {
        self.change(Sending::new("MKCOL", folder).folder(), &[201]).await
    }

    pub async fn rename(&self, from: &str, to: &str, is_folder: bool) -> Certainty {
        let target = self.url(to, is_folder);
        let mut sending = Sending::new("MOVE", from).header("overwrite", "F").header("destination", target.as_str());
        sending.is_folder = is_folder;
        self.change(sending, &[201]).await
    }

    pub async fn remove(&self, path: &str) -> Result<(), Trouble> {
        let mut sending = Sending::new("DELETE", path);
        loop {
            let answer = self.send(&sending).await.map_err(Unanswered::trouble)?;
            let status = answer.status().as_u16();
            self.leave(answer).await;
            match status {
                204 => return Ok(()),
                404 | 410 => return self.missing::<()>(path).await.map(|_| ()),
                // A server may want a folder with its slash.
                300..=399 if !sending.is_folder => sending = sending.folder(),
                status => return Err(self.refusal(&sending, status)),
            }
        }
    }

    /// A step that is done once.
    async fn change(&self, sending: Sending, yes: &[u16]) -> Certainty {
        match self.send(&sending).await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                self.leave(answer).await;
                if yes.contains(&status) { Certainty::Yes } else { Certainty::Unknown(self.refusal(&sending, status)) }
            }
            Err(Unanswered::NeverSent(trouble)) => Certainty::No(trouble),
            Err(Unanswered::Lost(trouble)) => Certainty::Unknown(trouble),
        }
    }

    async fn propfind(&self, asking: &Sending) -> Result<Option<(FolderEntry, Vec<FolderEntry>)>, Trouble> {
        let mut answer = self.send(asking).await.map_err(Unanswered::trouble)?;
        if answer.status().is_redirection() && !asking.is_folder {
            // A server may want a folder with its slash.
            self.leave(answer).await;
            let with_slash = Sending {
                method: asking.method,
                path: asking.path.clone(),
                is_folder: true,
                headers: asking.headers.clone(),
                body: asking.body.clone(),
            };
            answer = self.send(&with_slash).await.map_err(Unanswered::trouble)?;
        }
        match answer.status().as_u16() {
            207 => {}
            404 | 410 => {
                self.leave(answer).await;
                return Ok(None);
            }
            status => {
                self.leave(answer).await;
                return Err(self.refusal(asking, status));
            }
        }
        let mut reading = Multistatus::default();
        self.body(asking, answer, LONGEST_LISTING, |part| reading.take(part)).await?;
        let (own, inside) = reading.finish().map_err(|why| self.nonsense(asking, &why))?;
        if !asking.path.is_empty() && asking.path.rsplit('/').next() != Some(&own.name) {
            return Err(self.nonsense(asking, "the listing is of something else"));
        }
        // A folder that was asked for as a file, or the other way round, is another thing.
        if asking.is_folder && own.kind != EntryKind::Folder {
            return Err(self.nonsense(asking, "it is a file, not a folder"));
        }
        Ok(Some((own, inside)))
    }

    /// Sends a request and returns when the answer's head has come.
    async fn send(&self, sending: &Sending) -> Result<Response, Unanswered> {
        let password = self.known_password().await?;
        let answer = self.send_with(sending, password.as_deref()).await?;
        if answer.status().as_u16() != 401 || password.is_none() {
            return Ok(answer);
        }
        // The password may have been changed since it was read. What was refused so was not done.
        *self.password.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let newer = self.known_password().await?;
        if newer == password { Ok(answer) } else { self.send_with(sending, newer.as_deref()).await }
    }

    async fn send_with(&self, sending: &Sending, password: Option<&str>) -> Result<Response, Unanswered> {
        let method = Method::from_bytes(sending.method.as_bytes()).expect("a method is a word");
        let mut request = self.client.request(method, self.url(&sending.path, sending.is_folder));
        request = request.headers(sending.headers.clone());
        if let Some(user) = &self.user {
            request = request.basic_auth(user, password);
        }
        if !sending.body.is_empty() || sending.method == "PUT" {
            request = request.body(sending.body.clone());
        }
        match timeout(self.allowed(sending.body.len()), request.send()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let is_connect = error.is_connect();
                let why = text::reason(&error.without_url());
                let trouble = Trouble::Unreachable(format!("the queue's server: {why}"));
                Err(if is_connect { Unanswered::NeverSent(trouble) } else { Unanswered::Lost(trouble) })
            }
            Err(_) => Err(Unanswered::Lost(self.too_slow())),
        }
    }

    async fn known_password(&self) -> Result<Option<String>, Unanswered> {
        let known = self.password.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match &self.secret {
            Some(secret) if known.is_none() => {
                let password = reveal(secret).await.map_err(|why| Unanswered::NeverSent(Trouble::Refused(why)))?;
                *self.password.lock().unwrap_or_else(PoisonError::into_inner) = Some(password.clone());
                Ok(Some(password))
            }
            _ => Ok(known),
        }
    }

    /// Reads an answer's body to its end.
    async fn body(
        &self,
        asking: &Sending,
        mut answer: Response,
        most: usize,
        mut keep: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), Trouble> {
        let (begin, mut length) = (Instant::now(), 0_usize);
        loop {
            let left = self.allowed(length).saturating_sub(begin.elapsed());
            let part = match timeout(left, answer.chunk()).await {
                Ok(Ok(Some(part))) => part,
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => {
                    let why = text::reason(&error.without_url());
                    return Err(Trouble::Unreachable(format!("the queue's server: {why}")));
                }
                Err(_) => return Err(self.too_slow()),
            };
            length += part.len();
            if length > most {
                return Err(self.nonsense(asking, &format!("it is longer than {} MiB", most >> 20)));
            }
            keep(&part).map_err(|why| self.nonsense(asking, &why))?;
        }
    }

    /// Reads what nobody wants, so that the connection can be used again.
    async fn leave(&self, mut answer: Response) {
        let mut length = 0;
        while length < UNWANTED {
            match timeout(self.deadline, answer.chunk()).await {
                Ok(Ok(Some(part))) => length += part.len(),
                _ => return,
            }
        }
    }

    /// How long so many bytes may take: a slow line is no dead one.
    fn allowed(&self, bytes: usize) -> Duration {
        self.deadline + Duration::from_secs(bytes as u64 >> 16)
    }

    fn too_slow(&self) -> Trouble {
        Trouble::Unreachable(format!("the queue's server does not answer within {} s", self.deadline.as_secs_f64()))
    }

    fn nonsense(&self, asking: &Sending, why: &str) -> Trouble {
        Trouble::Unreachable(format!("the queue's server, {} of {}: {why}", asking.method, shown(&asking.path)))
    }

    /// What a status means that is not the wanted one, and what to do.
    fn refusal(&self, sending: &Sending, status: u16) -> Trouble {
        let (method, place) = (sending.method, shown(&sending.path));
        match status {
            401 if self.user.is_none() => Trouble::Refused(
                "the server wants a user: write user = \"…\" and password_env or password_file into the source"
                    .to_owned(),
            ),
            401 => Trouble::Refused("the server does not take this user with this password (401)".to_owned()),
            403 => Trouble::Refused(format!(
                "{method} of {place} is forbidden (403): allow this user to change files in the server's config"
            )),
            404 | 410 => Trouble::Refused(format!("{place} is not there ({status})")),
            405 | 501 => Trouble::Refused(format!(
                "{method} of {place} is not allowed ({status}): the server has no WebDAV here, write 'Dav On' in its config"
            )),
            409 => Trouble::Refused(format!("the folder of {place} is not there (409)")),
            412 => Trouble::Refused(format!("{place} or its target is there already (412)")),
            413 => Trouble::Refused(format!("{place} is too long for the server (413): raise its LimitRequestBody")),
            423 => Trouble::Unreachable(format!("{place} is locked by another WebDAV client (423)")),
            500 => Trouble::Refused(format!(
                "{method} of {place} fails on the server (500): its user may not write there, or open/, claims/ and done/ are \
                 on several file systems; its error log says which"
            )),
            502 if method == "MOVE" => Trouble::Refused(
                "the server takes its own address for another's (502): behind a proxy that ends TLS, write \
                 'RequestHeader edit Destination ^https: http: early' in its config"
                    .to_owned(),
            ),
            507 => Trouble::Unreachable("the server has no room (507)".to_owned()),
            300..=399 => Trouble::Refused(format!(
                "the server redirects {place} ({status}), which is not followed: write the URL to which it redirects"
            )),
            _ => Trouble::Unreachable(format!("the queue's server answers {method} of {place} with {status}")),
        }
    }

    fn url(&self, path: &str, is_folder: bool) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path.split('/').filter(|part| !part.is_empty()));
            if is_folder {
                parts.push("");
            }
        }
        url
    }
}

impl Sending {
    fn new(method: &'static str, path: &str) -> Self {
        Self { method, path: path.to_owned(), is_folder: false, headers: HeaderMap::new(), body: Vec::new() }
    }

    fn folder(self) -> Self {
        Self { is_folder: true, ..self }
    }

    fn body(self, body: &str) -> Self {
        Self { body: body.into(), ..self }
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        // A URL is ASCII, and all else is written in this file.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }
}

impl Unanswered {
    fn trouble(self) -> Trouble {
        match self {
            Self::NeverSent(trouble) | Self::Lost(trouble) => trouble,
        }
    }
}

fn shown(path: &str) -> String {
    if path.is_empty() { "the queue's URL".to_owned() } else { tame(path).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(url: &str) -> Result<Http, Trouble> {
        Http::new(url, None, None, Duration::from_secs(1))
    }

    #[test]
    fn a_path_is_below_the_url_whatever_is_in_it() {
        for base in ["http://h:81/q/", "http://h:81/q"] {
            let http = http(base).expect("a URL");
            assert_eq!(http.url("open/a b%2f?#ö;", false).as_str(), "http://h:81/q/open/a%20b%252f%3F%23%C3%B6;");
            assert_eq!(http.url("claims/x", true).as_str(), "http://h:81/q/claims/x/");
            assert_eq!(http.url("", true).as_str(), "http://h:81/q/");
        }
    }

    #[test]
    fn a_wrong_url_is_not_repeated() {
        for url in ["nonsense", "ftp://h/secret", "http://u:secret@h/q", "http://u@h/q", "mailto:secret"] {
            let Err(Trouble::Refused(why)) = http(url) else { panic!("{url} is taken") };
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
