//! `trunkd health` asks the service that runs with the same settings.

use std::process::Output;

use super::program::{text, trunkd};
use crate::support::app::{TestApp, eventually};
use crate::support::redis::{Certificates, RedisServer};

/// Asks with settings of its own, as a container's health check does.
async fn ask(toml: &str, listen: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let settings = format!("[redis]\nurl = \"redis://127.0.0.1:1\"\n{toml}");
    std::fs::write(folder.path().join("trunkd.toml"), settings).unwrap();
    let listen = listen.to_owned();
    let run = move || trunkd(folder.path(), &["health", "--listen", &listen]);
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The status, and the only line.
fn line(output: &Output) -> (Option<i32>, String) {
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    (output.status.code(), said.trim_end().to_owned())
}

#[tokio::test]
async fn a_trunkd_that_serves_is_healthy() {
    let redis = RedisServer::start().await;
    let app = TestApp::start(&redis, "").await;
    // The gateways may not be read yet.
    let look = async || line(&ask("", &app.address.to_string()).await);
    let (_, said) = eventually("it is healthy", look, |(status, _)| *status == Some(0)).await;
    assert_eq!(said, concat!("trunkd ", env!("CARGO_PKG_VERSION"), ": serving"));
}

#[tokio::test]
async fn a_trunkd_with_nothing_to_serve_is_not_healthy_and_says_why() {
    let app = TestApp::start("url = \"redis://127.0.0.1:1\"\n", "").await;
    let (status, said) = line(&ask("", &app.address.to_string()).await);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains(": not serving, degraded: redis ("), "{said}");
}

#[tokio::test]
async fn a_certificate_is_shown_to_a_listener_that_wants_one() {
    let (redis, certificates) = (RedisServer::start().await, Certificates::new());
    let path = |name| certificates.path(name);
    let toml = format!(
        "[http.tls]\ncert = {:?}\nkey = {:?}\nclient_ca = {:?}\n",
        path("cert.pem"),
        path("key.pem"),
        path("ca.pem")
    );
    let app = TestApp::start(&redis, &toml).await;
    let (status, said) = line(&ask(&toml, &app.address.to_string()).await);
    assert_eq!(status, Some(0), "{said}");
    // Without TLS in its settings it is refused.
    let (status, said) = line(&ask("", &app.address.to_string()).await);
    assert_eq!(status, Some(1), "{said}");
}

#[tokio::test]
async fn why_there_is_no_answer_is_said_in_one_line() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (_, said) = line(&ask("", &nobody.to_string()).await);
    let expected = format!("trunkd: no answer from http://{nobody}/health: ");
    assert!(said.starts_with(&expected) && said.contains("refused"), "{said}");

    let closed = "[http]\nallow = [\"192.0.2.0/24\"]\n";
    let (_, said) = line(&ask(closed, "127.0.0.1:8080").await);
    assert_eq!(
        said,
        "trunkd: http.allow doesn't let this machine ask at 127.0.0.1:8080: add 127.0.0.1 to it"
    );

    let (status, said) = line(&ask("", "127.0.0.1:0").await);
    assert_eq!(status, Some(1));
    assert!(said.contains("give it with --listen"), "{said}");
}
