//! The last good state on disk, for a trunkd that starts while Redis is down. Written atomically, readable
//! only by its owner, with a checksum.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::data_dir::{self, DataDirError};
use crate::files::{self, FileError};
use crate::gateway::RevisionKey;
use crate::gateway::{DomainName, Fields, GatewayName, Placed, Placements, RawDomain, RawDomains};

/// File name in the data directory.
const FILE: &str = "last-good";
/// The first line: name and version of the format.
const MAGIC: &str = "trunkd-last-good 1";

/// An unfinished file has a random name between these.
const NEW_PREFIX: &str = "last-good.";
const NEW_SUFFIX: &str = ".new";
/// The longest file: the most bytes of Redis, and some of them escaped in JSON.
const MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// Bytes per write to the disk.
const WRITE_BYTES: usize = 64 * 1024;

/// The stored state.
#[derive(Debug, Clone, PartialEq)]
pub struct LastGood {
    /// When it was read from Redis.
    pub at: Timestamp,
    pub key: RevisionKey,
    /// The last valid values, which are served.
    pub domains: RawDomains,
    /// Other fields in Redis: refused values and invalid names.
    pub refused: RawDomains,
    /// Which switch has each gateway that runs on exactly one.
    pub placements: Placements,
}

/// Why a file is not used. Never quotes it, because it contains passwords.
#[derive(Debug, thiserror::Error)]
pub enum LastGoodError {
    #[error(
        "the last good state in {path} cannot be read: {source}; it is ignored, and replaced at the next good \
         read of Redis"
    )]
    Read { path: PathBuf, source: FileError },
    #[error(
        "the last good state in {path} is damaged ({what}); it is ignored, and replaced at the next good read of Redis"
    )]
    Damaged { path: PathBuf, what: &'static str },
    #[error("the last good state cannot be written to {path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("the last good state cannot be written: {0}")]
    Folder(#[from] DataDirError),
}

/// The format for reading.
#[derive(Deserialize)]
struct Body {
    at: Timestamp,
    key: String,
    /// Former keys.
    #[serde(default)]
    former_keys: Vec<String>,
    /// domain as text → gateway → value.
    domains: BTreeMap<String, BTreeMap<String, String>>,
    /// domain → field → value, in Base64 because they may not be text. Older files have none.
    #[serde(default)]
    refused: BTreeMap<String, BTreeMap<String, String>>,
    /// gateway → its record in `trunkd:placement`. Older files have none.
    #[serde(default)]
    placements: BTreeMap<String, Placed>,
}

/// The format for writing, without copies.
#[derive(Serialize)]
struct Kept<'a> {
    at: Timestamp,
    key: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    former_keys: Vec<String>,
    #[serde(serialize_with = "write_domains")]
    domains: &'a RawDomains,
    #[serde(serialize_with = "write_refused", skip_serializing_if = "BTreeMap::is_empty")]
    refused: &'a RawDomains,
    #[serde(serialize_with = "write_placements", skip_serializing_if = "Placements::is_empty")]
    placements: &'a Placements,
}

fn write_domains<S: Serializer>(domains: &RawDomains, serializer: S) -> Result<S::Ok, S::Error> {
    struct Gateways<'a>(&'a Fields);

    impl Serialize for Gateways<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            // Valid values are always text.
            let text = String::from_utf8_lossy;
            serializer.collect_map(self.0.iter().map(|(name, value)| (text(name), text(value))))
        }
    }

    serializer.collect_map(domains.iter().filter_map(|(domain, raw)| match raw {
        RawDomain::Hash(fields) => Some((&**domain.text(), Gateways(fields))),
        RawDomain::WrongType(_) => None,
    }))
}

fn write_refused<S: Serializer>(domains: &RawDomains, serializer: S) -> Result<S::Ok, S::Error> {
    let base64 = |bytes: &[u8]| BASE64.encode(bytes);
    serializer.collect_map(domains.iter().filter_map(|(domain, raw)| match raw {
        RawDomain::Hash(fields) => {
            let fields = fields.iter().map(|(name, value)| (base64(name), base64(value)));
            Some((&**domain.text(), fields.collect::<BTreeMap<_, _>>()))
        }
        RawDomain::WrongType(_) => None,
    }))
}

fn write_placements<S: Serializer>(placements: &Placements, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(placements.iter().map(|(name, placed)| (name.as_str(), &**placed)))
}

/// Decodes a domain's fields from Base64.
fn read_refused(fields: BTreeMap<String, String>) -> Option<RawDomain> {
    let bytes = |text: String| BASE64.decode(text).ok();
    let fields = fields
        .into_iter()
        .map(|(name, value)| Some((bytes(name)?, bytes(value)?)));
    Some(RawDomain::hash(fields.collect::<Option<Vec<_>>>()?))
}

impl LastGood {
    /// domain → field → value, as they were in Redis.
    pub fn stored(&self) -> BTreeMap<&DomainName, BTreeMap<&[u8], &[u8]>> {
        let mut stored: BTreeMap<&DomainName, BTreeMap<&[u8], &[u8]>> = BTreeMap::new();
        for (domain, raw) in self.domains.iter().chain(&*self.refused) {
            if let RawDomain::Hash(fields) = raw {
                stored.entry(domain).or_default().extend(fields.iter());
            }
        }
        stored
    }

    /// Reads the stored state; `None` if there is none.
    ///
    /// # Errors
    /// [`LastGoodError`] names the file.
    pub fn load(data_dir: &Path) -> Result<Option<Self>, LastGoodError> {
        let path = data_dir.join(FILE);
        let bytes = match files::read_own(&path, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(FileError::Io(error)) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LastGoodError::Read { path, source }),
        };
        let damaged = |what| LastGoodError::Damaged {
            path: path.clone(),
            what,
        };
        let end = bytes
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or(damaged("it has no first line"))?;
        let (head, body) = (&bytes[..end], &bytes[end + 1..]);
        let sum = head
            .strip_prefix(MAGIC.as_bytes())
            .ok_or(damaged("it is from another version"))?;
        if sum.trim_ascii() != checksum(body).as_bytes() {
            return Err(damaged("its checksum is wrong"));
        }
        let body: Body = serde_json::from_slice(body).map_err(|_| damaged("it is no JSON of ours"))?;
        let key = |hex: &String| RevisionKey::from_hex(hex).map_err(|_| damaged("its key is none"));
        let former: Vec<_> = body.former_keys.iter().map(key).collect::<Result<_, _>>()?;
        let key = key(&body.key)?.after(&former);
        let domains = body.domains.into_iter().map(|(domain, gateways)| {
            let fields = gateways
                .into_iter()
                .map(|(name, value)| (name.into_bytes(), value.into_bytes()));
            (DomainName::from_text(&domain), RawDomain::hash(fields))
        });
        let refused = body
            .refused
            .into_iter()
            .map(|(domain, fields)| Some((DomainName::from_text(&domain), read_refused(fields)?)));
        Ok(Some(Self {
            at: body.at,
            key,
            domains: domains.collect(),
            refused: refused
                .collect::<Option<_>>()
                .ok_or(damaged("it is no Base64 of ours"))?,
            placements: body
                .placements
                .into_iter()
                .filter_map(|(name, placed)| Some((GatewayName::parse(&name).ok()?, placed)))
                .collect(),
        }))
    }

    /// Replaces the stored state. Blocks on the disk.
    ///
    /// # Errors
    /// [`LastGoodError`] names the file. The previous state is then still there.
    pub fn store(&self, data_dir: &Path) -> Result<(), LastGoodError> {
        let path = data_dir.join(FILE);
        let failed = |source| LastGoodError::Write {
            path: path.clone(),
            source,
        };
        let body = Kept {
            at: self.at,
            key: self.key.to_hex(),
            former_keys: self.key.former().iter().map(RevisionKey::to_hex).collect(),
            domains: &self.domains,
            refused: &self.refused,
            placements: &self.placements,
        };
        data_dir::make_folder(data_dir)?;
        // Readable only by its owner, with a random name: a planted file is not used.
        let mut file = tempfile::Builder::new()
            .prefix(NEW_PREFIX)
            .suffix(NEW_SUFFIX)
            .tempfile_in(data_dir)
            .map_err(failed)?;
        // Streamed, because it is megabytes. The checksum goes into the space left for it.
        let head = |sum: &str| format!("{MAGIC} {sum}\n");
        file.write_all(head(&checksum(b"")).as_bytes()).map_err(failed)?;
        let mut summing = BufWriter::with_capacity(WRITE_BYTES, Summing::new(&mut file));
        serde_json::to_writer(&mut summing, &body).map_err(|error| failed(error.into()))?;
        let sum = summing
            .into_inner()
            .map_err(|error| failed(error.into_error()))?
            .finish();
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        file.write_all(head(&sum).as_bytes()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        // So that the name survives a power loss too.
        File::open(data_dir)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)
    }
}

/// The fields of `read` that differ in `valid`.
pub(super) fn refused(read: &RawDomains, valid: &RawDomains) -> RawDomains {
    let none = Arc::default();
    let differing = read.iter().filter_map(|(domain, raw)| {
        let RawDomain::Hash(fields) = raw else { return None };
        let valid = match valid.get(domain) {
            Some(RawDomain::Hash(valid)) => valid,
            Some(RawDomain::WrongType(_)) | None => &none,
        };
        if Arc::ptr_eq(fields, valid) {
            return None;
        }
        let changes = fields.changes(valid).into_iter();
        let mut others = changes
            .filter_map(|change| Some((change.name.to_vec(), change.now?.to_vec())))
            .peekable();
        others.peek()?;
        Some((domain.clone(), RawDomain::hash(others)))
    });
    differing.collect()
}

/// Removes unfinished files of a killed trunkd. Call this with the folder's lock held.
pub fn remove_leftovers(data_dir: &Path) {
    let files = fs::read_dir(data_dir).into_iter().flatten().flatten();
    let is_leftover = |name: &str| name.starts_with(NEW_PREFIX) && name.ends_with(NEW_SUFFIX);
    for file in files.filter(|file| file.file_name().to_str().is_some_and(is_leftover)) {
        // A file that stays only takes space.
        let _ = fs::remove_file(file.path());
    }
}

fn checksum(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    HEXLOWER.encode(digest)
}

/// Computes a checksum of what it writes.
struct Summing<W> {
    to: W,
    sum: Sha256,
}

impl<W: Write> Summing<W> {
    fn new(to: W) -> Self {
        Self { to, sum: Sha256::new() }
    }

    fn finish(self) -> String {
        hex(&self.sum.finalize())
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

    use super::*;

    fn example() -> LastGood {
        let fields = [(b"gw".to_vec(), br#"{"param":{"password":"s3cret"}}"#.to_vec())];
        LastGood {
            at: "2026-11-24T06:30:00Z".parse().unwrap(),
            key: RevisionKey::new([7; 32]).after(&[RevisionKey::new([6; 32])]),
            domains: [("acme".to_owned(), RawDomain::hash(fields))].into(),
            refused: RawDomains::new(),
            placements: Placements::default(),
        }
    }

    #[test]
    fn what_redis_held_comes_back_byte_for_byte_and_a_file_of_before_is_read() {
        let folder = tempfile::tempdir().unwrap();
        example().store(folder.path()).unwrap();
        let before = fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(
            !before.contains("refused"),
            "an older trunkd reads it, and this one its files"
        );
        let refused = [
            (b"gw".to_vec(), b"{".to_vec()),
            (b"no name\xff".to_vec(), b"\xfe\x00".to_vec()),
        ];
        let kept = LastGood {
            refused: [("acme".to_owned(), RawDomain::hash(refused.clone()))].into(),
            ..example()
        };
        kept.store(folder.path()).unwrap();
        let read = LastGood::load(folder.path()).unwrap().unwrap();
        assert_eq!(read, kept);
        let stored: Vec<_> = read.stored()[&DomainName::from("acme")]
            .iter()
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect();
        assert_eq!(
            stored, refused,
            "of a refused field what Redis held, not what is served"
        );
    }

    #[test]
    fn what_is_kept_comes_back_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(LastGood::load(folder.path()).unwrap(), None);
        for _ in 0..2 {
            example().store(folder.path()).unwrap();
        }
        assert_eq!(LastGood::load(folder.path()).unwrap(), Some(example()));
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left over");
    }

    #[test]
    fn a_damaged_file_is_refused_by_name_wherever_it_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        example().store(folder.path()).unwrap();
        let path = folder.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        let mut damaged: Vec<Vec<u8>> = (0..whole.len()).map(|end| whole[..end].to_vec()).collect();
        damaged.extend((0..whole.len()).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        }));
        for bytes in damaged {
            fs::write(&path, &bytes).unwrap();
            let error = LastGood::load(folder.path()).unwrap_err().to_string();
            assert!(
                error.contains("last-good") && error.contains("damaged") && !error.contains("s3cret"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_somebody_planted_is_neither_followed_nor_left_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "theirs").unwrap();
        let data_dir = folder.path().join("data");
        fs::DirBuilder::new().mode(0o700).create(&data_dir).unwrap();
        std::os::unix::fs::symlink(&elsewhere, data_dir.join("last-good.new")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, data_dir.join(FILE)).unwrap();
        let error = LastGood::load(&data_dir).unwrap_err().to_string();
        assert!(error.contains("it is a symbolic link"), "{error}");

        example().store(&data_dir).unwrap();
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "theirs");
        assert_eq!(LastGood::load(&data_dir).unwrap(), Some(example()));
        let meta = fs::symlink_metadata(data_dir.join(FILE)).unwrap();
        assert!(meta.is_file() && meta.permissions().mode() & 0o777 == 0o600, "{meta:?}");
    }

    #[test]
    fn a_file_that_others_may_write_and_one_that_is_too_large_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        example().store(folder.path()).unwrap();
        let path = folder.path().join(FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o602)).unwrap();
        let error = LastGood::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("its mode is 0602"), "{error}");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        let error = LastGood::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("1099511627776 bytes"), "{error}");
    }
}
