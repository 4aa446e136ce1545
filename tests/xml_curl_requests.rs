//! The HTTP side over real sockets on loopback, against a source that is held in memory:
//! FreeSWITCH's own requests, and everything that is not one.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trunkd::gateway::RevisionKey;
use trunkd::gateway::{Desired, ProfileName, RawDomain};
use trunkd::health::{Health, Part, State};
use trunkd::http::{self, MetricsPages, ReadGateways, SwitchAddresses, Tls};
use trunkd::metrics::{self, GatewaySample};
use trunkd::settings::{Credential, HttpSettings, TlsSettings};
use trunkd::sofia_conf::{GatewayQuery, NOT_FOUND, Query, Templates};
use trunkd::xml_curl::{ConfigSource, CurrentConfig, DocumentCache, Request, Unavailable};

/// How long a document may take to be written before an older one is served.
const LIMIT: Duration = Duration::from_secs(10);
const SOFIA_CONF: &str = "hostname=vm&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf";

// ---- FreeSWITCH's own requests

#[tokio::test]
async fn every_recorded_request_for_sofia_conf_gets_its_document() {
    let site = TestSite::start(|_| {}).await;
    for (recording, profile, gateway) in [
        ("get-basic-auth", None, GatewayQuery::None),
        ("startup-all-profiles", None, GatewayQuery::None),
        ("startup-one-profile", Some("external"), GatewayQuery::None),
        ("rescan", Some("external"), GatewayQuery::None),
        ("startgw", Some("external"), GatewayQuery::One("gw_ok")),
        ("startgw-all", Some("external"), GatewayQuery::All),
    ] {
        let response = site.exchange(&recorded(recording)).await;
        assert_eq!(response.status, 200, "{recording}");
        assert_eq!(
            response.header("content-type"),
            Some("text/xml; charset=utf-8"),
            "{recording}"
        );
        let query = Query {
            profile,
            gateway,
            node: Some("vm"),
        };
        assert_eq!(response.body, site.source.document(&query), "{recording}");
    }
    assert_eq!(site.source.asked(), 6);
}

#[tokio::test]
async fn each_document_has_what_its_request_needs_and_no_more() {
    let site = TestSite::start(|_| {}).await;
    let all = site.exchange(&recorded("startup-all-profiles")).await.body;
    for part in ["<profile name=\"external\"", "<profile name=\"internal\"", "<settings>"] {
        assert!(all.contains(part), "{part} in\n{all}");
    }
    assert!(!all.contains("<gateway "), "{all}");
    let external = site.exchange(&recorded("startup-one-profile")).await.body;
    for part in ["<settings>", "name=\"gw_ok\"", "name=\"gw_two\""] {
        assert!(external.contains(part), "{part} in\n{external}");
    }
    let rescan = site.exchange(&recorded("rescan")).await.body;
    for part in ["<settings>", "name=\"gw_ok\"", "name=\"gw_two\""] {
        assert!(rescan.contains(part), "{part} in\n{rescan}");
    }
    assert!(
        !rescan.contains("name=\"internal\"") && !rescan.contains("name=\"inside\""),
        "{rescan}"
    );
    let startgw = site.exchange(&recorded("startgw")).await.body;
    assert!(
        startgw.contains("name=\"gw_ok\"") && !startgw.contains("name=\"gw_two\""),
        "{startgw}"
    );
    assert!(!startgw.contains("<settings>"), "{startgw}");
    let startgw_all = site.exchange(&recorded("startgw-all")).await.body;
    assert!(
        startgw_all.contains("name=\"gw_ok\"") && startgw_all.contains("name=\"gw_two\""),
        "{startgw_all}"
    );
}

#[tokio::test]
async fn every_other_configuration_and_section_is_not_found_without_asking_the_source() {
    let site = TestSite::start(|_| {}).await;
    let mut requests = vec![recorded("startup-acl"), recorded("startup-other-conf")];
    for form in [
        "hostname=vm&section=directory&tag_name=domain&key_name=name&key_value=example.net&purpose=gateways&profile=external",
        "hostname=vm&section=dialplan&tag_name=&key_name=&key_value=&Caller-Context=%zz",
        "hostname=vm&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf.xml",
        "section=configuration",
    ] {
        requests.push(post(form.as_bytes()));
        requests.push(get(form, ""));
    }
    for request in requests {
        let response = site.exchange(&request).await;
        assert_eq!(
            (response.status, response.body.as_str()),
            (200, NOT_FOUND),
            "{}",
            request.escape_ascii()
        );
        assert_eq!(response.header("content-type"), Some("text/xml; charset=utf-8"));
    }
    assert_eq!(site.source.asked(), 0);
}

#[tokio::test]
async fn a_form_without_the_fields_of_mod_xml_curl_is_not_found_and_the_log_names_them() {
    let site = TestSite::start(|_| {}).await;
    for (form, lacks) in [
        (
            "hostname=five%1b&section=configuration&key_value=sofia.conf",
            "lacks tag_name, key_name;",
        ),
        (
            "section=configuration&tag_name=configuration&key_name=name",
            "lacks hostname, key_value;",
        ),
    ] {
        let response = site.exchange(&post(form.as_bytes())).await;
        assert_eq!((response.status, response.body.as_str()), (200, NOT_FOUND), "{form}");
        until(lacks, || {
            logged()
                .lines()
                .any(|line| line.contains("not found") && line.contains(lacks))
        })
        .await;
    }
    let line = logged()
        .lines()
        .find(|line| line.contains("tag_name, key_name;"))
        .unwrap()
        .to_owned();
    assert!(line.contains("five\\u{1b}"), "{line}");
    // Other configurations and sections are not logged.
    for form in [
        "hostname=quiet&section=dialplan",
        "hostname=quiet&section=configuration&key_value=acl.conf",
    ] {
        assert_eq!(site.exchange(&post(form.as_bytes())).await.body, NOT_FOUND);
    }
    assert!(!logged().contains("hostname=quiet"), "{}", logged());
}

#[tokio::test]
async fn an_unknown_profile_is_not_found_and_a_known_one_is_found_in_any_case() {
    let site = TestSite::start(|_| {}).await;
    for profile in ["nope", "external%20", "../external", "external%00"] {
        let response = site
            .exchange(&post(format!("{SOFIA_CONF}&profile={profile}").as_bytes()))
            .await;
        assert_eq!((response.status, response.body.as_str()), (200, NOT_FOUND), "{profile}");
    }
    let response = site
        .exchange(&post(format!("{SOFIA_CONF}&profile=EXTERNAL").as_bytes()))
        .await;
    assert!(
        response.body.contains("<profile name=\"external\""),
        "{}",
        response.body
    );
}

#[tokio::test]
async fn a_gateway_that_is_not_there_gets_its_profile_without_gateways() {
    let site = TestSite::start(|_| {}).await;
    for gateway in ["nope", "inside", "", "_ALL_", "a%20b", "%3C", "%00"] {
        let form = format!("{SOFIA_CONF}&profile=external&reconfig=true&gateway={gateway}");
        let response = site.exchange(&post(form.as_bytes())).await;
        assert_eq!(response.status, 200, "{gateway}");
        assert!(
            response.body.contains("<profile name=\"external\""),
            "{gateway}: {}",
            response.body
        );
        assert!(!response.body.contains("<gateway "), "{gateway}: {}", response.body);
    }
}

#[tokio::test]
async fn a_switch_gets_only_the_gateways_that_are_meant_for_it() {
    let site = TestSite::start(|_| {}).await;
    for (node, meant) in [("fs-two", true), ("vm", false), ("", false)] {
        let form = SOFIA_CONF.replace("hostname=vm", &format!("hostname={node}")) + "&profile=external&gateway=_all_";
        let response = site.exchange(&post(form.as_bytes())).await;
        assert_eq!(
            response.body.contains("name=\"gw_only_two\""),
            meant,
            "{node}: {}",
            response.body
        );
        assert!(response.body.contains("name=\"gw_ok\""), "{node}");
    }
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it() {
    let site = TestSite::start(|_| {}).await;
    let body = format!("{SOFIA_CONF}&profile=external");
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    let head = head(
        "POST /xml_curl",
        &format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len()),
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 12];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100");
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("<profile name=\"external\""));
}

// ---- Requests that are not FreeSWITCH's

#[tokio::test]
async fn a_form_that_cannot_be_read_is_refused_with_a_reason() {
    let site = TestSite::start(|_| {}).await;
    let form = |rest: &str| post(format!("{SOFIA_CONF}{rest}").as_bytes());
    let json = raw("POST /xml_curl", "Content-Type: application/json\r\n", b"{}");
    for (request, reason) in [
        (form("&profile=%"), "`profile` has a '%'"),
        (form("&profile=external&gateway=%g0"), "`gateway` has a '%'"),
        (form("&profile=%FF"), "`profile` is not UTF-8"),
        (
            post(&[SOFIA_CONF.as_bytes(), b"&gateway=\xff"].concat()),
            "`gateway` is not UTF-8",
        ),
        (get(&format!("{SOFIA_CONF}&profile=%"), ""), "`profile` has a '%'"),
        (post(b""), "no `section`"),
        (post(b"\x00\xff\xfe"), "no `section`"),
        (post(b"{\"section\":\"configuration\"}"), "no `section`"),
        (get("", ""), "no `section`"),
        (json, "Content-Type is \"application/json\""),
    ] {
        let response = site.exchange(&request).await;
        assert_eq!(response.status, 400, "{reason}");
        assert_eq!(
            response.header("content-type"),
            Some("text/plain; charset=utf-8"),
            "{reason}"
        );
        assert!(response.body.contains(reason), "{}\nlacks: {reason}", response.body);
    }
    assert_eq!(site.source.asked(), 0);
}

#[tokio::test]
async fn the_query_of_a_post_is_ignored() {
    let site = TestSite::start(|_| {}).await;
    let request = raw(
        "POST /xml_curl?section=directory&profile=internal",
        FORM,
        format!("{SOFIA_CONF}&profile=external").as_bytes(),
    );
    assert!(
        site.exchange(&request)
            .await
            .body
            .contains("<profile name=\"external\"")
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let site = TestSite::start(|settings| settings.max_body = 1024).await;
    let form = |length: usize| {
        format!(
            "{SOFIA_CONF}&profile=external&x={:z<1$}",
            "",
            length - SOFIA_CONF.len() - 20
        )
    };
    assert_eq!(form(1024).len(), 1024);
    assert_eq!(site.exchange(&post(form(1024).as_bytes())).await.status, 200);
    let response = site.exchange(&post(form(1025).as_bytes())).await;
    assert_eq!(response.status, 413);
    assert!(
        response.body.contains("http.max_body allows, 1024 bytes"),
        "{}",
        response.body
    );
    // Without a Content-Length the body itself must be stopped.
    let chunk = format!("{:x}\r\n{}\r\n0\r\n\r\n", 2000, "z".repeat(2000));
    let request = head("POST /xml_curl", &format!("{FORM}Transfer-Encoding: chunked\r\n")) + &chunk;
    assert_eq!(site.exchange(request.as_bytes()).await.status, 413);
}

#[tokio::test]
async fn other_methods_get_a_405_with_the_allowed_ones() {
    let site = TestSite::start(|_| {}).await;
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY"] {
        let response = site
            .exchange(&raw(&format!("{method} /xml_curl"), FORM, SOFIA_CONF.as_bytes()))
            .await;
        assert_eq!(response.status, 405, "{method}");
        assert_eq!(response.header("allow"), Some("GET, HEAD, POST"), "{method}");
    }
    for path in ["/health", "/health/live", "/metrics"] {
        let response = site.exchange(&raw(&format!("POST {path}"), FORM, b"")).await;
        assert_eq!(response.status, 405, "{path}");
        assert!(
            response.header("allow").is_some_and(|allow| allow.contains("GET")),
            "{path}"
        );
    }
    assert_eq!(site.source.asked(), 0);
}

#[tokio::test]
async fn a_head_request_is_a_get_without_its_body() {
    let site = TestSite::start(|_| {}).await;
    let query = format!("{SOFIA_CONF}&profile=external");
    let whole = site.exchange(&get(&query, "")).await;
    let head = site.exchange(&raw(&format!("HEAD /xml_curl?{query}"), "", b"")).await;
    assert_eq!(head.status, 200);
    assert_eq!(head.body, "");
    assert_eq!(
        head.header("content-length"),
        Some(whole.body.len().to_string().as_str())
    );
}

#[tokio::test]
async fn an_unknown_path_is_a_404_that_names_the_known_ones() {
    let site = TestSite::start(|_| {}).await;
    let response = site.exchange(&raw("POST /xml", FORM, SOFIA_CONF.as_bytes())).await;
    assert_eq!(response.status, 404);
    assert!(response.body.contains("/xml_curl"), "{}", response.body);
}

#[test]
fn no_body_does_anything_but_succeed_or_be_refused() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let site = runtime.block_on(TestSite::start(|settings| settings.max_body = 2048));
    let recording = recorded("startgw");
    let body = recording[recording.len() - 566..].to_vec();
    let damaged = (any::<Vec<(prop::sample::Index, u8)>>()).prop_map(move |changes| {
        let mut body = body.clone();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        body
    });
    let word = prop_oneof![
        Just("section".to_owned()),
        Just("configuration".to_owned()),
        Just("sofia.conf".to_owned()),
        Just("profile".to_owned()),
        Just("gateway".to_owned()),
        Just(SOFIA_CONF.to_owned()),
        "[=&%]{1,3}",
        "\\PC{0,8}",
    ];
    let words = prop::collection::vec(word, 0..24).prop_map(|words| words.concat().into_bytes());
    let anything = prop::collection::vec(any::<u8>(), 0..4096);
    let bodies = prop_oneof![damaged, words, anything];

    let mut runner = TestRunner::new(Config {
        cases: 512,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&bodies, |body| {
            let response = runtime.block_on(site.exchange(&post(&body)));
            prop_assert!([200, 400, 413].contains(&response.status), "{}", response.status);
            prop_assert_eq!(response.status == 413, body.len() > 2048);
            Ok(())
        })
        .unwrap();
    let mut runner = TestRunner::new(Config {
        cases: 4096,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&(bodies, any::<Option<Vec<u8>>>()), |(body, content_type)| {
            // Only whether it returns at all matters here.
            let _ = Request::from_body(content_type.as_deref(), &body);
            let _ = Request::from_query(&body);
            Ok(())
        })
        .unwrap();
}

// ---- Redis away, bugs, slow clients

#[tokio::test]
async fn without_a_good_state_the_answer_is_a_503_with_the_reason() {
    let site = TestSite::start(|_| {}).await;
    site.source.unavailable("Redis at 127.0.0.1:1 refuses connections");
    let response = site.exchange(&recorded("rescan")).await;
    assert_eq!(response.status, 503);
    assert_eq!(response.body, "Redis at 127.0.0.1:1 refuses connections\n");
    assert_eq!(site.exchange(&recorded("startup-acl")).await.status, 200);
}

#[tokio::test]
async fn a_panic_is_one_failed_request_and_the_next_is_served() {
    let site = TestSite::start(|settings| settings.workers = 1).await;
    for _ in 0..3 {
        site.source.panics.store(true, Ordering::SeqCst);
        let response = site.exchange(&recorded("rescan")).await;
        assert_eq!(response.status, 500);
        assert!(!response.body.contains("as told"), "{}", response.body);
        assert_eq!(site.exchange(&recorded("rescan")).await.status, 200);
    }
    let metrics = site.metrics().await;
    let failed = "trunkd_xml_curl_requests_total{kind=\"rescan\",outcome=\"failed\"}";
    assert!(metrics.sample(failed) >= 3.0, "{metrics:?}");
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_request_is_cut_off() {
    let site = TestSite::start(|settings| settings.request_timeout = Duration::from_millis(200)).await;
    let unfinished = [
        "POST /xml_curl HTTP/1.1\r\nHost: ".to_owned(),
        head("POST /xml_curl", &format!("{FORM}Content-Length: 100\r\n")) + "hostname=vm&",
        head("POST /xml_curl", &format!("{FORM}Transfer-Encoding: chunked\r\n")) + "5\r\nhost",
    ];
    for request in unfinished {
        // `exchange` returns when the server has closed.
        let response = site.exchange(request.as_bytes()).await;
        assert_eq!(response.status, 408, "{request}");
    }
}

#[tokio::test]
async fn a_client_that_sends_a_byte_now_and_then_is_cut_off() {
    let site = TestSite::start(|settings| settings.request_timeout = Duration::from_millis(200)).await;
    let mut connection = TcpStream::connect(site.address).await.unwrap();
    let mut slow = recorded("rescan").into_iter().cycle();
    until_async("the server has closed", async || {
        let _ = connection.write_all(&[slow.next().unwrap()]).await;
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_millis(20), connection.read(&mut byte));
        matches!(read.await, Ok(Ok(0) | Err(_)))
    })
    .await;
}

#[tokio::test]
async fn a_client_that_takes_a_byte_now_and_then_is_cut_off() {
    let site = TestSite::start(|settings| settings.request_timeout = Duration::from_millis(40)).await;
    site.source.grow(30_000);
    let mut connection = TcpStream::connect(site.address).await.unwrap();
    connection.write_all(&recorded("rescan")).await.unwrap();
    until_async("the server has closed", async || {
        let mut byte = [0];
        let end = !matches!(connection.read(&mut byte).await, Ok(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
        // The buffers of the sockets hold far less than the whole.
        end || connection.write(b" ").await.is_err()
    })
    .await;
}

#[tokio::test]
async fn a_client_that_closes_its_side_gets_its_answer_if_it_has_asked_and_is_dropped_if_not() {
    let site = TestSite::start(|_| {}).await;
    for (request, answered) in [
        (&recorded("rescan")[..], true),
        (b"POST /xml_curl HTTP/1.1\r\nHost: ", false),
        (
            head("POST /xml_curl", &format!("{FORM}Content-Length: 100\r\n")).as_bytes(),
            false,
        ),
    ] {
        let mut connection = TcpStream::connect(site.address).await.unwrap();
        connection.write_all(request).await.unwrap();
        connection.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer).await;
        assert_eq!(
            answer.ends_with(b"</document>\n"),
            answered,
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
}

#[tokio::test]
async fn a_second_request_cannot_keep_its_connection_open() {
    let site = TestSite::start(|_| {}).await;
    let unfinished = b"POST /xml_curl HTTP/1.1\r\nHost: ";
    let response = site
        .exchange(&[&post(SOFIA_CONF.as_bytes())[..], unfinished].concat())
        .await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("connection"), Some("close"));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_takes_none_of_its_answer_is_cut_off() {
    let site = TestSite::start(|settings| settings.request_timeout = Duration::from_millis(200)).await;
    site.source.grow(30_000);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&site.address.into()).unwrap();
    (&socket).write_all(&recorded("rescan")).unwrap();
    // The kernel drops the connection silently; the client notices when it sends again.
    until("the server's end is gone", || (&socket).write(b" ").is_err()).await;
}

#[tokio::test]
async fn a_stop_waits_for_a_request_in_progress() {
    let site = TestSite::start(|_| {}).await;
    site.source.hold.store(true, Ordering::SeqCst);
    let (address, request) = (site.address, recorded("rescan"));
    let answer = tokio::spawn(async move { exchange(address, &request).await });
    until("the source is asked", || site.source.asked() == 1).await;
    site.stop.cancel();
    until("no new connection is taken", || {
        std::net::TcpStream::connect(address).is_err()
    })
    .await;
    site.source.released.add_permits(1);
    assert_eq!(answer.await.unwrap().status, 200);
    site.server.await.unwrap().unwrap();
}

// ---- Large answers, many of them, and slow clients

#[tokio::test]
async fn a_client_that_reads_slowly_gets_every_byte() {
    let site = TestSite::start(|_| {}).await;
    let document = site.grown(20_000);
    let mut connection = site.slow_client(32 * 1024);
    connection.write_all(&recorded("rescan")).await.unwrap();
    let (began, mut answer, mut piece) = (Instant::now(), Vec::new(), vec![0; 64 * 1024]);
    loop {
        match connection.read(&mut piece).await.unwrap() {
            0 => break,
            read => answer.extend_from_slice(&piece[..read]),
        }
        // Longer than a connection may take to close.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() > Duration::from_secs(1), "{:?}", began.elapsed());
    assert_is_answer(&answer, &document);
}

#[tokio::test]
async fn a_large_answer_arrives_complete_over_tls() {
    let authority = Authority::new();
    let site = TestSite::start(|settings| settings.tls = Some(authority.server_files(false))).await;
    let document = site.grown(20_000);
    let url = format!(
        "https://localhost:{}/xml_curl?{SOFIA_CONF}&profile=external",
        site.address.port()
    );
    let response = authority.client(None).get(&url).send().await.unwrap();
    assert!(response.text().await.unwrap() == document);
}

#[tokio::test]
async fn more_clients_than_there_may_be_connections_all_get_whole_answers() {
    const CLIENTS: usize = 40;
    let site = TestSite::start(|settings| (settings.workers, settings.max_connections) = (2, 4)).await;
    let document = site.grown(2_000);
    site.source.hold.store(true, Ordering::SeqCst);
    let (address, request) = (site.address, recorded("rescan"));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let request = request.clone();
            tokio::spawn(async move { exchange(address, &request).await })
        })
        .collect();
    until("as many are let in as may be", || site.source.asked() == 4).await;
    site.source.released.add_permits(CLIENTS);
    for client in clients {
        let response = client.await.unwrap();
        assert_eq!(response.status, 200);
        assert!(response.body == document);
    }
    assert_eq!(site.source.most_at_once.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn of_requests_that_came_together_the_first_alone_is_answered_and_it_whole() {
    let site = TestSite::start(|settings| settings.credentials = vec![pair("fs1", "s3cret")]).await;
    let document = site.grown(20_000);
    let authorized = get(&format!("{SOFIA_CONF}&profile=external"), &basic("fs1:s3cret"));
    for behind in [
        recorded("startup-acl"),
        get("", ""),
        raw("GET /health", "", b""),
        b"no request at all\r\n\r\n".to_vec(),
        recorded("startup-acl").repeat(50),
    ] {
        let asked = site.source.asked();
        let mut connection = site.slow_client(4096);
        let together = [&authorized[..], &behind].concat();
        let (mut reading, mut writing) = connection.split();
        let mut answer = Vec::new();
        let (_, read) = tokio::join!(writing.write_all(&together), reading.read_to_end(&mut answer));
        read.unwrap();
        assert_is_answer(&answer, &document);
        assert_eq!(site.source.asked(), asked + 1);
    }
    // A refusal is an answer too.
    for first in [
        get("", ""),
        post(b""),
        raw("PUT /xml_curl", FORM, b"x"),
        raw("GET /nowhere", "", b""),
    ] {
        let response = site.exchange(&[&first[..], &authorized].concat()).await;
        assert_eq!(response.raw.matches("HTTP/1.1 ").count(), 1, "{}", response.raw);
        assert!([401, 404].contains(&response.status), "{}", response.status);
    }
}

#[tokio::test]
async fn methods_are_accepted_in_any_case() {
    let site = TestSite::start(|_| {}).await;
    let form = format!("{SOFIA_CONF}&profile=external");
    let as_post = site.exchange(&post(form.as_bytes())).await;
    assert!(as_post.body.contains("name=\"gw_ok\""), "{}", as_post.body);
    for method in ["post", "Post", "pOST"] {
        let response = site
            .exchange(&raw(&format!("{method} /xml_curl"), FORM, form.as_bytes()))
            .await;
        assert_eq!((response.status, &response.body), (200, &as_post.body), "{method}");
    }
    for method in ["get", "Get"] {
        let response = site
            .exchange(&raw(&format!("{method} /xml_curl?{form}"), "", b""))
            .await;
        assert_eq!((response.status, &response.body), (200, &as_post.body), "{method}");
        for path in ["/health", "/health/live", "/metrics"] {
            assert_eq!(
                site.exchange(&raw(&format!("{method} {path}"), "", b"")).await.status,
                200
            );
        }
    }
    for method in ["head", "put", "posted", "OPTIONS"] {
        let response = site
            .exchange(&raw(&format!("{method} /xml_curl"), FORM, form.as_bytes()))
            .await;
        assert_eq!(response.status, 405, "{method}");
        assert_eq!(response.header("allow"), Some("GET, HEAD, POST"), "{method}");
    }
}

#[tokio::test]
async fn a_request_that_is_refused_early_does_not_keep_its_connection() {
    let site = TestSite::start(|settings| {
        settings.credentials = vec![pair("fs1", "s3cret")];
        settings.max_connections = 3;
        settings.max_body = 1024;
    })
    .await;
    let chunked = |headers: &str, body: &str| {
        let head = head(
            "POST /xml_curl",
            &format!("{FORM}Transfer-Encoding: chunked\r\n{headers}"),
        );
        format!("{head}{body}").into_bytes()
    };
    let refused = [
        chunked("", "5\r\nabcde\r\n"),
        chunked(&basic("fs1:s3cret"), &format!("{:x}\r\n{}\r\n", 2000, "z".repeat(2000))),
        head(
            "PUT /xml_curl",
            &format!("{}Content-Length: 100\r\n", basic("fs1:s3cret")),
        )
        .into_bytes(),
        head("POST /health", "Transfer-Encoding: chunked\r\n").into_bytes(),
    ];
    let mut open = Vec::new();
    for request in refused {
        for _ in 0..3 {
            let mut connection = TcpStream::connect(site.address).await.unwrap();
            connection.write_all(&request).await.unwrap();
            let mut answer = Vec::new();
            connection.read_to_end(&mut answer).await.unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 4"), "{}", answer.escape_ascii());
            open.push(connection);
        }
        let mut request = recorded("get-basic-auth");
        let at = request
            .windows(14)
            .position(|bytes| bytes == b"Authorization:")
            .unwrap();
        let line = request[at..].windows(2).position(|bytes| bytes == b"\r\n").unwrap();
        request.splice(at..at + line + 2, basic("fs1:s3cret").into_bytes());
        assert_eq!(site.exchange(&request).await.status, 200);
    }
}

#[tokio::test]
async fn slow_readers_of_documents_that_are_no_more_are_cut_off_and_those_of_the_newest_are_not() {
    let site = TestSite::start(|_| {}).await;
    let cut = "trunkd_http_cut_total{reason=\"memory\"}";
    let before = site.metrics().await.sample(cut);
    let mut connections = Vec::new();
    let mut bytes = 0;
    let mut document = String::new();
    // Twice what may be held, each reader with a document that shares no bytes with the others'
    let long = format!(
        r#"{{"param":{{"realm":"sip.example.net","register":"false"}},"variables":{{"note":"{}"}}}}"#,
        "x".repeat(10_000)
    );
    while bytes < 128 * 1024 * 1024 {
        document = site.filled(500, &long);
        bytes += document.len();
        let mut connection = site.slow_client(4096);
        connection.write_all(&recorded("rescan")).await.unwrap();
        connection.read_exact(&mut [0; 100]).await.unwrap();
        connections.push(connection);
    }
    let mut newest = connections.pop().unwrap();
    let mut rest = vec![0; 100];
    newest.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(&document.as_bytes()[document.len() / 2..]));
    let mut is_whole = Vec::new();
    for mut connection in connections {
        let mut read = 100;
        let mut piece = vec![0; 64 * 1024];
        while let Ok(more @ 1..) = connection.read(&mut piece).await {
            read += more;
        }
        is_whole.push(read > document.len());
    }
    assert!(!is_whole[0] && is_whole[is_whole.len() - 1], "{is_whole:?}");
    assert!(is_whole.is_sorted(), "the oldest are cut first: {is_whole:?}");
    let were_cut = is_whole.iter().filter(|is_whole| !**is_whole).count();
    assert!(site.metrics().await.sample(cut) >= before + were_cut as f64);
    assert!(logged().contains("old documents took too much memory"));
}

#[tokio::test]
async fn each_request_is_logged_once_however_it_ends() {
    let site = TestSite::start(|_| {}).await;
    site.grown(30_000);
    let form = |node: &str| {
        let form = SOFIA_CONF.replace("hostname=vm", &format!("hostname={node}"));
        post(format!("{form}&profile=external").as_bytes())
    };

    let lines = |node: &str| {
        let mark = format!("node=\"{node}\"");
        let logged = logged();
        let lines = logged.lines().filter(|line| line.contains(&mark));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };

    site.exchange(&form("log-answered")).await;
    // Takes its time, and is gone in the middle of its answer.
    let mut connection = site.slow_client(4096);
    connection.write_all(&form("log-gone")).await.unwrap();
    connection.read_exact(&mut [0; 1000]).await.unwrap();
    until("a line that waits for no client", || !lines("log-gone").is_empty()).await;
    drop(connection);
    site.source.panics.store(true, Ordering::SeqCst);
    site.exchange(&form("log-panic")).await;
    // Gone before there is an answer.
    site.source.hold.store(true, Ordering::SeqCst);
    let asked = site.source.asked();
    let mut connection = TcpStream::connect(site.address).await.unwrap();
    connection.write_all(&form("log-abandoned")).await.unwrap();
    until("the source is asked", || site.source.asked() > asked).await;
    connection.set_zero_linger().unwrap();
    drop(connection);

    let ends = [
        ("log-answered", "outcome=\"served\""),
        ("log-gone", "outcome=\"served\""),
        ("log-panic", "outcome=\"failed\""),
        ("log-abandoned", "outcome=\"abandoned\""),
    ];
    for (node, _) in ends {
        until(node, || !lines(node).is_empty()).await;
    }
    site.stop.cancel();
    site.server.await.unwrap().unwrap();
    for (node, outcome) in ends {
        let lines = lines(node);
        assert!(matches!(&lines[..], [line] if line.contains(outcome)), "{lines:?}");
    }
}

#[tokio::test]
async fn a_stop_waits_for_an_answer_that_is_being_sent() {
    let site = TestSite::start(|_| {}).await;
    let document = site.grown(30_000);
    let mut connection = site.slow_client(4096);
    connection.write_all(&recorded("rescan")).await.unwrap();
    let mut answer = vec![0; 1000];
    connection.read_exact(&mut answer).await.unwrap();
    // A connection without a request does not delay the stop.
    let mut idle = TcpStream::connect(site.address).await.unwrap();
    site.stop.cancel();
    let address = site.address;
    until("no new connection is taken", || {
        std::net::TcpStream::connect(address).is_err()
    })
    .await;
    let _ = idle.read(&mut [0]).await;
    assert!(!site.server.is_finished());
    connection.read_to_end(&mut answer).await.unwrap();
    assert_is_answer(&answer, &document);
    site.server.await.unwrap().unwrap();
}

// ---- Credentials, networks and certificates

#[tokio::test]
async fn xml_curl_needs_credentials_and_challenges_missing_or_wrong_ones() {
    let site = TestSite::start(|settings| {
        settings.credentials = vec![pair("fs1", "s3cret"), pair("fs2", "an0ther")];
    })
    .await;
    let asked = |authorization: &str| get(&format!("{SOFIA_CONF}&profile=external"), authorization);

    assert_eq!(site.exchange(&recorded("get-basic-auth")).await.status, 200);
    assert_eq!(site.exchange(&asked(&basic("fs2:an0ther"))).await.status, 200);
    let before = site.source.asked();
    for authorization in [
        "".to_owned(),
        basic("fs1:wrong-s3cret"),
        basic("fs1:an0ther"),
        basic("fs1:"),
        "Authorization: Basic not-base64!\r\n".to_owned(),
        "Authorization: Basic\r\n".to_owned(),
        "Authorization: Bearer ZnMxOnMzY3JldA==\r\n".to_owned(),
    ] {
        let response = site.exchange(&asked(&authorization)).await;
        assert_eq!(response.status, 401, "{authorization}");
        assert_eq!(
            response.header("www-authenticate"),
            Some("Basic realm=\"trunkd\""),
            "{authorization}"
        );
        assert!(response.body.contains("http.credentials"), "{}", response.body);
    }
    // Not even the answer to another configuration is for a stranger.
    assert_eq!(site.exchange(&recorded("startup-acl")).await.status, 401);
    assert_eq!(site.source.asked(), before);
    for path in ["/health", "/health/live", "/metrics"] {
        assert_eq!(
            site.exchange(&raw(&format!("GET {path}"), "", b"")).await.status,
            200,
            "{path}"
        );
    }
    for secret in ["s3cret", "an0ther", &STANDARD.encode("fs1:s3cret"), "not-base64"] {
        assert!(!logged().contains(secret), "{secret} in the log");
        assert!(!site.metrics().await.text.contains(secret), "{secret} in the metrics");
    }
    // The line is written after the answer was sent.
    until("the answer is logged", || logged().contains("profile=\"external\"")).await;
}

#[tokio::test]
async fn a_peer_outside_the_allowed_networks_gets_no_path_at_all() {
    let site = TestSite::start(|settings| settings.allow = vec!["192.0.2.0/24".parse().unwrap()]).await;
    for path in ["/xml_curl", "/health", "/health/live", "/metrics", "/nowhere"] {
        let lie = "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n";
        let response = site.exchange(&raw(&format!("GET {path}"), lie, b"")).await;
        assert_eq!(response.status, 403, "{path}");
        assert!(response.body.contains("http.allow"), "{}", response.body);
    }
    // The refusal comes before it has sent anything.
    let mut silent = TcpStream::connect(site.address).await.unwrap();
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).await.unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 403 Forbidden\r\n"),
        "{}",
        answer.escape_ascii()
    );
    assert_eq!(site.source.asked(), 0);
    let metrics = TestSite::start(|_| {}).await.metrics().await;
    assert!(
        metrics.sample("trunkd_http_refused_total{reason=\"network\"}") >= 5.0,
        "{metrics:?}"
    );
}

#[tokio::test]
async fn an_ipv4_peer_of_a_dual_stack_socket_is_allowed_by_its_ipv4_network() {
    let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).unwrap();
    socket.set_only_v6(false).unwrap();
    socket.bind(&"[::]:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(16).unwrap();
    let site = TestSite::start_on(socket.into(), |settings| {
        settings.allow = vec!["127.0.0.0/8".parse().unwrap()]
    })
    .await;
    let v4 = SocketAddr::from(([127, 0, 0, 1], site.address.port()));
    assert_eq!(exchange(v4, &recorded("rescan")).await.status, 200);
    let v6 = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, site.address.port()));
    assert_eq!(exchange(v6, &recorded("rescan")).await.status, 403);
}

#[tokio::test]
async fn tls_serves_a_client_that_trusts_the_certificate() {
    let authority = Authority::new();
    let site = TestSite::start(|settings| settings.tls = Some(authority.server_files(false))).await;
    let url = format!(
        "https://localhost:{}/xml_curl?{SOFIA_CONF}&profile=external",
        site.address.port()
    );
    let response = authority.client(None).get(&url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.text().await.unwrap().contains("<profile name=\"external\""));

    assert!(Authority::new().client(None).get(&url).send().await.is_err());
    assert!(!site.exchange(&recorded("rescan")).await.raw.contains("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_peer_outside_the_allowed_networks_gets_no_tls_handshake() {
    let authority = Authority::new();
    let site = TestSite::start(|settings| {
        settings.tls = Some(authority.server_files(false));
        settings.allow = vec!["192.0.2.0/24".parse().unwrap()];
    })
    .await;
    let mut connection = TcpStream::connect(site.address).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(LIMIT, connection.read_to_end(&mut answer)).await;
    assert!(read.is_ok() && answer.is_empty(), "it was dropped at once: {answer:?}");
    let url = format!("https://localhost:{}/health", site.address.port());
    assert!(authority.client(None).get(&url).send().await.is_err());
}

#[tokio::test]
async fn a_revoked_client_certificate_gets_in_no_more_once_the_list_is_read() {
    let authority = Authority::new();
    let (revoked, good) = (authority.issue_numbered(7), authority.issue_numbered(8));
    let mut files = authority.server_files(true);
    files.client_crl = Some(authority.write_crl(&[]));
    let site = TestSite::start(|settings| settings.tls = Some(files)).await;
    let url = format!("https://localhost:{}/health/live", site.address.port());
    let gets_in = async |identity: &(String, String)| {
        let client = authority.client_with(Some(identity));
        client
            .get(&url)
            .send()
            .await
            .is_ok_and(|response| response.status() == 200)
    };
    assert!(gets_in(&revoked).await && gets_in(&good).await);

    let tls = site.tls.clone().unwrap();
    authority.write_crl(&[7]);
    tls.reload().unwrap();
    assert!(!gets_in(&revoked).await && gets_in(&good).await);
    // A list of another authority does not cover ours.
    let path = authority.write_crl(&[]);
    std::fs::copy(Authority::new().write_crl(&[]), &path).unwrap();
    tls.reload().unwrap();
    assert!(!gets_in(&good).await);
    std::fs::write(&path, "damaged").unwrap();
    assert!(tls.reload().unwrap_err().to_string().contains("client_crl"));
    authority.write_crl(&[7]);
    tls.reload().unwrap();
    assert!(gets_in(&good).await);
    until("a failed handshake is logged", || {
        logged().contains("TLS handshake failed")
    })
    .await;
}

#[tokio::test]
async fn with_client_ca_only_its_certificates_are_accepted() {
    let authority = Authority::new();
    let site = TestSite::start(|settings| settings.tls = Some(authority.server_files(true))).await;
    let url = format!(
        "https://localhost:{}/xml_curl?{SOFIA_CONF}&profile=external",
        site.address.port()
    );
    let response = authority.client(Some(&authority)).get(&url).send().await.unwrap();
    assert_eq!(response.status(), 200);

    assert!(authority.client(None).get(&url).send().await.is_err());
    assert!(
        authority
            .client(Some(&Authority::new()))
            .get(&url)
            .send()
            .await
            .is_err()
    );
    assert_eq!(site.source.asked(), 1);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_keeps_the_server_from_starting() {
    let authority = Authority::new();
    let mut files = authority.server_files(false);
    files.key = files.cert.clone();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = HttpSettings {
        tls: Some(files),
        ..settings()
    };
    let error = http::bind(
        listener,
        &settings,
        Arc::new(SwitchAddresses::default()),
        Arc::new(Fixed::new()),
        DocumentCache::new(LIMIT),
        Arc::new(Health::new()),
        metrics_pages(),
    )
    .err();
    assert!(
        error
            .unwrap()
            .to_string()
            .contains("server.pem contains no private key")
    );
}

// ---- /health and /metrics

#[tokio::test]
async fn health_names_each_part_and_is_a_503_only_when_nothing_can_be_served() {
    let site = TestSite::start(|_| {}).await;
    let ask = || async { site.exchange(&raw("GET /health", "", b"")).await };

    site.health.set_serving(false);
    site.health
        .set(Part::Redis, State::Degraded, Some("connection refused".into()));
    site.health.set(Part::Templates, State::Ok, None);
    assert_eq!(ask().await.status, 503);
    assert_eq!(site.exchange(&raw("GET /health/live", "", b"")).await.status, 200);

    site.health.set_serving(true);
    site.health.set(
        Part::Switch("fs1".into()),
        State::Degraded,
        Some("no route to host".into()),
    );
    let response = ask().await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let mut report: serde_json::Value = serde_json::from_str(&response.body).unwrap();
    for part in report["parts"].as_array_mut().unwrap() {
        part["since"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        part["since"] = "(a time)".into();
    }
    report["version"] = "(a version)".into();
    assert_eq!(
        report.to_string(),
        concat!(
            r#"{"status":"degraded","version":"(a version)","serving":true,"parts":["#,
            r#"{"name":"redis","state":"degraded","since":"(a time)","reason":"connection refused","#,
            r#""runbook":"docs/runbooks.md#trunkdredisaway"},"#,
            r#"{"name":"templates","state":"ok","since":"(a time)","reason":null},"#,
            r#"{"name":"switch:fs1","state":"degraded","since":"(a time)","reason":"no route to host","#,
            r#""runbook":"docs/runbooks.md#trunkdswitchaway"}]}"#,
        )
    );

    site.health.set(Part::Redis, State::Ok, None);
    site.health.set(Part::Switch("fs1".into()), State::Ok, None);
    let report: serde_json::Value = serde_json::from_str(&ask().await.body).unwrap();
    assert_eq!(report["status"], "ok");
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn the_metrics_of_gateways_are_text_for_prometheus_on_a_page_of_its_own() {
    let site = TestSite::start(|_| {}).await;
    let response = site.exchange(&raw("GET /metrics/gateways", "", b"")).await;
    assert_eq!(response.status, 200);
    let as_for_all = site.exchange(&raw("GET /metrics", "", b"")).await;
    assert!(
        response
            .header("content-type")
            .is_some_and(|kind| kind.contains("version=0.0.4"))
    );
    assert_eq!(response.header("content-type"), as_for_all.header("content-type"));
    for metric in &metrics::OF_GATEWAYS {
        let described = format!("# TYPE {} {}\n", metric.name, metric.kind.as_str());
        assert!(response.body.contains(&described), "{}", response.body);
        assert!(!as_for_all.body.contains(metric.name));
    }
    let posted = site.exchange(&raw("POST /metrics/gateways", "", b"")).await;
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
}

#[tokio::test]
async fn the_metrics_count_requests_by_kind_and_outcome() {
    let site = TestSite::start(|_| {}).await;
    let startgw = "trunkd_xml_curl_requests_total{kind=\"startgw\",outcome=\"served\"}";
    let other = "trunkd_xml_curl_requests_total{kind=\"other\",outcome=\"not_found\"}";
    site.exchange(&recorded("startgw")).await;
    site.exchange(&recorded("startup-acl")).await;
    let before = site.metrics().await;
    site.exchange(&recorded("startgw")).await;
    site.exchange(&recorded("startup-acl")).await;
    let after = site.metrics().await;
    // Other tests in this process count too.
    for name in [
        startgw,
        other,
        "trunkd_xml_curl_seconds_count{kind=\"startgw\"}",
        "trunkd_xml_curl_bytes_count{kind=\"startgw\"}",
    ] {
        assert!(after.sample(name) >= before.sample(name) + 1.0, "{name}");
    }
}

#[tokio::test]
async fn an_answer_over_a_mebibyte_is_logged_with_the_fix() {
    let site = TestSite::start(|_| {}).await;
    site.source.grow(5_000);
    let response = site.exchange(&recorded("rescan")).await;
    assert!(response.body.len() > 1024 * 1024);
    let metrics = site.metrics().await;
    assert!(metrics.sample("trunkd_xml_curl_oversized_total") >= 1.0);
    assert!(
        logged().contains("<param name=\"response-max-bytes\" value="),
        "{}",
        logged()
    );
}

// ---- Helpers

/// The server as production starts it, on a port of its own.
struct TestSite {
    address: SocketAddr,
    source: Arc<Fixed>,
    health: Arc<Health>,
    stop: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
    tls: Option<Arc<Tls>>,
}

impl TestSite {
    async fn start(change: impl FnOnce(&mut HttpSettings)) -> Self {
        Self::start_on(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), change).await
    }

    async fn start_on(listener: std::net::TcpListener, change: impl FnOnce(&mut HttpSettings)) -> Self {
        capture_logs();
        let mut settings = settings();
        change(&mut settings);
        let address = listener.local_addr().unwrap();
        let (source, health) = (Arc::new(Fixed::new()), Arc::new(Health::new()));
        health.set_serving(true);
        let server = http::bind(
            listener,
            &settings,
            Arc::new(SwitchAddresses::default()),
            source.clone(),
            DocumentCache::new(LIMIT),
            health.clone(),
            metrics_pages(),
        )
        .unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        Self {
            address,
            source,
            health,
            stop,
            tls: server.tls(),
            server: tokio::spawn(server.run(stopped)),
        }
    }

    async fn exchange(&self, request: &[u8]) -> Response {
        exchange(self.address, request).await
    }

    /// Makes the answer to "rescan" a large one, and returns it.
    fn grown(&self, gateways: usize) -> String {
        self.filled(gateways, IP_TRUNK)
    }

    fn filled(&self, gateways: usize, value: &str) -> String {
        self.source.fill(gateways, value);
        self.source.document(&Query {
            profile: Some("external"),
            gateway: GatewayQuery::None,
            node: Some("vm"),
        })
    }

    /// A client that reads little at a time.
    fn slow_client(&self, receive_buffer: usize) -> TcpStream {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(receive_buffer).unwrap();
        socket.connect(&self.address.into()).unwrap();
        socket.set_nonblocking(true).unwrap();
        TcpStream::from_std(socket.into()).unwrap()
    }

    async fn metrics(&self) -> Metrics {
        let response = self.exchange(&raw("GET /metrics", "", b"")).await;
        assert_eq!(
            response.header("content-type"),
            Some("text/plain; version=0.0.4; charset=utf-8")
        );
        Metrics::parse(response.body)
    }
}

fn settings() -> HttpSettings {
    HttpSettings {
        request_timeout: Duration::from_secs(10),
        ..HttpSettings::default()
    }
}

/// A source that changes only if a test changes it, and counts how often it is asked.
struct Fixed {
    current: Mutex<Result<CurrentConfig, Unavailable>>,
    asked: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    panics: AtomicBool,
    hold: AtomicBool,
    released: Semaphore,
}

impl ConfigSource for Fixed {
    async fn current(&self, _request: &trunkd::xml_curl::SofiaConfRequest) -> Result<CurrentConfig, Unavailable> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics.swap(false, Ordering::SeqCst), "as told by the test");
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        if self.hold.load(Ordering::SeqCst) {
            self.released.acquire().await.unwrap().forget();
        }
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        self.current.lock().unwrap().clone()
    }
}

impl Fixed {
    fn new() -> Self {
        let only_two = r#"{"param":{"realm":"sip.example.net","register":"false"},"nodes":["fs-two"]}"#;
        let inside = r#"{"param":{"realm":"sip.example.net","register":"false"},"profile":"internal"}"#;
        let gateways = [
            ("gw_ok", IP_TRUNK),
            ("gw_two", IP_TRUNK),
            ("gw_only_two", only_two),
            ("inside", inside),
        ];
        Self {
            current: Mutex::new(Ok(current(
                gateways.map(|(name, value)| (name.to_owned(), value)).into(),
            ))),
            asked: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            panics: AtomicBool::new(false),
            hold: AtomicBool::new(false),
            released: Semaphore::new(0),
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn document(&self, query: &Query<'_>) -> String {
        let current = self.current.lock().unwrap().clone().unwrap();
        current
            .templates
            .document(&current.desired, &current.key, query)
            .unwrap()
    }

    fn unavailable(&self, reason: &str) {
        *self.current.lock().unwrap() = Err(Unavailable(reason.to_owned()));
    }

    fn grow(&self, gateways: usize) {
        self.fill(gateways, IP_TRUNK);
    }

    fn fill(&self, gateways: usize, value: &str) {
        let gateways = (0..gateways).map(|number| (format!("gw_{number}"), value)).collect();
        *self.current.lock().unwrap() = Ok(current(gateways));
    }
}

const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;

fn current(gateways: Vec<(String, &str)>) -> CurrentConfig {
    let templates = Arc::new(templates());
    let rules = templates.rules(&ProfileName::parse("external").unwrap()).unwrap();
    let fields = gateways
        .into_iter()
        .map(|(name, value)| (name.into_bytes(), value.as_bytes().to_vec()));
    let domains = [("default".to_owned(), RawDomain::hash(fields))].into();
    CurrentConfig {
        desired: Arc::new(Desired::build(&domains, &rules, None)),
        key: RevisionKey::new([7; 32]),
        templates,
        stale_since: None,
        is_shared: true,
    }
}

fn templates() -> Templates {
    let dir = TempDir::new().unwrap();
    let write = |name: &str, content: &str| std::fs::write(dir.path().join(name), content).unwrap();
    std::fs::create_dir(dir.path().join("sip_profiles")).unwrap();
    write(
        "sofia.conf.xml",
        r#"<configuration name="sofia.conf" description="sofia Endpoint">
  <global_settings>
    <param name="log-level" value="0"/>
  </global_settings>
  <profiles>
  </profiles>
</configuration>
"#,
    );
    for profile in ["external", "internal"] {
        write(
            &format!("sip_profiles/{profile}.xml"),
            &format!(
                r#"<profile name="{profile}">
  <gateways>
  </gateways>
  <settings>
    <param name="sip-port" value="5080"/>
  </settings>
</profile>
"#
            ),
        );
    }
    Templates::load(dir.path()).unwrap()
}

/// An authority with files for a server and identities for clients.
struct Authority {
    dir: TempDir,
    key: rcgen::KeyPair,
    params: rcgen::CertificateParams,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default(); // For reqwest; trunkd names its own.
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            dir: TempDir::new().unwrap(),
            key,
            params,
            pem,
        }
    }

    /// A certificate for `localhost` and its key, PEM.
    fn issue(&self) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let cert = params
            .signed_by(&key, &rcgen::Issuer::from_params(&self.params, &self.key))
            .unwrap();
        (cert.pem(), key.serialize_pem())
    }

    fn server_files(&self, client_ca: bool) -> TlsSettings {
        let write = |name: &str, content: &str| {
            let path = self.dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let (cert, key) = self.issue();
        TlsSettings {
            cert: write("server.pem", &cert),
            key: write("server.key", &key),
            client_ca: client_ca.then(|| write("ca.pem", &self.pem)),
            client_crl: None,
        }
    }

    /// A certificate with this serial number and its key, PEM.
    fn issue_numbered(&self, serial: u64) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.serial_number = Some(serial.into());
        let issuer = rcgen::Issuer::from_params(&self.params, &self.key);
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Writes the list of the serial numbers that are revoked.
    fn write_crl(&self, revoked: &[u64]) -> std::path::PathBuf {
        let at = |year| rcgen::date_time_ymd(year, 1, 1);
        let revoked = revoked.iter().map(|serial| rcgen::RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: at(2024),
            reason_code: None,
            invalidity_date: None,
        });
        let list = rcgen::CertificateRevocationListParams {
            this_update: at(2024),
            // Expired, but still used.
            next_update: at(2025),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let issuer = rcgen::Issuer::from_params(&self.params, &self.key);
        let path = self.dir.path().join("crl.pem");
        std::fs::write(&path, list.signed_by(&issuer).unwrap().pem().unwrap()).unwrap();
        path
    }

    fn client(&self, identity_from: Option<&Authority>) -> reqwest::Client {
        self.client_with(identity_from.map(Authority::issue).as_ref())
    }

    fn client_with(&self, identity: Option<&(String, String)>) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(self.pem.as_bytes()).unwrap();
        let mut client = reqwest::Client::builder()
            .tls_certs_only([root])
            .resolve("localhost", ([127, 0, 0, 1], 0).into());
        if let Some((cert, key)) = identity {
            client = client.identity(reqwest::Identity::from_pem(format!("{cert}{key}").as_bytes()).unwrap());
        }
        client.build().unwrap()
    }
}

struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    raw: String,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// What FreeSWITCH sent, to the path that trunkd answers at.
fn recorded(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recordings/xml_curl/{name}.http"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rest = bytes
        .strip_prefix(b"POST /xml")
        .or_else(|| bytes.strip_prefix(b"GET /xml"))
        .unwrap();
    [&bytes[..bytes.len() - rest.len()], b"_curl", rest].concat()
}

fn post(form: &[u8]) -> Vec<u8> {
    raw("POST /xml_curl", FORM, form)
}

fn get(query: &str, headers: &str) -> Vec<u8> {
    raw(&format!("GET /xml_curl?{query}"), headers, b"")
}

fn pair(user: &str, password: &str) -> Credential {
    Credential {
        user: user.to_owned(),
        password: password.into(),
    }
}

fn basic(pair: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(pair))
}

fn raw(request: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    [head(request, &format!("{headers}{length}")).as_bytes(), body].concat()
}

fn head(request: &str, headers: &str) -> String {
    format!(
        "{request} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: freeswitch-xml/1.0\r\nAccept: */*\r\n{headers}\r\n"
    )
}

/// Sends, and reads until the server closes.
async fn exchange(address: SocketAddr, request: &[u8]) -> Response {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may refuse and close before it has read everything.
    let _ = stream.write_all(request).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let raw = String::from_utf8(bytes).unwrap();
    let (head, body) = raw.split_once("\r\n\r\n").unwrap_or((&raw, ""));
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Response {
        status: status.unwrap_or(0),
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
        raw: raw.clone(),
    }
}

fn assert_is_answer(bytes: &[u8], body: &str) {
    let head = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let (head, rest) = bytes.split_at(head + 4);
    let head = String::from_utf8_lossy(head);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
    // Megabytes do not help in a message.
    assert!(rest == body.as_bytes(), "{} bytes, not {}", rest.len(), body.len());
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    until_async(what, async || condition()).await;
}

async fn until_async(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never came: {what}"));
}

fn metrics_pages() -> MetricsPages {
    MetricsPages {
        process: metrics::install(),
        gateways: Arc::new(NoGateways),
    }
}

struct NoGateways;

impl ReadGateways for NoGateways {
    fn read(self: Arc<Self>) -> BoxFuture<'static, Result<Vec<GatewaySample>, String>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn carriers(self: Arc<Self>) -> BoxFuture<'static, Result<String, String>> {
        Box::pin(async { Ok(String::new()) })
    }
}

/// Prometheus' text format, read strictly.
#[derive(Debug)]
struct Metrics {
    text: String,
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    fn parse(text: String) -> Self {
        let samples = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("# HELP ") && !line.starts_with("# TYPE "))
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
                (
                    name.to_owned(),
                    value.parse().unwrap_or_else(|_| panic!("no number: {line}")),
                )
            })
            .collect();
        Self { text, samples }
    }

    fn sample(&self, name: &str) -> f64 {
        self.samples.get(name).copied().unwrap_or(0.0)
    }
}

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn capture_logs() {
    struct Log;
    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Write::write(&mut *LOG.lock().unwrap(), bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    static SUBSCRIBER: OnceLock<()> = OnceLock::new();
    SUBSCRIBER.get_or_init(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter("trunkd=trace")
            .with_ansi(false)
            .with_writer(|| Log);
        subscriber.init();
    });
}

fn logged() -> String {
    String::from_utf8(LOG.lock().unwrap().clone()).unwrap()
}
