//! trunkd as a process: this executable, started again with an environment that makes it trunkd.

use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use trunkd::app::Application;
use trunkd::settings::{Settings, Sources};

use crate::support::app::{eventually, quick};

/// The folder with the settings.
const FOLDER: &str = "TRUNKD_CHAOS_PROGRAM";
const SETTINGS: &str = "trunkd.toml";
const ADDRESS: &str = "address";
const LOG: &str = "log";
const DATA: &str = "data";

/// A trunkd that can be killed and started again with its data.
pub(crate) struct Trunkd {
    folder: PathBuf,
    child: Option<Child>,
    addresses: Addresses,
    index: usize,
}

/// Where each trunkd listens, if it is alive.
#[derive(Clone, Default)]
pub(crate) struct Addresses(Arc<Mutex<Vec<Option<Address>>>>);

/// The process of one start: the next one may get the same port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) listens: SocketAddr,
    api: SocketAddr,
    since: Instant,
}

impl Trunkd {
    /// With a folder of its own, and more settings than every trunkd here has.
    pub(crate) fn new(folder: &Path, redis: &str, more: &str, addresses: &Addresses) -> Self {
        let index = addresses.add();
        let folder = folder.join(format!("trunkd{index}"));
        fs::create_dir(&folder).unwrap();
        let templates = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
        let toml = format!(
            "data_dir = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n[api]\nlisten = \"127.0.0.1:0\"\n[redis]\nurl = {redis:?}\n[templates]\ndir = {templates:?}\n\
             [log]\nlevel = \"debug,trunkd::http=warn,trunkd::app::source=warn\"\nformat = \"human\"\n{more}",
            folder.join(DATA),
        );
        fs::write(folder.join(SETTINGS), toml).unwrap();
        Self {
            folder,
            child: None,
            addresses: addresses.clone(),
            index,
        }
    }

    pub(crate) async fn start(&mut self) {
        let _ = fs::remove_file(self.folder.join(ADDRESS));
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join(LOG))
            .unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "trunkd_itself", "--nocapture"])
            .env(FOLDER, &self.folder)
            .stdin(Stdio::piped()) // ends with this process, and trunkd with it
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let file = self.folder.join(ADDRESS);
        let read = || async { fs::read_to_string(&file).ok() };
        let address = eventually("trunkd listens", read, Option::is_some).await.unwrap();
        let (listens, api) = address.split_once(' ').unwrap();
        let found = (listens.parse().unwrap(), api.parse().unwrap());
        self.addresses.set(self.index, Some(found));
    }

    /// SIGKILL
    pub(crate) fn kill(&mut self) {
        self.addresses.set(self.index, None);
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.child.is_some()
    }

    /// Whether a restart while Redis is away would have something to serve
    pub(crate) fn has_kept_a_state(&self) -> bool {
        self.folder.join(DATA).join("last-good").exists()
    }

    /// Panics if it ended by itself.
    pub(crate) fn must_not_have_ended(&mut self) {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
        assert!(ended.is_none(), "trunkd {} ended by itself: {ended:?}", self.index);
    }
}

impl Drop for Trunkd {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Addresses {
    pub(crate) fn of(&self, index: usize) -> Option<Address> {
        self.0.lock().unwrap()[index]
    }

    /// The addresses of those that are alive
    pub(crate) fn all(&self) -> Vec<SocketAddr> {
        let alive = self.0.lock().unwrap();
        alive.iter().flatten().map(|address| address.listens).collect()
    }

    /// Where the APIs of those that are alive listen
    pub(crate) fn apis(&self) -> Vec<SocketAddr> {
        let alive = self.0.lock().unwrap();
        alive.iter().flatten().map(|address| address.api).collect()
    }

    /// Another trunkd, not alive yet
    fn add(&self) -> usize {
        let mut all = self.0.lock().unwrap();
        all.push(None);
        all.len() - 1
    }

    fn set(&self, index: usize, found: Option<(SocketAddr, SocketAddr)>) {
        let since = Instant::now();
        self.0.lock().unwrap()[index] = found.map(|(listens, api)| Address { listens, api, since });
    }
}

/// The last lines of the logs of all trunkd processes whose folders are in this one.
pub(crate) fn logs(folder: &Path) -> String {
    const LINES: usize = 100;
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let log = fs::read(entry.path().join(LOG)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        text += &format!("--- the end of the log of {}\n", entry.file_name().display());
        text += &lines[lines.len().saturating_sub(LINES)..].join("\n");
        text += "\n";
    }
    text
}

/// Runs trunkd until it is killed or its standard input ends. Returns if no schedule started this
/// process.
pub(crate) fn run_if_asked() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let sources = Sources {
        config: Some(folder.join(SETTINGS)),
        ..Sources::default()
    };
    let settings = Settings::load_from(&sources, figment::Figment::new()).unwrap();
    let _log = trunkd::telemetry::init(&settings.log).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let application = Application::build(settings, quick()).await.unwrap();
        let unfinished = folder.join("address.unfinished");
        let api = application.api_address().unwrap();
        fs::write(&unfinished, format!("{} {api}", application.address())).unwrap();
        fs::rename(unfinished, folder.join(ADDRESS)).unwrap();
        application.run_until_stopped(CancellationToken::new()).await.unwrap();
    });
}
