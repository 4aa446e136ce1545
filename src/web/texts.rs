//! The texts of the pages, in every language: `texts/en.ftl` and `texts/zh.ftl` (Project Fluent).

use std::borrow::Cow;
use std::sync::LazyLock;

use actix_web::HttpRequest;
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use unic_langid::LanguageIdentifier;

use crate::language::Language;
use crate::portal::accepted;

type Bundle = FluentBundle<FluentResource>;

static ENGLISH: LazyLock<Bundle> = LazyLock::new(|| bundle("en", include_str!("texts/en.ftl")));
static CHINESE: LazyLock<Bundle> = LazyLock::new(|| bundle("zh-Hans", include_str!("texts/zh.ftl")));

/// Keeps the language that somebody chose.
pub(super) const LANGUAGE_COOKIE: &str = "trunkd_language";

/// The texts of one language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Texts(pub(super) Language);

/// A broken catalog shows message ids instead of texts; the tests find it before.
fn bundle(language: &str, source: &'static str) -> Bundle {
    // It decides about plurals.
    let language: LanguageIdentifier = language.parse().unwrap_or_default();
    let mut bundle = Bundle::new_concurrent(vec![language]);
    // HTML isolates values with <bdi>.
    bundle.set_use_isolating(false);
    let resource = FluentResource::try_new(source.to_owned()).unwrap_or_else(|(resource, _)| resource);
    bundle.add_resource_overriding(resource);
    bundle
}

impl Texts {
    /// In the language that the person chose, or else the browser's.
    pub(super) fn of(request: &HttpRequest) -> Self {
        let chosen = request.cookie(LANGUAGE_COOKIE);
        let chosen = chosen.and_then(|cookie| Language::parse(cookie.value()));
        Self(chosen.unwrap_or_else(|| accepted(request)))
    }

    fn bundle(self) -> &'static Bundle {
        match self.0 {
            Language::En => &ENGLISH,
            Language::Zh => &CHINESE,
        }
    }

    /// The text of this id.
    pub(super) fn get(self, id: &str) -> Cow<'static, str> {
        self.format(id, None)
    }

    /// A text about a number, `$count`.
    pub(super) fn count(self, id: &str, count: usize) -> Cow<'static, str> {
        let mut args = FluentArgs::new();
        #[allow(clippy::cast_precision_loss, reason = "a count of gateways is far below 2^52")]
        args.set("count", count as f64);
        self.format(id, Some(&args))
    }

    /// A text about something named, `$value`.
    pub(super) fn with(self, id: &str, value: &str) -> Cow<'static, str> {
        let mut args = FluentArgs::new();
        args.set("value", value.to_owned());
        self.format(id, Some(&args))
    }

    /// A text with several values.
    pub(super) fn fill(self, id: &str, values: &[(&'static str, &str)]) -> String {
        let mut args = FluentArgs::new();
        for (name, value) in values {
            args.set(*name, (*value).to_owned());
        }
        self.format(id, Some(&args)).into_owned()
    }

    fn format(self, id: &str, args: Option<&FluentArgs>) -> Cow<'static, str> {
        let bundle = self.bundle();
        let pattern = bundle.get_message(id).and_then(|message| message.value());
        match pattern {
            Some(pattern) => Cow::Owned(bundle.format_pattern(pattern, args, &mut Vec::new()).into_owned()),
            None => Cow::Owned(id.to_owned()),
        }
    }

    /// As in the `lang` attribute of HTML.
    pub(super) fn tag(self) -> &'static str {
        match self.0 {
            Language::En => "en",
            Language::Zh => "zh-Hans",
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
