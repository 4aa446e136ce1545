//! What the page of imports does with uploads: who may send them, where they are kept, and that nothing of
//! them is more than text.

use std::sync::Arc;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use reqwest::Method;
use trunkd::access::Role;
use trunkd::operate::transfer::DomainOutcome;
use trunkd::operate::upload::{Kind, Upload, UploadOutcome};
use trunkd::operate::{Caller, Service};

use crate::api_bulk::waits;
use crate::support::api::API;
use crate::support::app::{Other, TestApp, eventually, settings};
use crate::support::pages::{Reader, with_upload};
use crate::support::redis::RedisServer;

const SHEET: &[u8] = b"name,realm,username,password\none,sip.example.net,u,tr0ub4dor\n";
const CSV: [(&str, &str); 2] = [("kind", "csv"), ("domain", "acme")];
const TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;
/// Where alice's uploads are.
const UPLOADS: &str = "trunkd:uploads:user:alice";

struct Pages {
    redis: RedisServer,
    app: TestApp,
    other: Other,
    alice: Reader,
}

impl Pages {
    async fn start() -> Self {
        let redis = RedisServer::start().await;
        let app = TestApp::start(&redis, API).await;
        let other = Other::new(&redis).await;
        let alice = Reader::sign_in(&app, &redis, ("alice", "en"), Role::Operator, "*").await;
        Self {
            redis,
            app,
            other,
            alice,
        }
    }

    fn connection(&self) -> MultiplexedConnection {
        self.other.connection.clone()
    }

    /// Sends this spreadsheet, and returns the path of its review.
    async fn upload(&self, sheet: &[u8]) -> String {
        let answer = self.alice.upload(("t.csv", sheet), &CSV).await;
        assert_eq!(answer.status(), 303);
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    async fn refused(&self, file: (&str, &[u8]), options: &[(&str, &str)]) -> (u16, String) {
        let answer = self.alice.upload(file, options).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

/// What the button of a review sends.
fn confirmation(review: &str) -> String {
    let digest = review.split("name=\"digest\" value=\"").nth(1);
    let digest = digest.unwrap_or_else(|| panic!("a review: {review}"));
    format!(
        "step=write&overwrite=false&digest={}",
        digest.split('"').next().unwrap()
    )
}

#[tokio::test]
async fn another_trunkd_goes_on_with_an_upload_that_redis_keeps_encrypted_and_for_a_while() {
    let pages = Pages::start().await;
    let path = pages.upload(SHEET).await;
    let mut connection = pages.connection();
    let kept: std::collections::HashMap<String, Vec<u8>> = connection.hgetall(UPLOADS).await.unwrap();
    let (id, sealed) = kept.iter().next().unwrap();
    assert_eq!((kept.len(), format!("/import/{}", id)), (1, path.clone()));
    for words in ["tr0ub4dor", "sip.example", "t.csv"] {
        let found = sealed.windows(words.len()).any(|part| part == words.as_bytes());
        assert!(!found, "{words} can be read");
    }
    let lasts: i64 = connection.pttl(UPLOADS).await.unwrap();
    assert!((1..=15 * 60 * 1000).contains(&lasts), "{lasts}");

    let second = TestApp::start(&pages.redis, API).await;
    let there = pages.alice.at(&second);
    let known = || there.get("/gateways");
    eventually("it has read Redis", known, |page| page.contains("No trunks yet")).await;
    let review = there.get(&path).await;
    assert!(review.contains("Write 1 gateway"), "{review}");
    let third = pages.alice.post(&path, &confirmation(&review)).await;
    assert!(third.text().await.unwrap().contains("Done: 1 gateway written."));
    assert!(pages.other.field("cti_gateway@acme", "one").await.is_some());
    assert!(!connection.exists::<_, bool>(UPLOADS).await.unwrap(), "it is done");
    let again = pages.alice.post(&path, &confirmation(&review)).await;
    assert_eq!(again.status(), 404);
}

#[tokio::test]
async fn one_person_has_a_few_uploads_and_old_ones_are_gone() {
    let pages = Pages::start().await;
    let mut paths = Vec::new();
    for _ in 0..6 {
        paths.push(pages.upload(SHEET).await);
    }
    let mut connection = pages.connection();
    assert_eq!(connection.hlen::<_, usize>(UPLOADS).await.unwrap(), 4);
    assert!(pages.alice.get(&paths[0]).await.contains("no longer kept"));
    assert!(pages.alice.get(&paths[5]).await.contains("Write 1 gateway"));
    // Two large ones don't fit together.
    let line = format!("{},sip.example.net,u,p\n", "x".repeat(1000));
    let large = format!("name,realm,username,password\n{}", line.repeat(40_000));
    pages.upload(large.as_bytes()).await;
    assert_eq!(connection.hlen::<_, usize>(UPLOADS).await.unwrap(), 4);
    pages.upload(large.as_bytes()).await;
    assert_eq!(connection.hlen::<_, usize>(UPLOADS).await.unwrap(), 1);
    // As if it had been sent long ago.
    let kept: std::collections::HashMap<String, Vec<u8>> = connection.hgetall(UPLOADS).await.unwrap();
    let (id, sealed) = kept.into_iter().next().unwrap();
    let (at, rest) = id.split_once('x').unwrap();
    let ago = at.parse::<u64>().unwrap() - 16 * 60 * 1000;
    let _: () = connection.hset(UPLOADS, format!("{ago}x{rest}"), sealed).await.unwrap();
    let _: () = connection.hdel(UPLOADS, &id).await.unwrap();
    let last = pages.upload(SHEET).await;
    let ids: Vec<String> = connection.hkeys(UPLOADS).await.unwrap();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert!(pages.alice.get(&last).await.contains("Write 1 gateway"));
}

#[tokio::test]
async fn an_upload_is_nobody_elses_and_cannot_be_moved() {
    let pages = Pages::start().await;
    let path = pages.upload(SHEET).await;
    let mallory = Reader::sign_in(&pages.app, &pages.redis, ("mallory", "en"), Role::Operator, "*").await;
    assert!(mallory.get(&path).await.contains("no longer kept"));
    // Not even with access to Redis: it is sealed for alice.
    let mut connection = pages.connection();
    redis::cmd("COPY")
        .arg(UPLOADS)
        .arg("trunkd:uploads:user:mallory")
        .exec_async(&mut connection)
        .await
        .unwrap();
    assert!(mallory.get(&path).await.contains("no longer kept"));
    assert!(pages.alice.get(&path).await.contains("Write 1 gateway"));
}

#[tokio::test]
async fn only_operators_send_uploads_and_only_for_their_domains_and_from_our_own_page() {
    let pages = Pages::start().await;
    let sign_in = |name, role, domains| Reader::sign_in(&pages.app, &pages.redis, (name, "en"), role, domains);
    let viewer = sign_in("vera", Role::Viewer, "*").await;
    let refused = viewer.upload(("t.csv", SHEET), &CSV).await;
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains("this needs the role operator"));
    for path in ["/import", "/import/1x0"] {
        let refused = viewer.request(Method::GET, path).send().await.unwrap();
        assert_eq!(refused.status(), 403, "{path}");
    }
    assert_eq!(viewer.post("/import/1x0", "step=write&digest=x").await.status(), 403);
    assert_eq!(viewer.post("/import/1x0", "step=discard").await.status(), 403);
    assert_eq!(viewer.post("/import/switch", "switch=fs1").await.status(), 403);

    let otto = sign_in("otto", Role::Operator, "globex").await;
    let refused = otto.upload(("t.csv", SHEET), &CSV).await;
    assert_eq!(refused.status(), 403);
    let page = refused.text().await.unwrap();
    assert!(
        page.contains("the domain acme is not one of yours") && page.contains("value=\"acme\""),
        "{page}"
    );
    let refused = otto.post("/import/switch", "switch=fs1").await;
    assert_eq!(refused.status(), 403);

    let elsewhere = pages.alice.request_from("cross-site", Method::POST, "/import");
    let refused = with_upload(elsewhere, ("t.csv", SHEET), &CSV).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert!(
        refused
            .text()
            .await
            .unwrap()
            .contains("did not come from a page of trunkd")
    );
    assert!(!pages.connection().exists::<_, bool>(UPLOADS).await.unwrap());
}

#[tokio::test]
async fn nothing_of_an_upload_is_html_and_its_name_is_no_path() {
    let pages = Pages::start().await;
    let name = "../../etc/\u{202e}<b onclick=x>.csv";
    let sheet = "name,realm,register,<script>\n<img src=x>,a,false,1\nok,<i>\u{202e}a</i>,false,1\n";
    let answer = pages.alice.upload((name, sheet.as_bytes()), &CSV).await;
    let path = answer.headers()["location"].to_str().unwrap();
    let page = pages.alice.get(path).await;
    for tag in ["<script>", "<img src=x", "<i>", "<b onclick", "etc/"] {
        assert!(!page.contains(tag), "{tag} is in {page}");
    }
    assert!(!page.contains('\u{202e}'), "{page}");
    assert!(page.contains("\\u{202e}&#60;b onclick=x&#62;.csv"), "{page}");
    let (status, page) = pages.refused((name, b"\xff\xfe"), &CSV).await;
    assert_eq!(status, 422);
    assert!(
        page.contains(".csv: the file is not UTF-8") && !page.contains("etc/"),
        "{page}"
    );
}

#[tokio::test]
async fn xml_expands_no_entities_and_reads_and_runs_nothing() {
    let pages = Pages::start().await;
    let entities: String = (1..30)
        .map(|at| format!("<!ENTITY a{at} \"{}\">", format!("&a{};", at - 1).repeat(10)))
        .collect();
    let bomb = format!(
        "<!DOCTYPE x [<!ENTITY a0 \"aaaaaaaaaa\">{entities}<!ENTITY file SYSTEM \"file:///etc/passwd\">]>\n\
         <include>\n<X-PRE-PROCESS cmd=\"exec\" data=\"touch /tmp/trunkd-was-run\"/>\n\
         <X-PRE-PROCESS cmd=\"include\" data=\"/etc/passwd\"/>\n\
         <gateway name=\"one\">\n<param name=\"realm\" value=\"&a29;&file;\"/>\n\
         <param name=\"register\" value=\"false\"/>\n</gateway>\n</include>\n"
    );
    let options = [("kind", "fs-xml"), ("domain", "acme")];
    let answer = pages.alice.upload(("bomb.xml", bomb.as_bytes()), &options).await;
    let page = match answer.headers().get("location") {
        Some(path) => pages.alice.get(path.to_str().unwrap()).await,
        None => answer.text().await.unwrap(),
    };
    assert!(page.len() < 100_000 && !page.contains("root:"), "{page}");
    assert!(page.contains("bomb.xml:"), "it says where something is wrong: {page}");
    assert!(!std::path::Path::new("/tmp/trunkd-was-run").exists());
}

#[tokio::test]
async fn forms_that_no_page_sends_are_refused_and_nothing_is_kept() {
    let pages = Pages::start().await;
    let (status, page) = pages.refused(("t.csv", SHEET), &[("kind", "tar")]).await;
    assert!(status == 400 && page.contains("Choose what the file is."), "{page}");
    let (status, page) = pages.refused(("", b""), &CSV).await;
    assert!(status == 400 && page.contains("No file was chosen."), "{page}");
    let many = [("x", "1"); 30];
    let (status, page) = pages.refused(("t.csv", SHEET), &many).await;
    assert!(status == 400 && page.contains("did not arrive whole"), "{page}");
    let long = "x".repeat(5000);
    let (status, _) = pages.refused(("t.csv", SHEET), &[("domain", &long)]).await;
    assert_eq!(status, 400);
    for (kind, body) in [
        (
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhalf",
        ),
        ("multipart/form-data", "x"),
        ("text/plain", "x"),
    ] {
        let request = pages
            .alice
            .request(Method::POST, "/import")
            .header("Content-Type", kind);
        let answer = request.body(body).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{kind}");
        assert!(answer.text().await.unwrap().contains("did not arrive whole"));
    }
    assert!(!pages.connection().exists::<_, bool>(UPLOADS).await.unwrap());
}

#[tokio::test]
async fn a_long_import_shows_the_first_gateways_and_counts_the_rest() {
    let pages = Pages::start().await;
    let mut sheet = "name,realm,register\n".to_owned();
    for at in 0..3000 {
        sheet += &format!("gw{at},sip.example.net,false\n");
    }
    for at in 0..200 {
        sheet += &format!("bad {at},sip.example.net,false\n");
    }
    let page = pages.alice.get(&pages.upload(sheet.as_bytes()).await).await;
    assert!(
        page.contains("<dd>3000</dd>") && page.contains("<dd>200</dd>"),
        "{page}"
    );
    assert!(page.contains("and 2950 more") && page.contains("and 150 more"));
    assert!(page.len() < 200_000, "{} bytes", page.len());
    // A value that is long, and a gateway of many of them.
    let header: String = (0..500).map(|at| format!(",var:v{at}")).collect();
    let long = format!(
        "name,realm,register,description{header}\none,a.example,false,{}{}\n",
        "x".repeat(50_000),
        ",1".repeat(500)
    );
    let page = pages.alice.get(&pages.upload(long.as_bytes()).await).await;
    assert!(page.contains("503 fields") && page.contains("and 453 more"), "{page}");
    assert!(page.len() < 200_000, "{} bytes", page.len());
}

#[tokio::test]
async fn while_redis_is_away_an_upload_is_refused_and_none_of_it_is_in_the_page() {
    let mut pages = Pages::start().await;
    let review = pages.upload(SHEET).await;
    let sent = confirmation(&pages.alice.get(&review).await);
    pages.redis.kill();
    let (status, page) = pages.refused(("t.csv", SHEET), &CSV).await;
    assert_eq!(status, 503);
    assert!(
        !page.contains("tr0ub4dor") && !page.contains("<form class=\"stack\""),
        "{page}"
    );
    // A confirmation can be sent again.
    let away = pages.alice.post(&review, &sent).await;
    assert_eq!(away.status(), 503);
    let page = away.text().await.unwrap();
    assert!(
        page.contains("Send it again") && page.contains("name=\"digest\""),
        "{page}"
    );
}

#[tokio::test]
async fn an_import_that_fails_half_way_shows_what_is_written_and_what_is_left() {
    let pages = Pages::start().await;
    let permit = async |rules: &[&str]| {
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg("default").arg(rules);
        command.exec_async(&mut pages.connection()).await.unwrap();
    };
    let sheet = b"name,domain,realm,register\none,acme,r,false\none,globex,r,false\none,initech,r,false\n";
    let answer = pages.alice.upload(("t.csv", sheet), &[("kind", "csv")]).await;
    let path = answer.headers()["location"].to_str().unwrap();
    let review = pages.alice.get(path).await;
    permit(&[
        "resetkeys",
        "~cti_gateway@acme",
        "%R~cti_gateway@*",
        "~trunkd:*",
        "~gateways",
    ])
    .await;
    let stopped = pages
        .alice
        .post(path, &confirmation(&review))
        .await
        .text()
        .await
        .unwrap();
    for text in [
        "1 gateways are written, then this failed:",
        "<bdi>acme</bdi></a></th><td class=\"number\" data-label=\"Gateways\">1</td>",
        "data-label=\"Outcome\">written</td>",
        "not written: Redis failed before its turn",
        "See what is left",
    ] {
        assert!(stopped.contains(text), "{text}: {stopped}");
    }
    permit(&["allkeys"]).await;
    let left = pages.alice.get(path).await;
    assert!(left.contains("Write 2 gateways"), "{left}");
    let done = pages.alice.post(path, &confirmation(&left)).await.text().await.unwrap();
    assert!(done.contains("Done: 2 gateways written."), "{done}");
}

#[tokio::test]
async fn a_domain_that_is_changed_while_an_upload_is_written_is_left_alone_and_the_upload_stays() {
    // Without a trunkd, so that the only script is that of the edit.
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    other.set_gateway("globex", "known", TRUNK).await;
    let folder = tempfile::tempdir().unwrap();
    let service = Arc::new(Service::open(&settings(&redis, folder.path(), "")).unwrap());
    let caller = Caller::cli();
    let upload = Upload {
        kind: Kind::Csv,
        name: "t.csv".to_owned(),
        domain: None,
        profile: None,
        bytes: "name,domain,realm,register\none,acme,r,false\ntwo,globex,r,false\n".into(),
    };
    let place = service.upload_place(&caller).await.unwrap();
    let id = service.keep_upload(&caller, upload, place).await.unwrap();
    let digest = service.draft_upload(&caller, &id, false).await.unwrap().digest;
    // Redis holds back writes and scripts, in their order.
    let client_command = async |arguments: &[&str]| {
        let mut command = redis::cmd("CLIENT");
        command.arg(arguments);
        command.exec_async(&mut other.connection.clone()).await.unwrap();
    };
    client_command(&["PAUSE", "60000", "WRITE"]).await;
    let writer = Other::new(&redis).await;
    let theirs = tokio::spawn(async move { writer.set_gateway("acme", "one", TRUNK).await });
    waits(&other, "hset").await;
    let ours = {
        let (service, id) = (service.clone(), id.clone());
        tokio::spawn(async move { service.write_upload(&Caller::cli(), &id, false, &digest).await })
    };
    waits(&other, "evalsha").await;
    client_command(&["UNPAUSE"]).await;
    theirs.await.unwrap();
    let Ok(UploadOutcome::Written(answer)) = ours.await.unwrap() else {
        panic!("it was the difference that was shown");
    };
    let domains = &answer.difference.domains;
    let outcomes: Vec<_> = domains.iter().map(|domain| (&*domain.domain, domain.outcome)).collect();
    let expected = [
        ("acme", DomainOutcome::ChangedMeanwhile),
        ("globex", DomainOutcome::Written),
    ];
    assert_eq!(outcomes, expected);
    let left = service.draft_upload(&caller, &id, false).await.unwrap().draft;
    assert_eq!(left.existing.len(), 1, "theirs differs, and is left alone");
}
