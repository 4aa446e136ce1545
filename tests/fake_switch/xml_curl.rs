//! What FreeSWITCH asks trunkd for, and what it makes of the answer.

use super::*;
use support::fake_switch::{AuthScheme, Used};

/// The same bytes but for the host, times, sequence numbers and the UUID; the body's length is checked.
#[track_caller]
fn assert_request_as_recorded(got: &str, name: &str) {
    let normalised = |text: &str| {
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Some(length) = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))
        {
            assert_eq!(length.parse(), Ok(body.len()), "{name}");
        }
        let mut text = blank(text, "Host: ", '\r');
        text = blank(&text, "Content-Length: ", '\r');
        for field in [
            "Core-UUID",
            "Event-Date-Local",
            "Event-Date-GMT",
            "Event-Date-Timestamp",
            "Event-Sequence",
        ] {
            let end = if text.starts_with("GET") && field == "Event-Sequence" {
                ' '
            } else {
                '&'
            };
            text = blank(&text, &format!("{field}="), end);
        }
        text
    };
    assert_eq!(
        normalised(got),
        normalised(&recording(&format!("xml_curl/{name}.http"))),
        "{name}"
    );
}

fn field<'a>(request: &'a str, name: &str) -> &'a str {
    let at = request.find(&format!("{name}=")).unwrap() + name.len() + 1;
    request[at..].split(['&', ' ']).next().unwrap()
}

#[tokio::test]
async fn every_recorded_request() {
    let web = Web::serving(&document(&sofia_conf(&["gw_ok"]))).await;
    let switch = FakeSwitch::builder()
        .switchname("vm")
        .xml_curl(Binding::new(&web.url))
        .start()
        .await;
    let requests = web.take_requests();
    let asked: Vec<&str> = requests.iter().map(|request| field(request, "key_value")).collect();
    let expected = [
        "acl.conf",
        "loopback.conf",
        "timezones.conf",
        "sofia.conf",
        "sofia.conf",
        "sofia.conf",
    ];
    assert_eq!(asked, expected, "FACTS 2 and 3");
    assert_request_as_recorded(&requests[0], "startup-acl");
    assert_request_as_recorded(&requests[1], "startup-other-conf");
    assert_request_as_recorded(&requests[3], "startup-all-profiles");
    assert_request_as_recorded(&requests[4], "startup-one-profile");
    assert_eq!(field(&requests[5], "profile"), "internal");

    for (command, name) in [
        ("sofia profile external rescan", "rescan"),
        ("sofia profile external startgw gw_ok", "startgw"),
        ("sofia profile external startgw _all_", "startgw-all"),
    ] {
        switch.api(command).await;
        assert_request_as_recorded(web.take_requests().last().unwrap(), name);
    }
    let sequences: Vec<u64> = switch.view(|view| {
        view.sofia_requests()
            .iter()
            .map(|request| request.field("Event-Sequence").unwrap().parse().unwrap())
            .collect()
    });
    assert!(sequences.is_sorted(), "{sequences:?}");
}

#[tokio::test]
async fn get_style_with_credentials() {
    let web = Web::serving(&document(&sofia_conf(&[]))).await;
    let binding = Binding {
        get: true,
        credentials: Some("fs1:s3cret".to_owned()),
        ..Binding::new(&web.url)
    };
    let _switch = FakeSwitch::builder()
        .switchname("vm")
        .only_sofia_conf()
        .xml_curl(binding)
        .start()
        .await;
    assert_request_as_recorded(&web.take_requests()[0], "get-basic-auth");
}

#[tokio::test]
async fn with_scheme_any_it_asks_without_credentials_first() {
    let web = Web::answering("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n").await;
    let binding = Binding {
        credentials: Some("fs1:s3cret".to_owned()),
        auth_scheme: AuthScheme::Any,
        ..Binding::new(&web.url)
    };
    let _switch = FakeSwitch::builder().only_sofia_conf().xml_curl(binding).start().await;
    let requests = web.take_requests();
    assert_eq!(requests.len(), 2, "FACTS 10");
    assert!(!requests[0].contains("Authorization") && requests[1].contains("Authorization: Basic ZnMxOnMzY3JldA=="));
}

#[tokio::test]
async fn gateways_come_from_the_answer_and_register() {
    let web = Web::serving(&document(&sofia_conf(&["gw_ok", "gw_noreg"]))).await;
    let switch = FakeSwitch::builder().xml_curl(Binding::new(&web.url)).start().await;
    switch.wait_for_state("gw_ok", "REGED").await;
    switch.wait_for_state("gw_noreg", "NOREG").await;
    switch.view(|view| {
        assert_eq!(
            view.gateway("gw_ok").unwrap().inbound("sip_sticky_contact"),
            Some("true")
        );
        assert!(view.sofia_requests().iter().all(|request| request.used == Used::Answer));
    });
}

/// FACTS 7: anything but a good answer means the XML on disk.
#[tokio::test]
async fn a_bad_answer_falls_back_to_disk() {
    let good = document(&sofia_conf(&["gw_ok"]));
    for (answer, error) in [
        (ok(NOT_FOUND), "not found"),
        (ok(""), "Error Parsing Result!"),
        (
            ok("<document><section></document>\n"),
            "Error[[error near line 1]: unexpected closing tag </document>]",
        ),
        (
            "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "Received HTTP error 500 trying to fetch",
        ),
        (
            "HTTP/1.1 204 Nothing\r\n\r\n".to_owned(),
            "Received HTTP error 204 trying to fetch",
        ),
        (
            ok(&good.replace("sofia.conf", "other.conf")),
            "no configuration sofia.conf in the answer",
        ),
        (
            ok(&good
                .replace('\n', "")
                .replace("<document", "<?xml version=\"1.0\"?><document")),
            "Error Parsing Result!",
        ),
        (
            ok(&good)[..200].to_owned(),
            "CURL returned error:[18] Transferred a partial file",
        ),
        ("garbage".to_owned(), "CURL returned error:[52] Server returned nothing"),
    ] {
        let web = Web::answering(&answer).await;
        let builder = FakeSwitch::builder().only_sofia_conf().xml_curl(Binding::new(&web.url));
        let switch = builder.disk(sofia_conf(&["gw_noreg"])).start().await;
        switch.view(|view| {
            let request = &view.requests()[0];
            assert_eq!(request.error.as_deref(), Some(error));
            assert_eq!(request.used, Used::Disk, "{error}");
            assert_eq!(view.gateways().len(), 1, "{error}");
            assert!(view.gateway("gw_noreg").is_some(), "{error}");
        });
    }
}

#[tokio::test]
async fn with_nothing_on_disk_mod_sofia_does_not_load_until_somebody_loads_it() {
    let web = Web::answering("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").await;
    let switch = FakeSwitch::builder().xml_curl(Binding::new(&web.url)).start().await;
    assert!(!switch.view(|view| view.sofia_loaded()));
    assert_eq!(switch.api("sofia status").await, "-ERR sofia Command not found!\n");
    assert_eq!(
        switch.api("load mod_sofia").await,
        "+OK Reloading XML\n-ERR [Module load error]\n"
    );
    web.answer(&ok(&document(&sofia_conf(&["gw_ok"]))));
    assert_eq!(switch.api("load mod_sofia").await, "+OK Reloading XML\n+OK\n");
    switch.wait_for_state("gw_ok", "REGED").await;
}

#[tokio::test]
async fn an_answer_over_the_limit_is_thrown_away_whole() {
    let good = document(&sofia_conf(&["gw_ok"]));
    for (limit, used) in [(good.len(), Used::Answer), (good.len() - 1, Used::Nothing)] {
        let web = Web::serving(&good).await;
        let binding = Binding {
            response_max_bytes: limit,
            ..Binding::new(&web.url)
        };
        let switch = FakeSwitch::builder().only_sofia_conf().xml_curl(binding).start().await;
        switch.view(|view| assert_eq!(view.requests()[0].used, used, "{:?}", view.requests()[0].error));
    }
}

#[tokio::test]
async fn a_timeout_is_a_failure_and_a_refused_connection_too() {
    let web = Web::answering("").await;
    let binding = Binding {
        timeout: Some(Duration::from_millis(50)),
        ..Binding::new(&web.url)
    };
    let switch = FakeSwitch::builder().only_sofia_conf().xml_curl(binding).start().await;
    let error = switch.view(|view| view.requests()[0].error.clone().unwrap());
    assert!(error.contains("[28]"), "{error}");
    switch.set_binding(Some(Binding::new("http://127.0.0.1:1/xml")));
    switch.api("load mod_sofia").await;
    let error = switch.view(|view| view.requests().last().unwrap().error.clone().unwrap());
    assert!(error.contains("[7]"), "{error}");
}

#[tokio::test]
async fn a_chunked_answer_is_read_whole() {
    let good = document(&sofia_conf(&["gw_ok"]));
    let (a, b) = good.split_at(100);
    let chunked = format!("{:x}\r\n{a}\r\n{:x};x=y\r\n{b}\r\n0\r\n\r\n", a.len(), b.len());
    let web = Web::answering(&format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"
    ))
    .await;
    let switch = FakeSwitch::builder().xml_curl(Binding::new(&web.url)).start().await;
    assert!(switch.view(|view| view.gateway("gw_ok").is_some()));
}

#[tokio::test]
async fn what_the_preprocessor_did_to_an_answer_is_on_the_record() {
    let conf = sofia_conf(&["gw_ok"]).replace("value=\"alice\"", "value=\"$${default_password}\"");
    let web = Web::serving(&document(&conf)).await;
    let switch = FakeSwitch::builder()
        .global("default_password", "leaked")
        .xml_curl(Binding::new(&web.url))
        .start()
        .await;
    switch.view(|view| {
        assert_eq!(view.gateway("gw_ok").unwrap().username, "leaked");
        let done = view.sofia_requests()[0].preprocessed.as_ref().unwrap();
        assert!(done.expanded_globals.contains(&"default_password".to_owned()));
    });
}
