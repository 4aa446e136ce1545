//! Addresses of pages.

use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A path of trunkd's own. Anything else, such as another site, becomes the first page.
pub(super) fn local_path(path: &str) -> &str {
    let is_local = path.starts_with('/') && !path[1..].starts_with(['/', '\\']) && !path.contains(char::is_control);
    if is_local { path } else { "/" }
}

/// A part of a path.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The page of a gateway.
pub(super) fn gateway_url(domain: &str, name: &str) -> String {
    format!("/domains/{}/gateways/{}", encoded(domain), encoded(name))
}

/// The list of gateways with one filter, or several.
pub(super) fn gateways_url(filters: &[(&str, &str)]) -> String {
    with_query("/gateways", filters)
}

/// A page with a query of the values that are not empty.
pub(super) fn with_query(path: &str, values: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(values.iter().filter(|(_, value)| !value.is_empty()));
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// Sends the browser on to another page.
pub(super) fn see_other(url: impl AsRef<str>) -> HttpResponseBuilder {
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, url.as_ref()));
    response
}

#[cfg(test)]
mod tests {
    use super::local_path;

    #[test]
    fn nobody_is_sent_to_another_site() {
        for path in ["/", "/gateways?q=a%20b", "/domains/a/gateways/b"] {
            assert_eq!(local_path(path), path);
        }
        for path in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "gateways",
            "/\r\nx",
        ] {
            assert_eq!(local_path(path), "/", "{path:?}");
        }
    }
}
