//! What the form of an import sends: a file, what it is, and options.

use std::time::Duration;

use actix_multipart::{Field, Multipart};
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::import::ImportError;
use crate::language::{Bilingual, Message};
use crate::operate::upload::{Kind, MAX_UPLOAD_BYTES, Upload};
use crate::portal::Problem;
use crate::shown::shown;
use crate::web::failure::Failure;
use crate::web::texts::Texts;

/// How long a whole upload may take. The largest one does at 2 Mbit/s.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// The longest option.
const MAX_OPTION_BYTES: usize = 1024;
/// The most parts of a form. Ours has fewer.
const MOST_PARTS: usize = 16;

/// The form, but for its file.
#[derive(Default)]
pub(super) struct Options {
    /// A word of [`KINDS`], if anything.
    pub(super) kind: String,
    pub(super) domain: String,
    pub(super) profile: String,
    pub(super) overwrite: bool,
}

struct File {
    name: String,
    /// `None`: there are too many.
    bytes: Option<Bytes>,
}

/// What a file can be: the form's word, and the id of its text.
pub(super) const KINDS: [(&str, Kind, &str); 5] = [
    ("documents", Kind::Documents, "import-kind-documents"),
    ("fs-xml", Kind::FsXml, "import-kind-fs-xml"),
    ("fusionpbx", Kind::Fusionpbx, "import-kind-fusionpbx"),
    ("fusionpbx-names", Kind::FusionpbxNames, "import-kind-fusionpbx-names"),
    ("csv", Kind::Csv, "import-kind-csv"),
];

impl Options {
    /// For an empty form.
    pub(super) fn new() -> Self {
        Self {
            kind: KINDS[0].0.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn upload(&self, kind: Kind, name: String, bytes: Bytes) -> Upload {
        let set = |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
        Upload {
            kind,
            name,
            domain: set(&self.domain),
            profile: set(&self.profile),
            bytes,
        }
    }
}

/// Reads the form, to its end even if something is wrong: a browser that still sends would not show the answer.
pub(super) async fn read(t: Texts, form: Multipart) -> (Options, Result<Upload, Failure>) {
    let (mut options, mut file) = (Options::default(), None);
    let read = timeout(PATIENCE, read_parts(form, &mut options, &mut file)).await;
    let upload = match read {
        Ok(Some(())) => upload(t, &options, file),
        Ok(None) => Err(bad(&t.get("import-incomplete"))),
        Err(_) => Err(bad(&t.get("import-too-slow"))),
    };
    (options, upload)
}

/// `None`: it is no such form, or did not arrive whole.
async fn read_parts(mut form: Multipart, options: &mut Options, file: &mut Option<File>) -> Option<()> {
    let mut parts = 0;
    while let Some(part) = form.next().await {
        let mut part = part.ok()?;
        parts += 1;
        if parts > MOST_PARTS {
            return None;
        }
        match part.name().unwrap_or_default() {
            "file" => {
                let name = file_name(&part);
                let bytes = match part.bytes(MAX_UPLOAD_BYTES).await {
                    Ok(bytes) => Some(bytes.ok()?),
                    Err(_) => None,
                };
                *file = Some(File { name, bytes });
            }
            "kind" => options.kind = option(&mut part).await?,
            "domain" => options.domain = option(&mut part).await?,
            "profile" => options.profile = option(&mut part).await?,
            "overwrite" => options.overwrite = option(&mut part).await? == "true",
            _ => drop(option(&mut part).await?),
        }
    }
    Some(())
}

fn upload(t: Texts, options: &Options, file: Option<File>) -> Result<Upload, Failure> {
    // A browser sends a file without a name if none was chosen.
    let file = file.filter(|file| !file.name.is_empty());
    let file = file.ok_or_else(|| bad(&t.get("import-no-file")))?;
    let Some(bytes) = file.bytes else {
        let text = ImportError::too_large(&file.name).message();
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", text).into());
    };
    let kind = KINDS.iter().find(|(word, ..)| *word == options.kind);
    let (_, kind, _) = kind.ok_or_else(|| bad(&t.get("import-no-kind")))?;
    Ok(options.upload(*kind, file.name, bytes))
}

fn bad(text: &str) -> Failure {
    Problem::new(StatusCode::BAD_REQUEST, "bad_request", Message::same(text)).into()
}

/// A short text.
async fn option(part: &mut Field) -> Option<String> {
    let bytes = part.bytes(MAX_OPTION_BYTES).await.ok()?.ok()?;
    String::from_utf8(bytes.into()).ok()
}

/// For reports alone: no file of this name is opened. Browsers send the last part of the path.
fn file_name(part: &Field) -> String {
    let name = part.content_disposition().and_then(|of| of.get_filename());
    let name = name.unwrap_or_default();
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    shown(last).to_string()
}
