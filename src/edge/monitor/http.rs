//! `http`: the time to a complete reply, in milliseconds.

use tokio::time::Instant;

use super::patience::Door;
use super::{Failure, web};

/// A longer body is no health check; what it would take to read it says little of the service.
const LONGEST_BODY: usize = 8 << 20;

/// Fetches a URL and times it.
pub(super) struct Http {
    url: String,
    expect: u16,
}

impl Http {
    pub(super) const fn new(url: String, expect: u16) -> Self {
        Self { url, expect }
    }

    pub(super) fn door(&self) -> Option<Door> {
        web::door(&self.url)
    }

    /// From before the name is looked up to the last byte of the body.
    pub(super) async fn read(&self) -> Result<f64, Failure> {
        let url = web::parse(&self.url)?;
        let start = Instant::now();
        let reply = web::get(url).await?;
        let status = reply.status().as_u16();
        if status != self.expect {
            return Err(Failure::Answered(format!("status {status}, expected {}", self.expect)));
        }
        web::body(reply, LONGEST_BODY, |_| ()).await?;
        Ok(start.elapsed().as_secs_f64() * 1_000.0)
    }
}
