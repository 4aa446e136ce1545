//! Redis URLs for logs and errors.

/// Replaces the password before the last `@`, and any `pass…=` in a query. If in doubt, replaces more.
pub(super) fn without_password(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((userinfo, rest)) => match userinfo.split_once(':') {
            Some((user, _)) => (format!("{user}:***@"), rest),
            None => ("***@".to_owned(), rest),
        },
        None => (String::new(), rest),
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => {
            let pairs: Vec<String> = query
                .split('&')
                .map(|pair| match pair.split_once('=') {
                    Some((name, _)) if name.to_ascii_lowercase().contains("pass") => format!("{name}=***"),
                    _ => pair.to_owned(),
                })
                .collect();
            (path, format!("?{}", pairs.join("&")))
        }
        None => (rest, String::new()),
    };
    format!("{scheme}{user}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_never_holds_the_password() {
        for (url, shown) in [
            ("redis://10.0.0.1:6379/0", "redis://10.0.0.1:6379/0"),
            ("redis://:s3cret@10.0.0.1", "redis://:***@10.0.0.1"),
            (
                "rediss://trunkd:s3cret@redis.example.net:6380/1",
                "rediss://trunkd:***@redis.example.net:6380/1",
            ),
            ("redis://trunkd:s3c@ret/x@redis:6379", "redis://trunkd:***@redis:6379"),
            ("redis://trunkd:s3cret?x@redis:6379", "redis://trunkd:***@redis:6379"),
            ("redis://s3cret@redis", "redis://***@redis"),
            ("trunkd:s3cret@redis", "trunkd:***@redis"),
            (
                "redis+unix:///run/redis.sock?db=1&pass=s3cret",
                "redis+unix:///run/redis.sock?db=1&pass=***",
            ),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
