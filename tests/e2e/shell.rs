//! A shell in which commands are typed, as an operator does.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::program::{TEMPLATES, text};
use crate::support::redis::RedisServer;

/// A shell in a folder whose settings name the Redis.
pub(super) struct Shell {
    folder: tempfile::TempDir,
}

/// What a command said, and its exit status.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: i32,
    pub(super) out: String,
    pub(super) error: String,
}

impl Shell {
    pub(super) fn new(redis: &RedisServer, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = format!("[redis]\nurl = {:?}\n{more}", redis.url());
        std::fs::write(folder.path().join("trunkd.toml"), settings).unwrap();
        Self { folder }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `trunkd …`, with this on its standard input.
    pub(super) async fn typed(&self, arguments: &[&str], input: &str) -> Said {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_trunkd"));
        command
            .current_dir(self.path())
            .args(["--templates", TEMPLATES])
            .args(arguments)
            .env("TZ", "UTC")
            .env("TRUNKD_SECRET_OF_TEST", "from-the-environment")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It may end without reading.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await.unwrap().into()
    }

    /// `trunkd …`.
    pub(super) async fn run(&self, arguments: &[&str]) -> Said {
        self.typed(arguments, "").await
    }

    /// `trunkd gateway …`, with this on its standard input.
    pub(super) async fn gateway_typed(&self, arguments: &[&str], input: &str) -> Said {
        self.typed(&[&["gateway"], arguments].concat(), input).await
    }

    /// `trunkd gateway …`.
    pub(super) async fn gateway(&self, arguments: &[&str]) -> Said {
        self.gateway_typed(arguments, "").await
    }

    /// Writes a file beside the settings.
    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap(),
            out: text(&output.stdout),
            error: text(&output.stderr),
        }
    }
}

impl Said {
    /// The standard output, if it ended with this status.
    #[track_caller]
    pub(super) fn expect(&self, status: i32) -> &str {
        assert_eq!(self.status, status, "{self:#?}");
        &self.out
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(self.expect(0)).unwrap()
    }
}
