//! What a form sent, kept while the request is handled: if trunkd can't do it now, the page that says so
//! can send it again.

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::{Method, header};
use actix_web::{HttpMessage, web};

/// A longer form is not kept.
const MAX_BYTES: usize = 64 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";
/// Fields that no page may hold, with the id of their label.
const SECRETS: [(&str, &str); 3] = [
    ("password", "sign-in-password"),
    ("old", "password-old"),
    ("new", "password-new"),
];

/// The fields of a form.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// Where the form goes.
    pub(super) action: String,
    pub(super) fields: Vec<(String, String)>,
    /// To be typed again: name, and the id of the label.
    pub(super) secrets: Vec<(&'static str, &'static str)>,
}

/// Reads the form of a request, and lets the handler read it too.
pub(super) async fn keep(request: &mut ServiceRequest) {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let length = header(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    // A file may hold passwords, which no page may have.
    let is_form = header(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with(FORM));
    if *request.method() != Method::POST || !is_form || length.is_none_or(|length| length > MAX_BYTES) {
        return;
    }
    // A body that can't be read is the handler's business.
    let Ok(body) = request.extract::<web::Bytes>().await else {
        return;
    };
    let kept = Kept::of(request.uri().path(), &body);
    request.extensions_mut().insert(kept);
    request.set_payload(Payload::from(body));
}

impl Kept {
    fn of(path: &str, body: &[u8]) -> Self {
        let (mut fields, mut secrets) = (Vec::new(), Vec::new());
        for (name, value) in form_urlencoded::parse(body) {
            match SECRETS.iter().find(|(secret, _)| *secret == name) {
                Some(secret) => secrets.push(*secret),
                None => fields.push((name.into_owned(), value.into_owned())),
            }
        }
        Self {
            action: path.to_owned(),
            fields,
            secrets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_kept_but_secrets() {
        let kept = Kept::of(
            "/users",
            b"name=b%C3%B6b&role=viewer&password=s3cret&domains=a&domains=b",
        );
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(kept.action, "/users");
        assert_eq!(
            kept.fields,
            [
                field("name", "böb"),
                field("role", "viewer"),
                field("domains", "a"),
                field("domains", "b")
            ]
        );
        assert_eq!(kept.secrets, [("password", "sign-in-password")]);
    }
}
