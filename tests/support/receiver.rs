//! A receiver of webhooks: keeps every post, and answers as a test tells it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::redis::Certificates;

/// Head of an answer, without the empty line.
pub const NO_CONTENT: &str = "204 No Content";

/// Ends when it is dropped.
pub struct Receiver {
    pub url: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

/// A post that arrived.
#[derive(Debug, Clone)]
pub struct Posted {
    pub at: Instant,
    /// In lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

type Answering = Box<dyn Fn(&Posted) -> String + Send>;

struct State {
    posts: Vec<Posted>,
    answer: Answering,
}

impl Posted {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    pub fn id(&self) -> String {
        self.headers["x-trunkd-delivery"].clone()
    }
}

impl Receiver {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// With the certificate for 127.0.0.1.
    pub async fn with_tls(certificates: &Certificates) -> Self {
        let cert = CertificateDer::from_pem_file(certificates.path("cert.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(certificates.path("key.pem")).expect("a key");
        let config = ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert], key)
            .expect("a pair");
        Self::start_with(Some(Arc::new(config).into())).await
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/hook", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State {
            posts: Vec::new(),
            answer: Box::new(|_| NO_CONTENT.to_owned()),
        }));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, state) = (tls.clone(), shared.clone());
                tokio::spawn(async move {
                    // A client may go away whenever it likes.
                    let _ = match tls {
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &state).await,
                            Err(error) => Err(error),
                        },
                        None => serve(stream, &state).await,
                    };
                });
            }
        });
        Self { url, state, task }
    }

    /// Answers every post from now on with this status and these headers.
    pub fn answer(&self, head: &str) {
        let head = head.to_owned();
        self.answer_by(move |_| head.clone());
    }

    pub fn answer_by(&self, answer: impl Fn(&Posted) -> String + Send + 'static) {
        self.state.lock().expect("no panic").answer = Box::new(answer);
    }

    pub fn posts(&self) -> Vec<Posted> {
        self.state.lock().expect("no panic").posts.clone()
    }

    /// The ids of the entries, in the order in which they arrived.
    pub fn ids(&self) -> Vec<String> {
        self.posts().iter().map(Posted::id).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, state: &Mutex<State>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) => {
                headers.insert(name.to_ascii_lowercase(), value.to_owned());
            }
            None if line.trim_end().is_empty() => break,
            None => assert_eq!(line, "POST /hook HTTP/1.1\r\n"),
        }
    }
    let length = headers["content-length"].parse().expect("a length");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let posted = Posted {
        at: Instant::now(),
        headers,
        body: String::from_utf8(body).expect("text"),
    };
    let head = {
        let mut state = state.lock().expect("no panic");
        let head = (state.answer)(&posted);
        state.posts.push(posted);
        head
    };
    let answer = format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
