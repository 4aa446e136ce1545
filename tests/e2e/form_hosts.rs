//! The form of a gateway asks DNS for its hosts when it is checked. `.invalid` needs no name server (RFC 6761).

use trunkd::access::Role;

use crate::support::api::API;
use crate::support::app::TestApp;
use crate::support::pages::Reader;
use crate::support::redis::RedisServer;

const NEW: &str = "preset=account&domain=acme&name=gw&param.realm=carrier.invalid&param.username=u&param.password=p";

async fn review(reader: &Reader) -> String {
    let answer = reader.post("/gateways/new", &format!("{NEW}&step=review")).await;
    let status = answer.status();
    let page = answer.text().await.unwrap();
    assert_eq!(status, 200, "{page}");
    page
}

#[tokio::test]
async fn a_host_without_an_address_is_a_warning_at_its_field_and_keeps_nobody_from_saving() {
    let redis = RedisServer::start().await;
    let app = TestApp::start(&redis, &format!("{API}look_up_hosts = true\n")).await;
    let english = Reader::sign_in(&app, &redis, ("alice", "en"), Role::Admin, "*").await;
    let chinese = Reader::sign_in(&app, &redis, ("lihua", "zh"), Role::Admin, "*").await;
    for (reader, words) in [
        (&english, "carrier.invalid has no address"),
        (&chinese, "carrier.invalid 没有地址"),
    ] {
        let page = review(reader).await;
        let at_field = page.split("param.realm</bdi></code>: <bdi>").skip(1);
        assert!(at_field.into_iter().any(|warning| warning.contains(words)), "{page}");
    }
    let asks_nobody = TestApp::start(&redis, &format!("{API}look_up_hosts = false\n")).await;
    let page = review(&english.at(&asks_nobody)).await;
    assert!(!page.contains("has no address"), "{page}");

    let saved = english.post("/gateways/new", &format!("{NEW}&step=save")).await;
    assert_eq!(saved.status(), 303);
}
