//! Attacks by clients on the network: trunkd stays within its bounds, and a switch gets its answers
//! meanwhile.
//!
//! Runs the program itself. Strangers connect from 127.0.0.2, switches from 127.0.0.1.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::program::API_LISTEN;
use crate::program::{Serving, TEMPLATES};
use crate::support::app::{Other, eventually, http_builder};
use crate::support::redis::RedisServer;

const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const SWITCH: Ipv4Addr = Ipv4Addr::LOCALHOST;
const FORM: &str = "hostname=fs1&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf";
/// Memory that an attack may cost, in MiB. A connection takes some tens of KiB; without bounds the
/// same attacks would take gigabytes.
const MOST_MEMORY: u64 = 64;

struct Attacked {
    serving: Serving,
    address: SocketAddr,
    _redis: RedisServer,
    _folder: tempfile::TempDir,
}

impl Attacked {
    /// With these lines under `[http]`; other tables may follow.
    async fn start(http: &str) -> Self {
        let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
        let gateway = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;
        Other::new(&redis).await.set_gateway("default", "gw", gateway).await;
        let settings = format!("[redis]\nurl = \"{}\"\n[http]\n{http}\n", redis.url());
        std::fs::write(folder.path().join("trunkd.toml"), settings).unwrap();
        let serving = Serving::start(folder.path(), &["--templates", TEMPLATES]);
        let url = serving.url("").await;
        let attacked = Self {
            serving,
            address: url.strip_prefix("http://").unwrap().parse().unwrap(),
            _redis: redis,
            _folder: folder,
        };
        eventually("it serves", || attacked.ask(SWITCH), |answer| is_served(answer)).await;
        attacked
    }

    /// Sends what FreeSWITCH sends, from this address and with credentials if they are required. Empty
    /// without an answer.
    async fn ask(&self, from: Ipv4Addr) -> String {
        let request = format!(
            "POST /xml_curl HTTP/1.1\r\nHost: a\r\nAuthorization: Basic ZnMxOnBhc3N3b3Jk\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{FORM}",
            FORM.len()
        );
        self.exchange(from, request.as_bytes()).await
    }

    async fn get(&self, path: &str) -> String {
        self.exchange(SWITCH, format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .await
    }

    /// Waits a few times longer than FreeSWITCH does, for a busy machine.
    async fn exchange(&self, from: Ipv4Addr, request: &[u8]) -> String {
        let exchange = async {
            let mut connection = connect(self.address, from).await?;
            connection.write_all(request).await?;
            let mut answer = Vec::new();
            connection.read_to_end(&mut answer).await?;
            std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        let answer = tokio::time::timeout(Duration::from_secs(10), exchange).await;
        answer.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// The peak of its memory, in MiB.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.serving.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() / 1024
    }
}

fn is_served(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200 ")
        && answer.contains("<profile name=\"external\"")
        && answer.ends_with("</document>\n")
}

async fn connect(address: SocketAddr, from: Ipv4Addr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
    socket.connect(address).await
}

/// Connections that send the same request again and again, read nothing, and reconnect when cut.
struct Flood {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<u64>>,
}

impl Flood {
    fn start(address: SocketAddr, from: Ipv4Addr, connections: usize, request: &str) -> Self {
        const THREADS: usize = 2;
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..THREADS).map(|_| {
            let (stop, burst) = (stop.clone(), request.repeat(200).into_bytes());
            std::thread::spawn(move || {
                let mut open: Vec<Option<socket2::Socket>> = (0..connections / THREADS).map(|_| None).collect();
                let mut sent = 0;
                while !stop.load(Ordering::Relaxed) {
                    for slot in &mut open {
                        let Some(connection) = slot.take().or_else(|| flood_connect(address, from)) else {
                            continue;
                        };
                        match (&connection).write(&burst) {
                            Ok(written) => sent += written as u64,
                            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                            Err(_) => continue,
                        }
                        *slot = Some(connection);
                    }
                }
                sent
            })
        });
        let threads = threads.collect();
        Self { stop, threads }
    }

    /// Ends the attack, and returns how many bytes were sent.
    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    }
}

fn flood_connect(address: SocketAddr, from: Ipv4Addr) -> Option<socket2::Socket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).ok()?;
    socket.bind(&SocketAddr::new(IpAddr::V4(from), 0).into()).ok()?;
    socket.connect_timeout(&address.into(), Duration::from_secs(1)).ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(socket)
}

/// Answers that a switch must get during an attack.
const ANSWERS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_pipeline_from_a_refused_address_cost_no_memory_and_no_answer() {
    let attacked = Attacked::start("allow = [\"127.0.0.1/32\"]").await;
    let before = attacked.peak();
    let flood = Flood::start(
        attacked.address,
        STRANGER,
        300,
        "GET /health HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    for _ in 0..ANSWERS {
        let answer = attacked.ask(SWITCH).await;
        assert!(is_served(&answer), "{answer}");
    }
    assert!(flood.end() > 0);
    let cost = attacked.peak() - before;
    assert!(cost < MOST_MEMORY, "{cost} MiB");
    let log = attacked.serving.log();
    assert_eq!(log.matches("is in no network of http.allow").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_pipeline_without_credentials_cost_no_memory_and_no_answer() {
    let attacked = Attacked::start("credentials = [\"fs1:password\"]").await;
    let before = attacked.peak();
    for request in [
        "GET /xml_curl HTTP/1.1\r\nHost:a\r\n\r\n",
        "POST /xml_curl HTTP/1.1\r\nHost:a\r\nContent-Length: 1\r\n\r\nx",
        "GET / HTTP/1.1\r\nHost:a\r\n\r\n",
    ] {
        let flood = Flood::start(attacked.address, SWITCH, 300, request);
        for _ in 0..ANSWERS {
            let answer = attacked.ask(SWITCH).await;
            assert!(is_served(&answer), "{answer}");
        }
        assert!(flood.end() > 0);
    }
    let cost = attacked.peak() - before;
    assert!(cost < MOST_MEMORY, "{cost} MiB");
}

#[tokio::test]
async fn refused_requests_that_never_end_do_not_keep_their_connections() {
    let attacked = Attacked::start("credentials = [\"fs1:password\"]\nmax_connections = 32").await;
    let head = "POST /xml_curl HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let mut open = Vec::new();
    for unfinished in [
        format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"),
        format!("{head}Content-Length: 10000\r\n\r\nabcde"),
    ] {
        for _ in 0..32 {
            let mut connection = connect(attacked.address, STRANGER).await.unwrap();
            connection.write_all(unfinished.as_bytes()).await.unwrap();
            let mut answer = [0; 12];
            connection.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 401");
            open.push(connection);
        }
        // The clients keep their ends open, and still there is room.
        let answer = attacked.ask(STRANGER).await;
        assert!(is_served(&answer), "{answer}");
    }
}

#[tokio::test]
async fn when_the_server_is_full_switches_have_room_of_their_own_and_it_is_said_once() {
    let switch = "max_connections = 8\n[[switch]]\nname = \"fs1\"\naddress = \"127.0.0.1:1\"\npassword = \"ClueCon\"";
    let attacked = Attacked::start(switch).await;
    let silent = async |attacked: &Attacked| connect(attacked.address, STRANGER).await.unwrap();
    let mut open = Vec::new();
    for _ in 0..40 {
        open.push(silent(&attacked).await);
    }
    let health = eventually(
        "it is in /health",
        || attacked.get("/health"),
        |health| health.contains("\"name\":\"http\",\"state\":\"degraded\""),
    )
    .await;
    assert!(health.contains("http.max_connections"), "{health}");
    for _ in 0..ANSWERS {
        // Silent connections time out after a while; new ones keep the server full.
        open.push(silent(&attacked).await);
        let answer = attacked.ask(SWITCH).await;
        assert!(is_served(&answer), "{answer}");
    }
    let metrics = attacked.get("/metrics").await;
    assert!(metrics.contains("trunkd_http_connections "), "{metrics}");
    let log = attacked.serving.log();
    assert_eq!(log.matches("http.max_connections").count(), 1, "{log}");

    drop(open);
    eventually(
        "there is room again",
        || attacked.get("/health"),
        |health| health.contains("\"name\":\"http\",\"state\":\"ok\""),
    )
    .await;
    let answer = attacked.ask(STRANGER).await;
    assert!(is_served(&answer), "{answer}");
}

/// A TLS record that begins a handshake, with a server name that is not a valid one.
fn client_hello() -> Vec<u8> {
    let name = b"a..b\xff\x1b[31m";
    let mut extension = vec![
        0,
        0,
        0,
        (name.len() + 5) as u8,
        0,
        (name.len() + 3) as u8,
        0,
        0,
        name.len() as u8,
    ];
    extension.extend(name);
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x13, 0x01, 1, 0, 0, extension.len() as u8]);
    hello.extend(extension);
    let mut record = vec![22, 3, 1, 0, (hello.len() + 4) as u8, 1, 0, 0, hello.len() as u8];
    record.extend(hello);
    record
}

fn write_certificate(folder: &Path) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    format!("tls = {{ cert = {cert:?}, key = {key:?} }}\n")
}

#[tokio::test]
async fn what_is_no_request_makes_few_lines_in_the_log_and_none_of_its_own_words() {
    const TRIES: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    for tls in [String::new(), write_certificate(folder.path())] {
        let redis = RedisServer::start().await;
        let data = tempfile::tempdir().unwrap();
        let settings = format!("[redis]\nurl = \"{}\"\n[http]\n{tls}", redis.url());
        std::fs::write(data.path().join("trunkd.toml"), settings).unwrap();
        let serving = Serving::start(data.path(), &["--templates", TEMPLATES]);
        let url = serving.url("").await;
        let address: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        let before = serving.log().lines().count();
        let long = format!("GET /\x1b[31m{} HTTP/9.9\r\n\r\n", "a".repeat(3000));
        for record in [
            &client_hello()[..],
            b"\x16\x03\x01\xff\xff\0\0\0",
            long.as_bytes(),
            b"\0\0\0\0\r\n\r\n",
        ] {
            for _ in 0..TRIES {
                let mut connection = std::net::TcpStream::connect(address).unwrap();
                connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                connection.write_all(record).unwrap();
                let _ = connection.shutdown(std::net::Shutdown::Write);
                let _ = connection.read_to_end(&mut Vec::new());
            }
        }
        let log = serving.log();
        let lines: Vec<_> = log.lines().skip(before).collect();
        assert!(lines.len() < 10, "{} lines, such as {:#?}", lines.len(), &lines[..10]);
        for line in lines {
            assert!(line.len() < 1000 && !line.contains("31m"), "{line}");
        }
    }
}

#[tokio::test]
async fn sighup_reads_tls_files_again_and_refuses_a_broken_one() {
    for (section, address, path) in [("http", "address", "/health/live"), ("api", "api", "/api/openapi.json")] {
        let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
        let tls = write_certificate(folder.path());
        let settings = format!("[redis]\nurl = \"{}\"\n[{section}]\n{tls}", redis.url());
        std::fs::write(folder.path().join("trunkd.toml"), settings).unwrap();
        let serving = Serving::start(folder.path(), &["--templates", TEMPLATES]);
        let line = serving.wait_for("\"serving\"").await;
        let address: SocketAddr = line[address].as_str().unwrap().parse().unwrap();
        let url = format!("https://localhost:{}{path}", address.port());
        let trusts = |pem: Vec<u8>| {
            let client = http_builder()
                .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
                .build()
                .unwrap();
            let url = url.clone();
            async move { client.get(url).send().await.is_ok_and(|answer| answer.status() == 200) }
        };
        let first = std::fs::read(folder.path().join("cert.pem")).unwrap();
        assert!(trusts(first.clone()).await, "{section}");

        write_certificate(folder.path());
        let second = std::fs::read(folder.path().join("cert.pem")).unwrap();
        serving.signal(Signal::SIGHUP);
        serving.wait_for("TLS files reloaded").await;
        assert!(trusts(second.clone()).await && !trusts(first).await, "{section}");
        std::fs::write(folder.path().join("key.pem"), "broken").unwrap();
        serving.signal(Signal::SIGHUP);
        serving.wait_for(&format!("{section}.tls.key: ")).await;
        assert!(trusts(second).await, "{section}");
    }
}

/// An authority for clients and a client's identity, as PEM.
fn authority_and_client() -> (String, String) {
    let [authority_key, key] = [(); 2].map(|()| rcgen::KeyPair::generate().unwrap());
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let client = rcgen::CertificateParams::new(vec!["client".to_owned()]).unwrap();
    let issuer = rcgen::Issuer::from_params(&authority, &authority_key);
    let client = client.signed_by(&key, &issuer).unwrap().pem() + &key.serialize_pem();
    (authority.self_signed(&authority_key).unwrap().pem(), client)
}

#[tokio::test]
async fn the_api_asks_clients_for_certificates_of_the_authority_that_was_read_last() {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    let ca = folder.path().join("ca.pem");
    let [(first_ca, first), (second_ca, second)] = [(); 2].map(|()| authority_and_client());
    std::fs::write(&ca, first_ca).unwrap();
    let tls = write_certificate(folder.path()).replace(" }", &format!(", client_ca = {ca:?} }}"));
    let settings = format!("[redis]\nurl = \"{}\"\n[api]\n{tls}", redis.url());
    std::fs::write(folder.path().join("trunkd.toml"), settings).unwrap();
    let serving = Serving::start(folder.path(), &["--templates", TEMPLATES]);
    let line = serving.wait_for("\"serving\"").await;
    let address: SocketAddr = line["api"].as_str().unwrap().parse().unwrap();
    let server = reqwest::Certificate::from_pem(&std::fs::read(folder.path().join("cert.pem")).unwrap()).unwrap();
    let gets_in = async |identity: Option<&String>| {
        let client = http_builder().tls_certs_only([server.clone()]);
        let client = match identity {
            Some(pem) => client.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap()),
            None => client,
        };
        let url = format!("https://localhost:{}/api/openapi.json", address.port());
        let answer = client.build().unwrap().get(url).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    };
    assert!(gets_in(Some(&first)).await && !gets_in(Some(&second)).await && !gets_in(None).await);

    std::fs::write(&ca, second_ca).unwrap();
    serving.signal(Signal::SIGHUP);
    serving.wait_for("TLS files reloaded").await;
    assert!(!gets_in(Some(&first)).await && gets_in(Some(&second)).await && !gets_in(None).await);
}

#[tokio::test]
async fn a_log_that_nobody_reads_keeps_no_switch_from_its_answer() {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let settings = format!(
        "[redis]\nurl = \"{}\"\n[http]\nlisten = \"127.0.0.1:{port}\"\n",
        redis.url()
    );
    std::fs::write(folder.path().join("trunkd.toml"), settings).unwrap();
    // Its standard error is a pipe that stays full.
    let mut serving = tokio::process::Command::new(env!("CARGO_BIN_EXE_trunkd"))
        .current_dir(folder.path())
        .args(["serve", "--templates", TEMPLATES])
        .env(API_LISTEN.0, API_LISTEN.1)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let client = http_builder().timeout(Duration::from_secs(10)).build().unwrap();
    let ask = || async {
        let url = format!("http://127.0.0.1:{port}/xml_curl?{FORM}");
        client.get(url).send().await.is_ok_and(|answer| answer.status() == 200)
    };
    eventually("it serves", ask, |is_served| *is_served).await;
    for asked in 0..1000 {
        assert!(ask().await, "after {asked} answers");
    }
    kill(Pid::from_raw(serving.id().unwrap().cast_signed()), Signal::SIGTERM).unwrap();
    let ended = || std::future::ready(serving.try_wait().unwrap());
    let status = eventually("it stops", ended, Option::is_some).await;
    assert!(status.unwrap().success());
}
