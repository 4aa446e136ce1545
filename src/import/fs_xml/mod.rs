//! FreeSWITCH's own XML: a fragment with or without `<include>`, a profile, a folder of either, a whole
//! `conf/`, or what a switch prints of its configuration.

mod element;
mod folder;
mod gateway;
mod gateways;
mod globals;
mod preprocessor;
#[cfg(test)]
mod tests;
mod text;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::draft::{self, Draft, Unique};
use super::words::quoted;
use super::{Import, ImportError, Level, Options, Remark};
use crate::language::{message, text};
use folder::Folder;
use gateway::Owner;
use gateways::{Found, Profile};
use globals::{Globals, decoded};
use preprocessor::Preprocessor;

/// What FreeSWITCH starts with, and what includes the rest of a `conf/`.
const ROOT: &str = "freeswitch.xml";
const SOFIA_CONF: &str = "autoload_configs/sofia.conf.xml";
const PROFILES: &str = "sip_profiles";

/// Imports files and folders, one after the other. Variables that one sets are known to those behind it.
///
/// # Errors
/// A path can't be read, or there is too much.
pub fn import(paths: &[PathBuf], options: &Options) -> Result<Import, ImportError> {
    let mut reading = Reading::new(options);
    for path in paths {
        reading.path(path)?;
    }
    reading.finish(options)
}

/// Imports texts, such as an upload or what a switch prints: names and contents. They include nothing.
///
/// # Errors
/// There is too much.
pub fn import_texts<'a>(
    texts: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    options: &Options,
) -> Result<Import, ImportError> {
    let mut reading = Reading::new(options);
    for (name, bytes) in texts {
        let text = reading.preprocessor.text(name, bytes)?;
        reading.read(&text, None);
    }
    reading.finish(options)
}

/// The same of what FreeSWITCH printed of its XML: variables have their values already.
///
/// # Errors
/// There is too much.
pub fn import_printed<'a>(
    texts: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    options: &Options,
) -> Result<Import, ImportError> {
    let mut reading = Reading::new(options);
    for (name, bytes) in texts {
        let mut text = text::Text::default();
        text.begin(&name.into(), 1);
        text.push(&decoded(bytes))?;
        reading.read(&text, None);
    }
    reading.finish(options)
}

struct Reading {
    preprocessor: Preprocessor,
    found: Found,
}

impl Reading {
    fn new(options: &Options) -> Self {
        let mut preprocessor = Preprocessor::default();
        for (name, value) in &options.globals {
            preprocessor.globals.set(name, value);
        }
        Self {
            preprocessor,
            found: Found::default(),
        }
    }

    fn path(&mut self, path: &Path) -> Result<(), ImportError> {
        let unreadable = |error| ImportError::unreadable(path.display(), error);
        if !path.is_dir() {
            // What is named itself may be a link: the folder is where it leads.
            let file = path.canonicalize().map_err(unreadable)?;
            let around = path.parent().filter(|parent| *parent != Path::new(""));
            let folder = Folder::around(&file, around.unwrap_or(Path::new(".")));
            return self.file(&folder, &file);
        }
        let folder = Folder::open(path).map_err(unreadable)?;
        if let Some(conf_dir) = folder.base().to_str() {
            self.preprocessor.globals.set("conf_dir", conf_dir);
        }
        for file in files(&folder, path)? {
            self.file(&folder, &file)?;
        }
        Ok(())
    }

    fn file(&mut self, folder: &Folder, path: &Path) -> Result<(), ImportError> {
        let text = self.preprocessor.file(folder, path)?;
        self.read(&text, profile_of(path).as_deref());
        Ok(())
    }

    fn read(&mut self, text: &text::Text, file_profile: Option<&str>) {
        gateways::read(text, file_profile, &mut self.found, &mut self.preprocessor.remarks);
    }

    fn finish(self, options: &Options) -> Result<Import, ImportError> {
        let Preprocessor { globals, remarks, .. } = self.preprocessor;
        let Found { gateways, profiles } = self.found;
        let mut drafts = Vec::with_capacity(gateways.len());
        for gateway in gateways {
            let (mut draft, owner) = gateway.into_draft(&globals);
            assign(&mut draft, owner, &profiles, &globals, options);
            drafts.push(draft);
        }
        draft::finish(drafts, remarks.into_list(), Unique::Everywhere, options)
    }
}

/// The files of a folder that FreeSWITCH would begin with, in the order in which it would read them.
fn files(folder: &Folder, given: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let base = folder.base();
    let has = |name: &str| base.join(name).exists();
    let patterns: &[&str] = match () {
        () if has(ROOT) => &[ROOT],
        () if has(SOFIA_CONF) => &["vars.xml", SOFIA_CONF, "directory/*.xml"],
        () if has(PROFILES) => &["vars.xml", "sip_profiles/*.xml", "directory/*.xml"],
        () => &["vars.xml", "*.xml"],
    };
    let mut files = Vec::new();
    for pattern in patterns {
        let found = folder.matching(base, pattern);
        let found = found.map_err(|refusal| ImportError::new(given.display(), refusal.reason, refusal.fix))?;
        files.extend(found.into_iter().filter(|path| !path.is_dir()));
    }
    let mut known = HashSet::new();
    files.retain(|file| known.insert(file.clone()));
    if files.is_empty() {
        let reason = text("the folder has no XML files", "该文件夹中没有 XML 文件");
        let fix = text(
            "name FreeSWITCH's conf/, its sip_profiles/ or a folder in it, or a file",
            "请指定 FreeSWITCH 的 conf/、其中的 sip_profiles/ 或其下的文件夹，或某个文件",
        );
        return Err(ImportError::new(given.display(), reason, fix));
    }
    Ok(files)
}

/// The profile that includes a file by custom: `sip_profiles/external/*.xml` are external's.
fn profile_of(file: &Path) -> Option<String> {
    let folder = file.parent()?;
    let is_profiles = folder.parent()?.file_name()? == PROFILES;
    is_profiles.then(|| folder.file_name()?.to_str().map(str::to_owned))?
}

/// Finds the profile and the domain of a gateway.
fn assign(draft: &mut Draft, owner: Owner, profiles: &[Profile], globals: &Globals, options: &Options) {
    let place = draft.place.clone();
    match owner {
        Owner::Profile(name) => {
            for missing in globals.missing_in(&name) {
                let remark = Remark::new(place.clone(), Level::Error, missing.reason());
                draft.incomplete(remark.with_fix(missing.fix()).at("profile"));
            }
            draft.profile = Some(globals.readable(&name));
        }
        Owner::File(Some(profile)) => {
            let name = quoted(&profile);
            let reason = message!(
                "the profile is {name}, from the folder's name",
                "profile 为 {name}，取自文件夹名称"
            );
            draft.remark(Remark::new(place, Level::Note, reason).at("profile"));
            draft.profile = Some(profile);
        }
        Owner::File(None) => {}
        Owner::User { domain } => {
            let takes = |profile: &&Profile| {
                let is_named = |name: &String| name.eq_ignore_ascii_case("all") || Some(name) == domain.as_ref();
                profile.domains.iter().any(is_named)
            };
            match profiles.iter().find(takes) {
                Some(profile) => draft.profile = Some(profile.name.clone()),
                None if profiles.is_empty() => {}
                None => {
                    let reason = text(
                        "FreeSWITCH doesn't load it: no profile has this domain of the directory with parse=\"true\"",
                        "FreeSWITCH 不会加载它：没有 profile 以 parse=\"true\" 包含该目录域",
                    );
                    draft.skipped(Remark::new(place.clone(), Level::Warning, reason));
                }
            }
            let missing = domain.as_deref().and_then(|domain| globals.missing_in(domain).next());
            match missing {
                Some(missing) if options.domain.is_none() => {
                    let remark = Remark::new(place, Level::Note, missing.reason());
                    draft.remark(remark.with_fix(missing.fix()).at("domain"));
                }
                Some(_) => {}
                None => draft.domain = domain,
            }
        }
    }
}
