//! Every page in Chinese, in situations in which much has gone wrong: no English sentence is left. Words
//! of FreeSWITCH, of carriers and of the system stay.

use reqwest::Method;
use trunkd::access::Role;

use crate::support::api::API;
use crate::support::app::{Other, TestApp, eventually};
use crate::support::bilingual::english_sentence;
use crate::support::fake_switch::{FORBIDDEN, FakeSwitch, Outcome};
use crate::support::pages::Reader;
use crate::support::redis::RedisServer;

const SETTINGS: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\nmax_removals = 2\n";
/// Nobody listens there.
const AWAY: &str = "[[switch]]\nname = \"fs2\"\naddress = \"127.0.0.1:1\"\npassword = \"ClueCon\"\n";
const PASSWORD: &str = "correct horse battery";

/// What may stand on a Chinese page although it looks like English.
const NOT_OURS: [&str; 6] = [
    // At the end of each title.
    " · trunkd",
    // The other language, by its own name.
    "English",
    // The system's words for a connection that failed.
    "Connection refused (os error 111)",
    // The carrier's.
    "Forbidden",
    "Request Timeout",
    // An example of a value.
    "sip.example.net",
];

fn account(more: &str) -> String {
    format!(r#"{{"param":{{"realm":"sip.example.net","username":"u","password":"p"}}{more}}}"#)
}

/// Somebody who reads Chinese.
struct Chinese(Reader);

impl Chinese {
    async fn sign_in(app: &TestApp, redis: &RedisServer, name: &str, role: Role, domains: &str) -> Self {
        Self(Reader::sign_in(app, redis, (name, "zh-CN,zh"), role, domains).await)
    }

    /// The page has this text and no English.
    async fn reads(&self, path: &str, text: &str) {
        check(path, &self.0.get(path).await, text);
    }

    async fn is_told(&self, path: &str, form: &str, text: &str) {
        let page = self.0.post(path, form).await.text().await.unwrap();
        check(&format!("POST {path} {form}"), &page, text);
    }
}

#[track_caller]
fn check(what: &str, html: &str, text: &str) {
    assert!(html.contains(text), "{text} is not on {what}:\n{:#?}", texts(html));
    let english: Vec<_> = texts(html).into_iter().filter(|text| is_english(text)).collect();
    assert!(english.is_empty(), "English on {what}: {english:#?}");
}

/// Either a sentence, or two words without any Chinese beside them.
fn is_english(text: &str) -> bool {
    let text = NOT_OURS
        .iter()
        .fold(text.to_owned(), |text, known| text.replace(known, ""));
    let is_chinese = text.chars().any(|c| c > '\u{2E80}');
    let is_word = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_alphabetic());
    english_sentence(&text).is_some() || !is_chinese && text.split_whitespace().filter(is_word).count() > 1
}

/// What a person reads or hears: text, and attributes that are shown. Code and what was typed is left out.
fn texts(html: &str) -> Vec<String> {
    const SHOWN: [&str; 4] = [" title=\"", " aria-label=\"", " placeholder=\"", " alt=\""];
    let (mut found, mut skipped) = (Vec::new(), None);
    for part in html.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or((part, ""));
        let name = tag.split([' ', '\n']).next().unwrap();
        if skipped.is_none() && ["code", "pre", "textarea"].contains(&name) {
            skipped = Some(format!("/{name}"));
        } else if skipped.as_deref() == Some(name) {
            skipped = None;
        }
        if skipped.is_some() {
            continue;
        }
        let attributes = SHOWN
            .iter()
            .filter_map(|attribute| tag.split_once(attribute)?.1.split('"').next());
        found.extend(
            attributes
                .chain([text])
                .map(unescaped)
                .filter(|text| !text.trim().is_empty()),
        );
    }
    found
}

fn unescaped(text: &str) -> String {
    let signs = [
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ];
    signs
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[test]
fn english_is_noticed() {
    let html = r#"<p title="no answer">好 <b>it is being deleted or so</b><code>a b c d e</code> x</p>"#;
    let english: Vec<_> = texts(html).into_iter().filter(|text| is_english(text)).collect();
    assert_eq!(english, ["no answer", "it is being deleted or so"]);
}

/// Gateways of every kind of trouble.
async fn trouble(other: &Other, switch: &FakeSwitch) {
    let ours = [
        ("fine", account("")),
        ("refused", account("")),
        ("silent", account(r#","description":"x""#)),
        (
            "unanswered",
            r#"{"param":{"realm":"b.example.net","register":false,"ping":5}}"#.to_owned(),
        ),
        ("elsewhere", account(r#","nodes":["FS1"]"#)),
        ("noprofile", account(r#","profile":"internal-x""#)),
        ("theirs", account("")),
        ("off", account(r#","enabled":false"#)),
        ("invalid", r#"{"param":{"realm":"sip.example.net"}}"#.to_owned()),
        ("broken", "[]".to_owned()),
        ("warned", account(r#","pasword":"x""#)),
    ];
    let foreign =
        r#"<gateway name="theirs"><param name="realm" value="x"/><param name="register" value="false"/></gateway>"#;
    switch.add_gateways("external", foreign);
    for (name, value) in ours {
        other.set_gateway("acme", name, &value).await;
    }
    other.set_gateway("globex", "fine", &account("")).await;
    for number in 0..5 {
        other.set_gateway("many", &format!("m{number}"), &account("")).await;
    }
    switch.wait_for_state("fine", "REGED").await;
    switch.wait_for_state("refused", "FAIL_WAIT").await;
    switch.wait_for_state("m4", "REGED").await;
    // As an earlier edit left it, a valid version stays.
    other.set_gateway("acme", "m4", "[]").await;
    for number in 0..4 {
        other.delete_gateway("many", &format!("m{number}")).await;
    }
}

#[tokio::test]
async fn no_page_has_an_english_sentence() {
    let redis = RedisServer::start().await;
    let switch = FakeSwitch::builder()
        .registrar(|registrar| {
            registrar.set("refused", FORBIDDEN);
            registrar.set("silent", Outcome::Silent);
            registrar.set_ping("unanswered", Outcome::Silent);
        })
        .start()
        .await;
    let app = TestApp::with_switch(&redis, &switch, &format!("{AWAY}{API}{SETTINGS}")).await;
    let other = Other::new(&redis).await;
    trouble(&other, &switch).await;
    let admin = Chinese::sign_in(&app, &redis, "li", Role::Admin, "*").await;
    let plan = || admin.0.get("/plan");
    eventually("the removals are held", plan, |page| page.contains("已暂缓")).await;

    admin.reads("/gateways", "共 ").await;
    admin.reads("/gateways?state=down", "refused").await;
    admin.reads("/gateways?q=nothing+at+all", "没有").await;
    admin.reads("/plan", "无法在 127.0.0.1:1 读取它：无法连接").await;
    admin.reads("/plan?switch=fs1&adopt=true", "已暂缓").await;
    admin.reads("/switches", "无法连接：").await;
    admin.reads("/history", "变更计划：已暂缓").await;
    for page in ["/users", "/password", "/gateways/new", "/gateways/new?preset=ims"] {
        admin.reads(page, "<h1>").await;
    }
    let names = [
        "fine",
        "refused",
        "silent",
        "unanswered",
        "elsewhere",
        "noprofile",
        "theirs",
        "off",
        "invalid",
        "broken",
        "warned",
    ];
    for name in names {
        admin.reads(&format!("/domains/acme/gateways/{name}"), name).await;
        admin.reads(&format!("/domains/acme/gateways/{name}/edit"), name).await;
    }
    imports(&admin).await;
    mistakes(&admin).await;

    let viewer = Chinese::sign_in(&app, &redis, "wang", Role::Viewer, "acme").await;
    viewer.is_told("/switches/pause", "switch=fs1", "此操作需要角色").await;
    viewer.reads("/domains/globex/gateways/fine", "您没有域").await;
    viewer.reads("/plan?adopt=true", "需要所有域").await;
}

/// The form of imports, what is wrong with files, the review and the result.
async fn imports(admin: &Chinese) {
    admin.reads("/import", "从交换机导入").await;
    admin.reads("/import/1x0", "上传的内容已不再保留").await;
    let is_told = async |file: (&str, &str), kind: &str, text: &str| {
        let answer = admin
            .0
            .upload((file.0, file.1.as_bytes()), &[("kind", kind), ("domain", "acme")])
            .await;
        check(&format!("import of {}", file.0), &answer.text().await.unwrap(), text);
    };
    is_told(("empty.csv", " "), "csv", "文件是空的").await;
    is_told(("rows.csv", "name\na,b\n"), "csv", "rows.csv").await;
    is_told(("a.yaml", "name: [\n"), "documents", "无法读取").await;
    is_told(("a.sql", "x"), "fusionpbx", "a.sql").await;
    is_told(("a.csv", "x"), "cvs", "请选择文件类型").await;
    is_told(("", ""), "csv", "未选择文件").await;
    let sheet = "name,realm,register,cid-type,colour\nfine,b.example,false,,1\nneu,b.example,false,pid,1\nbad,,,,1\n";
    let review = async |more: &str| {
        let options = [("kind", "csv"), ("domain", "acme")];
        let answer = admin.0.upload(("t.csv", sheet.as_bytes()), &options).await;
        answer.headers()["location"].to_str().unwrap().to_owned() + more
    };
    let path = review("").await;
    admin.reads(&path, "保持已存储的内容").await;
    admin.reads(&(path.clone() + "?overwrite=true"), "将被替换").await;
    admin.is_told(&path, "step=write&digest=x", "期间差异已发生变化").await;
    let page = admin.0.get(&path).await;
    let digest = page.split("name=\"digest\" value=\"").nth(1).unwrap();
    let digest = digest.split('"').next().unwrap();
    let written = format!("step=write&digest={digest}");
    admin.is_told(&path, &written, "完成：已写入 1 个网关").await;
    admin.is_told("/import/switch", "switch=fs9", "没有名为").await;
    admin
        .is_told("/import/switch", "switch=fs2", "无法读取 fs2 的配置")
        .await;
}

/// What people do wrong, and what they are told.
async fn mistakes(admin: &Chinese) {
    admin.reads("/nothing", "未找到").await;
    admin.reads("/domains/acme/gateways/nothing", "没有网关").await;
    admin.reads("/history?after=x", "after 无法识别").await;
    admin.reads("/gateways?state=sideways", "没有这样的状态").await;
    admin.reads("/plan?switch=fs9", "没有名为").await;
    admin.reads("/plan?adopt=perhaps", "地址或表单无法解读").await;
    let new = "preset=account&step=review&domain=acme&name=a+b&param.realm=r";
    admin.is_told("/gateways/new", new, "名称").await;
    let user = format!(
        "name=zhao&role=viewer&domains=a,,b&password={}",
        PASSWORD.replace(' ', "+")
    );
    admin.is_told("/users", &user, "有一个域没有名称").await;
    admin
        .is_told("/users", &user.replace("a,,b", "a,*"), "表示所有域")
        .await;
    admin.is_told("/users/remove", "name=nobody", "nobody").await;
    let wrong = "name=li&password=not+this+one&next=/";
    admin.is_told("/sign-in", wrong, "password").await;
    // What can't be restarted says why.
    let restart = "do=restart&all=1&filter=domain%3Dacme";
    admin.is_told("/gateways/bulk", restart, "没有下发").await;
    let delete = "do=delete&all=1&filter=domain%3Dacme";
    admin.is_told("/gateways/bulk", delete, "已暂缓").await;
    let elsewhere = admin.0.request_from("cross-site", Method::POST, "/sign-in");
    let elsewhere = elsewhere.header("Content-Type", "application/x-www-form-urlencoded");
    let refused = elsewhere.body(wrong).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    check(
        "a form of another site",
        &refused.text().await.unwrap(),
        "并非来自 trunkd 的页面",
    );
}
