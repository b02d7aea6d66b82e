//! The password that a config names.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::text;
use crate::core::cluster::Secret;

/// Longer than any password, shorter than a file that was named by mistake.
const LONGEST_PASSWORD: u64 = 4_096;

/// The password a [`Secret`] stands for.
///
/// # Errors
/// It is not there, or is no password. The reason names the place, never what was found.
pub async fn reveal(secret: &Secret) -> Result<String, String> {
    match secret {
        Secret::Env(name) => match std::env::var(name) {
            Ok(password) => Ok(password),
            Err(_) => Err(format!("environment variable {} is not set", text::short(name))),
        },
        Secret::File(path) => {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
            read.unwrap_or_else(|_| Err("the password file could not be read".to_owned()))
        }
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LONGEST_PASSWORD + 1).read_to_end(&mut bytes)).map_err(|e| {
        let why = match e.kind() {
            ErrorKind::NotFound => "it does not exist".to_owned(),
            _ => text::reason(&e),
        };
        format!("cannot read the password file: {why}")
    })?;
    if bytes.len() as u64 > LONGEST_PASSWORD {
        return Err("the password file is too long".to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|_| "the password file is not UTF-8 text".to_owned())?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn from_file(content: &[u8]) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, content).unwrap();
        reveal(&Secret::File(path)).await
    }

    #[tokio::test]
    async fn one_trailing_line_end_is_cut() {
        for content in ["s3cret ø", "s3cret ø\n", "s3cret ø\r\n"] {
            assert_eq!(from_file(content.as_bytes()).await.as_deref(), Ok("s3cret ø"));
        }
        assert_eq!(from_file(b"two\n\n").await.as_deref(), Ok("two\n"));
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_without_the_content() {
        assert_eq!(from_file(b"s3cret\xff").await.unwrap_err(), "the password file is not UTF-8 text");
        assert_eq!(from_file(&[b'x'; 5_000]).await.unwrap_err(), "the password file is too long");
        let missing = Secret::File("/nowhere/password".into());
        assert_eq!(reveal(&missing).await.unwrap_err(), "cannot read the password file: it does not exist");
        let unset = Secret::Env("WHIMBREL_TEST_UNSET".to_owned());
        assert_eq!(reveal(&unset).await.unwrap_err(), "environment variable WHIMBREL_TEST_UNSET is not set");
    }

    #[tokio::test]
    async fn the_environment_is_read() {
        let path = Secret::Env("PATH".to_owned());
        assert_eq!(reveal(&path).await, Ok(std::env::var("PATH").unwrap()));
    }
}
