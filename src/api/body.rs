//! Bodies and parameters: everything that makes no sense is a problem that names the place and the
//! fix.

use actix_web::dev::Payload;
use actix_web::error::{PathError, PayloadError, QueryPayloadError};
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use crate::gateway::Document;
use crate::portal::Problem;
use crate::shown::shown;

/// The largest body of a request, in bytes.
pub(super) const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Reads a JSON body into a type that refuses keys that it doesn't know.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = pointer(error.path());
        describe(&pointer, &error.inner().to_string())
    })?;
    json.end()
        .map_err(|_| Problem::bad_request("", "there is something after the JSON", "send one JSON value"))?;
    Ok(read)
}

/// Reads a JSON object that is kept as it was written.
pub(super) fn document(body: &[u8]) -> Result<Document, Problem> {
    Document::parse(body).map_err(|reason| {
        Problem::bad_request(
            "",
            format!("the body can't be used: {reason}"),
            "send a JSON object, such as {\"param\": {…}, \"variables\": {…}}",
        )
    })
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let parts = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    });
    parts.collect()
}

/// serde's message, with the nearest name there is for one that there isn't.
fn describe(pointer: &str, message: &str) -> Problem {
    let message = shown(message).to_string();
    let mut names = message.split('`').skip(1).step_by(2);
    let is_unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let fix = match names.next().filter(|_| is_unknown) {
        Some(given) => {
            let known: Vec<&str> = names.collect();
            let near = known
                .iter()
                .map(|name| (strsim::osa_distance(given, name), name))
                .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
                .min();
            match near {
                Some((_, name)) => format!("did you mean `{name}`?"),
                None => format!("write one of {}", known.join(", ")),
            }
        }
        None => "see /api/openapi.json for what this call takes".to_owned(),
    };
    Problem::bad_request(pointer, message.clone(), fix)
}

/// What actix-web itself refuses.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        .app_data(web::PayloadConfig::new(MAX_BODY_BYTES))
        .app_data(web::QueryConfig::default().error_handler(|error, _| query_error(&error).into()))
        .app_data(web::PathConfig::default().error_handler(|error, _| path_error(&error).into()));
}

fn query_error(error: &QueryPayloadError) -> Problem {
    let text = error.to_string();
    let message = text.strip_prefix("Query deserialize error: ").unwrap_or(&text);
    describe("", message)
}

fn path_error(error: &PathError) -> Problem {
    let reason = shown(&error.to_string()).to_string();
    Problem::bad_request("", reason, "percent-encode names in the path, as UTF-8")
}

/// The largest body of a call that takes more than others.
#[derive(Clone, Copy)]
pub(super) struct BodyLimit(pub(super) usize);

/// The body of a request.
pub(super) struct Sent(pub(super) web::Bytes);

impl FromRequest for Sent {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = web::Bytes::from_request(request, payload);
        let limit = request.app_data::<BodyLimit>().map_or(MAX_BODY_BYTES, |limit| limit.0);
        Box::pin(async move {
            body.await.map(Self).map_err(|error| match error.as_error() {
                Some(PayloadError::Overflow) => too_large(limit),
                _ => Problem::bad_request("", "the body did not arrive whole", "send it again"),
            })
        })
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("the body is larger than {limit} bytes: send less at once"),
    )
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sent {
        #[serde(rename = "role")]
        _role: String,
        #[serde(default, rename = "inner")]
        _inner: Vec<u8>,
    }

    #[track_caller]
    fn refused(body: &str) -> (String, String, String) {
        let problem = json::<Sent>(body.as_bytes()).unwrap_err();
        let error = problem.errors[0].clone();
        (error.pointer, error.reason, error.fix)
    }

    #[test]
    fn a_misspelt_key_is_named_with_the_nearest_right_one() {
        let (_, reason, fix) = refused(r#"{"rol":"x"}"#);
        assert!(reason.contains("`rol`"), "{reason}");
        assert_eq!(fix, "did you mean `role`?");
        assert_eq!(refused(r#"{"zzzz":"x"}"#).2, "write one of role, inner");
    }

    #[test]
    fn a_wrong_type_is_named_with_its_place() {
        let (pointer, reason, _) = refused(r#"{"role":"x","inner":[1,"a"]}"#);
        assert_eq!(pointer, "/inner/1");
        assert!(reason.contains("expected u8"), "{reason}");
        assert!(refused("{} x").1.contains("missing field"));
        assert!(refused(r#"{"role":"x"} x"#).1.contains("something after"));
    }
}
