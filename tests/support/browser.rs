//! A person at a browser: Chromium without a window, driven by chromedriver (Debian's packages chromium and
//! chromium-driver, which `scripts/setup.sh` installs).

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::app::TestApp;

/// How long to wait for a page to show something.
const DEADLINE: Duration = Duration::from_secs(20);

/// A browser with a profile of its own.
pub struct Browser {
    pub client: Client,
    base: String,
    driver: Driver,
}

/// What the person prefers.
#[derive(Debug, Clone)]
pub struct Person {
    /// As in `Accept-Language`.
    pub language: &'static str,
    pub dark: bool,
    /// Of the window, in CSS pixels.
    pub width: u32,
    pub height: u32,
    pub javascript: bool,
}

impl Default for Person {
    fn default() -> Self {
        Self {
            language: "en-US,en",
            dark: false,
            width: 1280,
            height: 900,
            javascript: true,
        }
    }
}

/// Ends with its owner, and its browser with it.
struct Driver {
    child: Child,
    browser: Option<Pid>,
    _profile: tempfile::TempDir,
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A chromedriver that is killed leaves its browser behind.
        if let Some(browser) = self.browser {
            let _ = kill(browser, Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the browser wrote to its console.
#[derive(Debug)]
struct ReadLog;

impl WebDriverCompatibleCommand for ReadLog {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({"type": "browser"}).to_string()))
    }
}

/// A command of Chromium's DevTools.
#[derive(Debug)]
struct DevTools(Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.0.to_string()))
    }
}

impl Browser {
    pub async fn start(app: &TestApp) -> Self {
        Self::of(app, &Person::default()).await
    }

    pub async fn of(app: &TestApp, person: &Person) -> Self {
        let (mut driver, port) = start_driver();
        let profile = driver._profile.path().display().to_string();
        let mut arguments = vec![
            "--headless=new".to_owned(),
            // Tests may run as root, and trust the pages that they open.
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            format!("--user-data-dir={profile}"),
            format!("--window-size={},{}", person.width, person.height),
            format!("--accept-lang={}", person.language),
        ];
        if person.dark {
            arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
        } else {
            arguments.push("--blink-settings=preferredColorScheme=1".to_owned());
        }
        let mut preferences = json!({"intl.accept_languages": person.language});
        if !person.javascript {
            preferences["profile.managed_default_content_settings.javascript"] = json!(2);
        }
        let capabilities = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": arguments, "prefs": preferences},
        });
        let capabilities = capabilities.as_object().expect("an object").clone();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("chromedriver starts a Chromium");
        let id = client.capabilities().and_then(|of| of.get("goog:processID")?.as_i64());
        driver.browser = id.and_then(|id| Some(Pid::from_raw(id.try_into().ok()?)));
        Self {
            client,
            base: format!("http://{}", app.api_address.expect("the pages are served")),
            driver,
        }
    }

    pub async fn open(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.client.goto(&url).await.expect("the page opens");
    }

    /// Path and query of the page that is open.
    pub async fn path(&self) -> String {
        let url = self.client.current_url().await.expect("an address");
        match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        }
    }

    /// All text that can be seen.
    pub async fn text(&self) -> String {
        // Between two pages there is none.
        let Ok(body) = self.client.find(Locator::Css("body")).await else {
            return String::new();
        };
        // While the page changes, it may be another one by now.
        body.text().await.unwrap_or_default()
    }

    /// Waits until the page shows this.
    #[track_caller]
    pub fn wait_for_text<'a>(&'a self, text: &'a str) -> impl Future<Output = ()> + 'a {
        let place = std::panic::Location::caller();
        async move {
            let start = Instant::now();
            loop {
                let shown = self.text().await;
                if shown.contains(text) {
                    return;
                }
                assert!(
                    start.elapsed() < DEADLINE,
                    "{place}: waited in vain for {text:?} on\n{shown}"
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Waits until the page is at this path.
    #[track_caller]
    pub fn wait_for_path<'a>(&'a self, path: &'a str) -> impl Future<Output = ()> + 'a {
        let place = std::panic::Location::caller();
        async move {
            let start = Instant::now();
            loop {
                let now = self.path().await;
                if now == path {
                    return;
                }
                assert!(
                    start.elapsed() < DEADLINE,
                    "{place}: waited in vain for {path}, and it is {now}"
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Waits for an element.
    pub async fn find(&self, css: &str) -> Element {
        self.wait(Locator::Css(css)).await
    }

    pub async fn all(&self, css: &str) -> Vec<Element> {
        self.client.find_all(Locator::Css(css)).await.expect("elements")
    }

    async fn wait(&self, locator: Locator<'_>) -> Element {
        let found = self.client.wait().at_most(DEADLINE).for_element(locator).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("{locator:?}: {error}, on\n{}", self.text().await),
        }
    }

    /// The control with this label, as somebody who hears the page finds it.
    pub async fn labelled(&self, label: &str) -> Element {
        let xpath = format!(
            "//*[@id = //label[normalize-space(text()) = {0}]/@for] | //label[normalize-space(text()[1]) = {0}]//*[self::input \
             or self::select or self::textarea] | //*[self::input or self::select or self::textarea][@aria-label = {0}]",
            quoted(label)
        );
        self.wait(Locator::XPath(&xpath)).await
    }

    /// Fills in the control with this label.
    pub async fn fill(&self, label: &str, text: &str) {
        let field = self.labelled(label).await;
        field.clear().await.expect("it can be emptied");
        field.send_keys(text).await.expect("it can be filled in");
    }

    /// Clicks on the link or button with this text.
    pub async fn click(&self, text: &str) {
        let xpath = format!(
            "//a[normalize-space(.) = {0}] | //button[normalize-space(.) = {0}] | //summary[normalize-space(.) = {0}]",
            quoted(text)
        );
        self.click_at(Locator::XPath(&xpath)).await;
    }

    /// Clicks on the first element of this kind.
    pub async fn click_on(&self, css: &str) {
        self.click_at(Locator::Css(css)).await;
    }

    async fn click_at(&self, locator: Locator<'_>) {
        let start = Instant::now();
        loop {
            match self.wait(locator).await.click().await {
                Ok(()) => return,
                // It was replaced meanwhile, as live regions are.
                Err(error) if error.is_stale_element_reference() && start.elapsed() < DEADLINE => {}
                Err(error) => panic!("{locator:?} can't be clicked: {error}"),
            }
        }
    }

    /// Presses keys one after another, wherever the focus is.
    pub async fn press(&self, keys: &str) {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for value in keys.chars() {
            actions = actions.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        self.client.perform_actions(actions).await.expect("keys are pressed");
    }

    /// Makes the page exactly this large, in CSS pixels. Windows are never narrower than 500.
    pub async fn resize(&self, width: u32, height: u32) {
        self.dev_tools("Emulation.setScrollbarsHidden", json!({"hidden": true}))
            .await;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.dev_tools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Shows pages to somebody who wants no motion.
    pub async fn reduce_motion(&self) {
        let features = json!([{"name": "prefers-reduced-motion", "value": "reduce"}]);
        self.dev_tools("Emulation.setEmulatedMedia", json!({"features": features}))
            .await;
    }

    /// Shows pages as they are printed.
    pub async fn print(&self) {
        self.dev_tools("Emulation.setEmulatedMedia", json!({"media": "print"}))
            .await;
    }

    async fn dev_tools(&self, command: &str, params: Value) {
        let command = json!({"cmd": command, "params": params});
        let done = self.client.issue_cmd(DevTools(command)).await;
        done.expect("Chromium knows this command");
    }

    /// Runs a script in the page.
    pub async fn script(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.expect("the script runs")
    }

    /// A picture of the page, as PNG.
    pub async fn screenshot(&self) -> Vec<u8> {
        self.client.screenshot().await.expect("a picture")
    }

    /// What the console has as errors since the last call, such as what the Content-Security-Policy blocked.
    pub async fn errors(&self) -> Vec<String> {
        let log = self.client.issue_cmd(ReadLog).await.expect("the console");
        let entries = log.as_array().cloned().unwrap_or_default();
        let bad = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        bad.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Ends the browser. Its console must have no error.
    pub async fn close(self) {
        assert_eq!(self.errors().await, Vec::<String>::new());
        let _: Result<(), CmdError> = self.client.close().await;
        drop(self.driver);
    }
}

/// A text as XPath writes it.
fn quoted(text: &str) -> String {
    assert!(!text.contains('"'), "XPath can't quote this: {text}");
    format!("\"{text}\"")
}

/// A chromedriver on a port that it chose.
fn start_driver() -> (Driver, u16) {
    let profile = tempfile::tempdir().expect("a folder for the profile");
    let started = Command::new("chromedriver")
        .args(["--port=0", "--allowed-ips=127.0.0.1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = started.unwrap_or_else(|error| {
        panic!(
            "chromedriver can't be started ({error}), so the pages are not tested: install it with \
             `scripts/setup.sh chromium chromedriver`"
        )
    });
    let output = child.stdout.take().expect("its output");
    let mut lines = BufReader::new(output).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let rest = line.split_once("started successfully on port ")?.1;
        rest.trim_end_matches('.').parse().ok()
    });
    let driver = Driver {
        child,
        browser: None,
        _profile: profile,
    };
    // Reads on, so that it never waits for a reader.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    (driver, port.expect("chromedriver names its port"))
}
