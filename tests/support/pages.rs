//! A person who reads the pages, without a browser.

use std::path::Path;

use reqwest::redirect::Policy;
use reqwest::{Method, Response};
use secrecy::SecretString;
use trunkd::access::{Access, NewUser, Role};
use trunkd::operate::sources;

use super::app::{Reached, TestApp, http_builder, settings};

const PASSWORD: &str = "correct horse battery";

/// Signed in.
#[derive(Clone)]
pub struct Reader {
    base: String,
    cookie: String,
    /// As in `Accept-Language`.
    language: &'static str,
}

impl Reader {
    pub async fn sign_in(
        app: &TestApp,
        redis: &(impl Reached + ?Sized),
        (name, language): (&str, &'static str),
        role: Role,
        domains: &str,
    ) -> Self {
        let store = sources::store(&settings(redis, Path::new("unused"), "")).expect("a store");
        let new = NewUser {
            name: name.to_owned(),
            role,
            domains: domains.parse().expect("domains"),
            password: SecretString::from(PASSWORD.to_owned()),
        };
        Access::new(store).add_user(new).await.expect("a new user");
        let mut reader = Self {
            base: base(app),
            cookie: String::new(),
            language,
        };
        let form = format!("name={name}&password={}&next=/", PASSWORD.replace(' ', "+"));
        let signed_in = reader.post("/sign-in", &form).await;
        assert_eq!(signed_in.status(), 303);
        let cookie = signed_in.headers()["set-cookie"].to_str().expect("a cookie");
        reader.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        reader
    }

    /// The same person at another trunkd.
    pub fn at(&self, app: &TestApp) -> Self {
        Self {
            base: base(app),
            ..self.clone()
        }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.request_from("same-origin", method, path)
    }

    /// From a page of this site.
    pub fn request_from(&self, site: &str, method: Method, path: &str) -> reqwest::RequestBuilder {
        let direct = http_builder().redirect(Policy::none()).build().expect("a client");
        direct
            .request(method, format!("{}{path}", self.base))
            .header("Accept-Language", self.language)
            .header("Sec-Fetch-Site", site)
            .header("Cookie", &self.cookie)
    }

    pub async fn post(&self, path: &str, form: &str) -> Response {
        let request = self.request(Method::POST, path);
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        request.body(form.to_owned()).send().await.expect("an answer")
    }

    pub async fn get(&self, path: &str) -> String {
        let answer = self.request(Method::GET, path).send().await.expect("an answer");
        answer.text().await.expect("a page")
    }

    /// Sends the form of imports with a file.
    pub async fn upload(&self, (name, file): (&str, &[u8]), options: &[(&str, &str)]) -> Response {
        let request = self.request(Method::POST, "/import");
        with_upload(request, (name, file), options)
            .send()
            .await
            .expect("an answer")
    }
}

fn base(app: &TestApp) -> String {
    format!("http://{}", app.api_address.expect("the pages are served"))
}

/// As a browser sends a form with a file.
pub fn with_upload(
    request: reqwest::RequestBuilder,
    (name, file): (&str, &[u8]),
    options: &[(&str, &str)],
) -> reqwest::RequestBuilder {
    const BOUNDARY: &str = "----boundary";
    let mut body = Vec::new();
    for (name, value) in options {
        let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    request
        .header("Content-Type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(body)
}
