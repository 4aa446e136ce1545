//! How the trunkd is that runs with these settings, in its own words.

use serde::Deserialize;

use crate::health::State;
use crate::http::{self, OwnAnswer, OwnError};
use crate::settings::Settings;

/// What `/health` says.
#[derive(Debug)]
pub struct OwnHealth {
    pub version: String,
    /// Whether FreeSWITCH gets what it asks for.
    pub is_serving: bool,
    pub degraded: Vec<Degraded>,
}

/// A part that is not well.
#[derive(Debug, PartialEq, Eq)]
pub struct Degraded {
    pub part: String,
    pub reason: String,
}

#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    #[error(transparent)]
    Own(#[from] OwnError),
    #[error("{url} answers {status}, and not as a trunkd would: does another program listen there?")]
    NotTrunkd { url: String, status: u16 },
}

#[derive(Deserialize)]
struct Body {
    version: String,
    serving: bool,
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    name: String,
    state: State,
    reason: Option<String>,
}

/// Asks the trunkd that listens at `http.listen`.
///
/// # Errors
/// [`HealthError`]: nothing or another program answers there.
pub async fn own_health(settings: &Settings) -> Result<OwnHealth, HealthError> {
    read(http::ask_health(&settings.http).await?)
}

fn read(answer: OwnAnswer) -> Result<OwnHealth, HealthError> {
    let OwnAnswer { url, status, body } = answer;
    let body: Body = serde_json::from_slice(&body).map_err(|_| HealthError::NotTrunkd { url, status })?;
    let degraded = body.parts.into_iter().filter(|part| part.state == State::Degraded);
    Ok(OwnHealth {
        version: body.version,
        is_serving: body.serving,
        degraded: degraded
            .map(|part| Degraded {
                part: part.name,
                reason: part.reason.unwrap_or_default(),
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Health, Part};

    fn answer(status: u16, body: impl Into<Vec<u8>>) -> OwnAnswer {
        OwnAnswer {
            url: "http://127.0.0.1:8080/health".to_owned(),
            status,
            body: body.into(),
        }
    }

    #[test]
    fn the_answer_of_a_trunkd_is_read_back() {
        let health = Health::new();
        health.set(Part::Redis, State::Ok, None);
        health.set(Part::Switch("fs1".to_owned()), State::Degraded, Some("away".to_owned()));
        health.set_serving(true);
        let own = read(answer(200, serde_json::to_vec(&health.report()).unwrap())).unwrap();
        assert!(own.is_serving);
        assert_eq!(own.version, env!("CARGO_PKG_VERSION"));
        let (part, reason) = ("switch:fs1".to_owned(), "away".to_owned());
        assert_eq!(own.degraded, [Degraded { part, reason }]);
    }

    #[test]
    fn another_program_is_no_healthy_trunkd() {
        for (status, body) in [(200, "ok"), (404, ""), (200, "{}")] {
            let error = read(answer(status, body)).unwrap_err().to_string();
            assert!(error.contains(&format!("/health answers {status}")), "{error}");
        }
    }
}
