//! mod_xml_curl: asks for configurations over HTTP in curl's bytes, one connection a request, and hands the answer to
//! FreeSWITCH's preprocessor and parser (`mod_xml_curl.c`, `switch_xml_locate`).
//!
//! Deliberately absent: TLS, redirects and digest credentials.

use super::super::fs_xml::{self, Element};
use base64::Engine;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A `<binding>` of `xml_curl.conf.xml` with `bindings="configuration"`
#[derive(Debug, Clone)]
pub struct Binding {
    /// `http://host:port/path`
    pub url: String,
    /// `method`: anything but POST is GET
    pub get: bool,
    /// `gateway-credentials`, as `user:password`
    pub credentials: Option<String>,
    pub auth_scheme: AuthScheme,
    /// None waits without end (FACTS 4)
    pub timeout: Option<Duration>,
    /// `response-max-bytes`
    pub response_max_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthScheme {
    /// Credentials with the first request
    Basic,
    /// Credentials once a 401 has offered Basic (FACTS 10)
    Any,
}

impl Binding {
    pub fn new(url: impl Into<String>) -> Self {
        Binding {
            url: url.into(),
            get: false,
            credentials: None,
            auth_scheme: AuthScheme::Basic,
            timeout: None,
            response_max_bytes: 1024 * 1024,
        }
    }
}

/// A request as it left, and what became of it.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// The very bytes, of the last attempt if credentials were asked for
    pub bytes: Vec<u8>,
    /// `name=value` pairs of the body or the query, decoded, in order
    pub form: Vec<(String, String)>,
    /// None: no answer, see `error`
    pub status: Option<u16>,
    /// The answer's body
    pub body: Vec<u8>,
    pub took: Duration,
    pub used: Used,
    /// Why the answer was not used, in FreeSWITCH's words where it has any
    pub error: Option<String>,
    /// What the preprocessor did to the answer, its text left out
    pub preprocessed: Option<fs_xml::Preprocessed>,
}

/// Where the configuration came from in the end
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Used {
    Answer,
    Disk,
    Nothing,
}

impl HttpRequest {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.form
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// `key_value`: which configuration
    pub fn configuration(&self) -> &str {
        self.field("key_value").unwrap_or_default()
    }
}

/// Asks for a configuration. `params` are the request's pairs, encoded; the element is `<configuration>`.
pub async fn locate(
    binding: &Binding,
    params: &str,
    name: &str,
    globals: &BTreeMap<String, String>,
    disk: Option<&[u8]>,
) -> (Option<Element>, HttpRequest) {
    let started = Instant::now();
    let mut request = HttpRequest {
        bytes: Vec::new(),
        form: form_urlencoded::parse(params.as_bytes()).into_owned().collect(),
        status: None,
        body: Vec::new(),
        took: Duration::ZERO,
        used: Used::Nothing,
        error: None,
        preprocessed: None,
    };
    let answered = perform(binding, params, &mut request);
    let answered = match binding.timeout {
        Some(limit) => tokio::time::timeout(limit, answered)
            .await
            .unwrap_or_else(|_| Err("CURL returned error:[28] Timeout was reached".to_owned())),
        None => answered.await,
    };
    request.took = started.elapsed();
    let mut found = match answered.and_then(|()| read_answer(&mut request, name, globals)) {
        Ok(found) => Some(found),
        Err(error) => {
            request.error = Some(error);
            None
        }
    };
    if found.is_some() {
        request.used = Used::Answer;
    } else if let Some(disk) = disk {
        found = from_disk(disk, name, globals);
        request.used = if found.is_some() { Used::Disk } else { Used::Nothing };
    }
    (found, request)
}

/// The configuration of that name in a document on disk: a whole `<document>`, or the `<configuration>` alone.
pub fn from_disk(document: &[u8], name: &str, globals: &BTreeMap<String, String>) -> Option<Element> {
    let root = fs_xml::parse(&fs_xml::preprocess(document, globals).text).ok()?;
    if root.name == "configuration" {
        return root
            .attribute("name")
            .is_some_and(|found| found.eq_ignore_ascii_case(name))
            .then_some(root);
    }
    configuration(&root, name).cloned()
}

fn configuration<'a>(root: &'a Element, name: &str) -> Option<&'a Element> {
    root.child_where("section", "name", "configuration")?
        .child_where("configuration", "name", name)
}

fn read_answer(request: &mut HttpRequest, name: &str, globals: &BTreeMap<String, String>) -> Result<Element, String> {
    match request.status {
        Some(200) => {}
        status => {
            return Err(format!(
                "Received HTTP error {} trying to fetch",
                status.unwrap_or_default()
            ));
        }
    }
    let mut preprocessed = fs_xml::preprocess(&request.body, globals);
    let text = std::mem::take(&mut preprocessed.text);
    request.preprocessed = Some(preprocessed);
    if text.is_empty() {
        return Err("Error Parsing Result!".to_owned());
    }
    let root = fs_xml::parse(&text).map_err(|error| format!("Error[{error}]"))?;
    let not_found = root
        .child_where("section", "name", "result")
        .and_then(|section| section.child("result"))
        .and_then(|result| result.attribute("status"))
        .is_some_and(|status| status.eq_ignore_ascii_case("not found"));
    if not_found {
        return Err("not found".to_owned());
    }
    configuration(&root, name)
        .cloned()
        .ok_or_else(|| format!("no configuration {name} in the answer"))
}

async fn perform(binding: &Binding, params: &str, request: &mut HttpRequest) -> Result<(), String> {
    let with_credentials = binding.auth_scheme == AuthScheme::Basic;
    let offered_basic = exchange(binding, params, with_credentials, request).await?;
    if request.status == Some(401) && !with_credentials && binding.credentials.is_some() && offered_basic {
        exchange(binding, params, true, request).await?;
    }
    Ok(())
}

/// One connection, one request. True if the answer offers Basic.
async fn exchange(
    binding: &Binding,
    params: &str,
    with_credentials: bool,
    request: &mut HttpRequest,
) -> Result<bool, String> {
    let rest = binding
        .url
        .strip_prefix("http://")
        .ok_or("CURL returned error:[1] Unsupported protocol")?;
    let (host, path) = rest
        .split_once('/')
        .map_or((rest, String::from("/")), |(host, path)| (host, format!("/{path}")));
    let target = match (binding.get, path.contains('?')) {
        (true, true) => format!("{path}&{params}"),
        (true, false) => format!("{path}?{params}"),
        (false, _) => path,
    };
    let method = if binding.get { "GET" } else { "POST" };
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    if let Some(credentials) = binding.credentials.as_ref().filter(|_| with_credentials) {
        let encoded = base64::engine::general_purpose::STANDARD.encode(credentials);
        head += &format!("Authorization: Basic {encoded}\r\n");
    }
    head += "User-Agent: freeswitch-xml/1.0\r\nAccept: */*\r\n";
    if !binding.get {
        let length = params.len();
        head += &format!("Content-Length: {length}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
    }
    head += "\r\n";
    request.bytes = head.into_bytes();
    if !binding.get {
        request.bytes.extend_from_slice(params.as_bytes());
    }

    let address = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let mut stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("CURL returned error:[7] {error}"))?;
    stream
        .write_all(&request.bytes)
        .await
        .map_err(|error| format!("CURL returned error:[55] {error}"))?;

    let mut raw = Vec::new();
    let head_end = loop {
        if let Some(at) = raw.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&raw[..at]).into_owned();
            if head.split(' ').nth(1).is_some_and(|status| status.starts_with('1')) {
                raw.drain(..at + 4);
                continue;
            }
            break at;
        }
        if read_some(&mut stream, &mut raw).await? == 0 {
            return Err("CURL returned error:[52] Server returned nothing".to_owned());
        }
    };
    let head = String::from_utf8_lossy(&raw[..head_end]).into_owned();
    let mut body = raw.split_off(head_end + 4);
    request.status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
    };
    let chunked = header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let length: Option<usize> = header("content-length").and_then(|value| value.parse().ok());
    loop {
        if body.len() > binding.response_max_bytes {
            return Err(format!("Oversized file detected [{} bytes]", body.len()));
        }
        let complete = match (chunked, length) {
            (true, _) => unchunk(&body).is_some(),
            (false, Some(length)) => body.len() >= length,
            (false, None) => false,
        };
        if complete {
            break;
        }
        if read_some(&mut stream, &mut body).await? == 0 {
            if chunked || length.is_some() {
                return Err("CURL returned error:[18] Transferred a partial file".to_owned());
            }
            break;
        }
    }
    request.body = if chunked {
        unchunk(&body).unwrap_or_default()
    } else {
        body
    };
    Ok(header("www-authenticate").is_some_and(|value| value.to_ascii_lowercase().starts_with("basic")))
}

async fn read_some(stream: &mut TcpStream, into: &mut Vec<u8>) -> Result<usize, String> {
    into.reserve(64 * 1024);
    stream
        .read_buf(into)
        .await
        .map_err(|error| format!("CURL returned error:[56] {error}"))
}

/// The body in a chunked one; None while its last chunk isn't there.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = String::from_utf8_lossy(&rest[..line_end]).into_owned();
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).ok()?;
        let start = line_end + 2;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(start..start + size)?);
        rest = rest.get(start + size + 2..)?;
    }
}
