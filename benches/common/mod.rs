//! Shared by the benchmarks: the machine they run on, times and their percentiles, gateways as
//! operators have them, trunkd as a process, and the server that it is compared with.
#![allow(dead_code, unreachable_pub, reason = "each benchmark uses its part")]

pub mod bare_server;
pub mod http;
pub mod streams;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// `QUICK=1`: the short form, for every day.
pub fn is_quick() -> bool {
    env::var("QUICK").is_ok_and(|value| !matches!(value.as_str(), "" | "0"))
}

/// Cores, processor and versions.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |model| model.trim_start_matches([' ', '\t', ':']));
    let first_line = |program: &str| {
        let output = Command::new(program).arg("--version").output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
    };
    let [rustc, redis] =
        ["rustc", "redis-server"].map(|program| first_line(program).unwrap_or_else(|| format!("no {program}")));
    format!(
        "trunkd {} · {cores} cores, {model} · {rustc} · {redis}",
        env!("CARGO_PKG_VERSION")
    )
}

/// Sorted times.
pub struct Times(Vec<Duration>);

impl Times {
    pub fn new(times: impl Iterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.collect();
        times.sort_unstable();
        Self(times)
    }

    /// The percentile, such as the median at 50.
    pub fn at(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.max(1) - 1).copied().unwrap_or_default()
    }
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

pub fn number(text: &str) -> usize {
    let number = text.trim().parse();
    number.unwrap_or_else(|_| panic!("{text:?} is no number"))
}

/// A gateway's value, as operators have them.
pub fn account(number: usize) -> String {
    format!(
        r#"{{"param":{{"realm":"sip{}.example.net","username":"user{number:05}","password":"a-long-password-{number:05}","register":"true","expire-seconds":"3600","retry-seconds":"30","caller-id-in-from":"false"}},"variables":{{"sip_sticky_contact":"true","absolute_codec_string":"PCMA,PCMU","p:caller_id_number":"+49301{number:05}"}}}}"#,
        number % 50
    )
}

/// `trunkd serve` as a process, killed when dropped.
pub struct Program {
    child: Child,
    pub address: SocketAddr,
    /// Where the API listens.
    pub api: SocketAddr,
    _folder: TempDir,
}

impl Program {
    /// With these settings (TOML); it listens on a free port.
    pub fn start(toml: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = folder.path().join("trunkd.toml");
        fs::write(&settings, toml).expect("settings can be written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_trunkd"))
            .current_dir(folder.path())
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&settings)
            .arg("--templates")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"))
            .env("TRUNKD_LOG__FORMAT", "json")
            .env("TRUNKD_API__LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("trunkd starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let addresses = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line).ok()?;
            let address = |field: &str| line[field].as_str()?.parse().ok();
            Some((address("address")?, address("api")?))
        });
        let (address, api) = addresses.expect("trunkd says where it listens");
        // trunkd must never wait for a reader of its log.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address,
            api,
            _folder: folder,
        }
    }

    /// Resident memory now, in bytes.
    pub fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The peak of resident memory since the start or [`Program::forget_peak`], in bytes.
    pub fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("the peak can be set back");
    }

    fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("trunkd runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.expect("the kernel says so") * 1024
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// What mod_xml_curl posts for `sofia.conf`, with more pairs after it.
pub fn request(more: &str) -> Vec<u8> {
    let form =
        format!("hostname=fs1&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf&{more}");
    format!(
        "POST /xml_curl HTTP/1.1\r\nHost: trunkd\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .into_bytes()
}

/// The output of redis-benchmark (a client on hiredis) with one connection.
pub fn redis_benchmark(port: u16, arguments: &[&str]) -> String {
    let output = Command::new("redis-benchmark")
        .args(["-p", &port.to_string(), "-c", "1"])
        .args(arguments)
        .output()
        .expect("redis-benchmark comes with redis-server");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
