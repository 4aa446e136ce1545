//! The language of findings and errors: what `?language=` or `Accept-Language` asks for.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::{API, Answer, Client, send};
use crate::support::app::TestApp;
use crate::support::redis::RedisServer;

const GATEWAY: &str = "/domains/acme/gateways/g1";

/// `?language=` and `Accept-Language`, and the language that they ask for.
const ASKED: [(&str, Option<&str>, &str); 7] = [
    ("", None, "en"),
    ("", Some("zh"), "zh"),
    ("", Some("zh-CN,zh;q=0.9,en;q=0.8"), "zh"),
    ("", Some("en-GB"), "en"),
    ("", Some("fr"), "en"),
    ("language=zh", None, "zh"),
    ("language=en", Some("zh-Hans"), "en"),
];

async fn call(client: &Client, method: Method, path: &str, asked: (&str, Option<&str>), body: &Value) -> Answer {
    let (query, accept) = asked;
    let sign = if path.contains('?') { '&' } else { '?' };
    let mut request = client.request(method, &format!("{path}{sign}{query}"));
    if let Some(accept) = accept {
        request = request.header("Accept-Language", accept);
    }
    send(request.body(body.to_string())).await
}

/// Every reason and fix, and in which language the answer says it is.
#[track_caller]
fn check(answer: &Answer, findings: &Value, language: &str) {
    let findings = findings.as_array().unwrap();
    assert!(!findings.is_empty(), "{:#}", answer.body);
    for text in findings
        .iter()
        .flat_map(|finding| [&finding["reason"], &finding["fix"]])
    {
        let is_chinese = text.as_str().unwrap().chars().any(|c| c > '\u{2E80}');
        assert_eq!(is_chinese, language == "zh", "{text}");
    }
    assert_eq!(answer.headers["content-language"], language);
    let vary = answer.headers.get_all("vary").iter();
    assert!(
        vary.map(|value| value.to_str().unwrap())
            .any(|value| value.contains("Accept-Language"))
    );
}

#[tokio::test]
async fn findings_and_errors_come_in_the_language_that_is_asked_for() {
    let redis = RedisServer::start().await;
    let app = TestApp::start(&redis, API).await;
    let client = Client::admin(&redis, &app).await;
    let refused = json!({"param": {"realm": "sip.example.net"}});
    let warned = json!({"param": {"realm": "r", "register": false, "pasword": "x"}});
    client.put(GATEWAY, &warned).await.expect(201);
    for (query, accept, language) in ASKED {
        let asked = (query, accept);
        let read = call(&client, Method::GET, GATEWAY, asked, &json!(null))
            .await
            .expect(200);
        check(&read, &read.body["findings"], language);
        let dry = format!("{GATEWAY}?dry_run=true");
        let written = call(&client, Method::PUT, &dry, asked, &warned).await.expect(200);
        check(&written, &written.body["gateway"]["findings"], language);
        let problem = call(&client, Method::PUT, GATEWAY, asked, &refused).await.expect(422);
        check(&problem, &problem.body["errors"], language);
        let detail = match language {
            "zh" => "FreeSWITCH 会拒绝此网关",
            _ => "FreeSWITCH would refuse this gateway",
        };
        assert_eq!(problem.body["detail"], detail);
        let bulk = json!({"filter": {}, "do": {"patch": {"param": {"register": true}}}});
        let many = call(&client, Method::POST, "/gateways/bulk", asked, &bulk)
            .await
            .expect(200);
        check(&many, &many.body["items"][0]["errors"], language);
    }
    let stale = client.request(Method::PUT, GATEWAY).header("If-Match", "\"x\"");
    let stale = send(stale.header("Accept-Language", "zh").body(warned.to_string()))
        .await
        .expect(412);
    check(&stale, &stale.body["current"]["findings"], "zh");
    let unknown = call(&client, Method::GET, GATEWAY, ("language=fr", None), &json!(null)).await;
    assert_eq!(unknown.expect(400).reason(), "bad_request");
}
