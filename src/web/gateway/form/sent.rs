//! What a form sent.

use secrecy::SecretString;

/// Names of the form's own controls, which are no part of a gateway.
pub(super) const STEP: &str = "step";
pub(super) const ETAG: &str = "etag";
/// The form has boxes for switches.
pub(super) const SHOWS_NODES: &str = "shows_nodes";
const SEALED: &str = "sealed.";
const SECRET: &str = "secret.";
pub(super) const PARAM: &str = "param.";

/// The controls of a form with what was typed, in order. Secrets are apart.
#[derive(Clone, Default)]
pub(in crate::web::gateway) struct Sent {
    pairs: Vec<(String, String)>,
    /// Secrets as they were typed: `password`.
    typed: Vec<(String, SecretString)>,
}

/// What to do with a secret.
#[derive(Clone)]
pub(super) enum SecretEdit {
    Keep,
    Replace(SecretString),
    Remove,
}

/// A variable as a row of the form has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SentVariable {
    pub(super) name: String,
    pub(super) value: String,
    /// Empty: both.
    pub(super) direction: String,
}

impl SentVariable {
    pub(super) fn is_blank(&self) -> bool {
        self.name.is_empty() && self.value.is_empty()
    }
}

impl Sent {
    /// Reads `application/x-www-form-urlencoded`.
    pub(in crate::web::gateway) fn parse(body: &[u8], is_secret: impl Fn(&str) -> bool) -> Self {
        let mut sent = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            match name.strip_prefix(PARAM).filter(|param| is_secret(param)) {
                Some(_) if value.is_empty() => {}
                Some(param) => sent
                    .typed
                    .push((param.to_owned(), SecretString::from(value.into_owned()))),
                // A textarea's lines end with CRLF on the wire.
                None => sent.pairs.push((name.into_owned(), value.replace("\r\n", "\n"))),
            }
        }
        sent
    }

    pub(in crate::web::gateway) fn value(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    pub(in crate::web::gateway) fn text(&self, name: &str) -> &str {
        self.value(name).unwrap_or_default().trim()
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.pairs.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_str())
    }

    /// The params that are no secret.
    pub(super) fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        let params = self.pairs.iter();
        params.filter_map(|(name, value)| Some((name.strip_prefix(PARAM)?, value.as_str())))
    }

    /// The rows that are filled in.
    pub(super) fn variables(&self) -> Vec<SentVariable> {
        let mut rows = self.variable_rows();
        rows.retain(|row| !row.is_blank());
        rows
    }

    /// All rows of the form.
    pub(super) fn variable_rows(&self) -> Vec<SentVariable> {
        let names = self.all("variable.name");
        let rest = self.all("variable.value").zip(self.all("variable.direction"));
        let rows = names.zip(rest).map(|(name, (value, direction))| SentVariable {
            name: name.trim().to_owned(),
            value: value.to_owned(),
            direction: direction.to_owned(),
        });
        rows.collect()
    }

    /// What the form says about a secret: what was typed counts before what is chosen. `Err` has what
    /// was sealed by an earlier page.
    pub(super) fn secret(&self, name: &str) -> Result<SecretEdit, &str> {
        if let Some((_, typed)) = self.typed.iter().find(|(known, _)| known == name) {
            return Ok(SecretEdit::Replace(typed.clone()));
        }
        match (self.choice(name), self.value(&format!("{SEALED}{name}"))) {
            ("remove", _) => Ok(SecretEdit::Remove),
            ("replace", Some(sealed)) if !sealed.is_empty() => Err(sealed),
            _ => Ok(SecretEdit::Keep),
        }
    }

    /// `keep`, `replace` or `remove`.
    pub(super) fn choice(&self, secret: &str) -> &str {
        match self.typed.iter().any(|(known, _)| known == secret) {
            true => "replace",
            false => self.value(&format!("{SECRET}{secret}")).unwrap_or("keep"),
        }
    }

    /// What a page must repeat in hidden fields so that the next request has it all.
    pub(in crate::web::gateway) fn hidden(
        &self,
        etag: Option<&str>,
        sealed: &[(&str, String)],
    ) -> Vec<(String, String)> {
        let is_own = |name: &str| {
            name == STEP || name == ETAG || name.starts_with(SEALED) || {
                let secret = name.strip_prefix(SECRET);
                secret.is_some_and(|secret| sealed.iter().any(|(sealed, _)| *sealed == secret))
            }
        };
        let mut hidden: Vec<_> = self.pairs.iter().filter(|(name, _)| !is_own(name)).cloned().collect();
        hidden.extend(etag.map(|etag| (ETAG.to_owned(), etag.to_owned())));
        for (name, sealed) in sealed {
            hidden.push((format!("{SECRET}{name}"), "replace".to_owned()));
            hidden.push((format!("{SEALED}{name}"), sealed.clone()));
        }
        hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(body: &str) -> Sent {
        Sent::parse(body.as_bytes(), |param| param == "password")
    }

    #[test]
    fn a_typed_secret_counts_before_what_is_chosen_and_is_never_repeated() {
        let typed = sent("param.password=secret&secret.password=keep&param.realm=a");
        assert!(matches!(typed.secret("password"), Ok(SecretEdit::Replace(_))));
        assert_eq!(typed.choice("password"), "replace");
        let hidden = typed.hidden(Some("1"), &[("password", "sealed".to_owned())]);
        let expected = [
            ("param.realm", "a"),
            ("etag", "1"),
            ("secret.password", "replace"),
            ("sealed.password", "sealed"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(hidden, expected);
        let kept = sent("param.password=&secret.password=keep&sealed.password=x");
        assert!(matches!(kept.secret("password"), Ok(SecretEdit::Keep)));
        let again = sent("param.password=&secret.password=replace&sealed.password=x");
        assert_eq!(again.secret("password").err(), Some("x"));
        let removed = sent("secret.password=remove&sealed.password=x");
        assert!(matches!(removed.secret("password"), Ok(SecretEdit::Remove)));
    }

    #[test]
    fn rows_of_variables_without_any_text_are_none() {
        let rows = sent(
            "variable.name=a&variable.value=1&variable.direction=inbound\
             &variable.name=&variable.value=&variable.direction=",
        );
        assert_eq!(
            rows.variables(),
            [SentVariable {
                name: "a".to_owned(),
                value: "1".to_owned(),
                direction: "inbound".to_owned()
            }]
        );
    }
}
