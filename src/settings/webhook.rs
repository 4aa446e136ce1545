//! `[[webhook]]`: who is notified of what happened.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use secrecy::SecretString;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use strsim::levenshtein;
use url::Url;

use super::error::SettingsError;
use super::text::{self, FromText, ListItem};

/// The longest name: it is a label of metrics and part of keys.
const MAX_NAME_BYTES: usize = 64;
/// Edits by which a mistyped event may differ from the one that was meant.
const MAX_TYPOS: usize = 3;

/// One `[[webhook]]`: entries of the history are posted there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// What it is called in `/health`, in metrics and in Redis, where its position is kept. Loading
    /// derives one from the URL if none is set. Environment: see [`Settings::webhooks`].
    ///
    /// [`Settings::webhooks`]: super::Settings::webhooks
    #[serde(default)]
    pub name: String,
    /// Where to post, `http://…` or `https://…`.
    #[serde(deserialize_with = "text::one")]
    pub url: WebhookUrl,
    /// The kinds of entries to post.
    #[serde(default = "default_events", deserialize_with = "text::list")]
    pub events: Vec<WebhookEvent>,
    /// Only entries about gateways of these domains. Empty: all entries.
    #[serde(default, deserialize_with = "text::list")]
    pub domains: Vec<String>,
    /// What the posts are signed with. None: they are not signed.
    #[serde(default)]
    pub secret: Option<SecretString>,
    /// A file with it, instead of `secret`. Loading reads it into `secret`.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// PEM file: the authorities that the receiver's certificate must come from, instead of the
    /// well-known ones.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// Where a webhook posts to. Chat services put their secret into the path, so neither `Debug` nor
/// `Display` shows more than scheme, host and port.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WebhookUrl(Url);

impl WebhookUrl {
    /// With the path. Never log it.
    pub fn full(&self) -> &Url {
        &self.0
    }

    /// A name for a webhook that has none.
    fn digest(&self) -> String {
        let digest = Sha256::digest(self.0.as_str());
        HEXLOWER.encode(&digest[..4])
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{self}/…")
    }
}

impl FromText for WebhookUrl {
    const EXPECTED: &'static str = "a URL, such as \"https://alerts.example.net/trunkd\"";

    /// No error quotes the text: it may hold a secret.
    fn from_text(text: &str) -> Result<Self, String> {
        let wrong = "it must be a URL such as \"https://alerts.example.net/trunkd\"";
        let url = Url::parse(text).map_err(|error| format!("{wrong} ({error})"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(format!("{wrong}, with http or https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "a user or password in the URL would be sent with every post and is easily logged: take it out, and \
                 set `secret`, by which the receiver can verify each post"
                    .to_owned(),
            );
        }
        if url.fragment().is_some() {
            return Err("the part from `#` on is never sent: take it out".to_owned());
        }
        Ok(Self(url))
    }
}

/// A kind of entry, as the history names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookEvent(&'static str);

impl WebhookEvent {
    /// Every kind there is. A test compares it with the history.
    pub const ALL: [Self; 23] = [
        Self("outage"),
        Self("recovered"),
        Self("hold"),
        Self("release"),
        Self("switch_lost"),
        Self("switch_back"),
        Self("rolled_back"),
        Self("parked"),
        Self("unparked"),
        Self("carrier_out"),
        Self("carrier_back"),
        Self("moved"),
        Self("drain"),
        Self("undrain"),
        Self("edit"),
        Self("edits"),
        Self("action"),
        Self("actions"),
        Self("apply"),
        Self("pause"),
        Self("resume"),
        Self("reveal"),
        Self("access"),
    ];

    pub fn as_str(self) -> &'static str {
        self.0
    }
}

/// What somebody has to look at, and that an outage is over.
fn default_events() -> Vec<WebhookEvent> {
    ["outage", "recovered", "hold", "switch_lost", "rolled_back"]
        .map(WebhookEvent)
        .into()
}

impl FromText for WebhookEvent {
    const EXPECTED: &'static str = "a kind of event, such as \"outage\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let known = |event: &Self| event.0 == text;
        if let Some(event) = Self::ALL.into_iter().find(known) {
            return Ok(event);
        }
        let distances = Self::ALL.map(|event| (levenshtein(event.0, text), event.0));
        match distances.into_iter().min() {
            Some((distance, nearest)) if distance <= MAX_TYPOS => {
                Err(format!("there is no event `{text}`: did you mean \"{nearest}\"?"))
            }
            _ => Err(format!(
                "there is no event `{text}`: the events are {}",
                Self::ALL.map(Self::as_str).join(", ")
            )),
        }
    }
}

impl ListItem for WebhookEvent {}

/// Names each webhook that has no name.
pub(super) fn name(webhooks: &mut [WebhookSettings]) {
    for webhook in webhooks.iter_mut().filter(|webhook| webhook.name.is_empty()) {
        webhook.name = webhook.url.digest();
    }
}

type Refuse<'a> = dyn Fn(&str, String) -> Result<(), SettingsError> + 'a;

pub(super) fn check(webhooks: &[WebhookSettings], invalid: &Refuse) -> Result<(), SettingsError> {
    let mut by_name = HashMap::new();
    for webhook in webhooks {
        let (name, url) = (webhook.name.as_str(), &webhook.url);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.len() > MAX_NAME_BYTES || !name.chars().all(is_plain) {
            let problem = format!(
                "the name of the webhook to {url} may have letters, digits, `-`, `_` and `.`, at most \
                 {MAX_NAME_BYTES}: write one such as \"alerts\""
            );
            return invalid("webhook.name", problem);
        }
        if let Some(other) = by_name.insert(name, url) {
            let problem = match other == url {
                true => format!("two webhooks post to the same URL at {url}: give each a `name` of its own"),
                false => format!("two webhooks are named \"{name}\", to {other} and to {url}: give each its own"),
            };
            return invalid("webhook.name", problem);
        }
        if webhook.events.is_empty() {
            let problem = format!("the webhook to {url} would never be told anything: name events, or remove it");
            return invalid("webhook.events", problem);
        }
        if webhook.domains.iter().any(String::is_empty) {
            return invalid("webhook.domains", "a domain's name is empty".to_owned());
        }
        if webhook.ca.is_some() && url.full().scheme() != "https" {
            let problem = format!("the webhook to {url} uses no TLS: write https:// in its URL, or remove `ca`");
            return invalid("webhook.ca", problem);
        }
    }
    Ok(())
}
