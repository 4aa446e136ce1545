//! What a switch has in its configuration now (FACTS 43), and whether that is what it runs.

use std::collections::BTreeSet;

use memchr::memmem;

use super::super::{OperateError, sources};
use crate::event_socket::{OpenError, Session, SwitchAddress, Timing};
use crate::gateway::GatewayName;
use crate::import::{Import, Level, Options, Place, Remark, fs_xml};
use crate::language::{message, text};
use crate::settings::Settings;
use crate::shown::shown;

/// At most this many names stand in one remark.
const MAX_NAMED: usize = 20;

/// What the switch says. It holds passwords: nothing of it may be logged.
struct Answers {
    sofia_conf: Vec<u8>,
    /// The directory, whose users may have gateways, if one runs that is not in there.
    directory: Vec<u8>,
    /// Gateways that run, and whether trunkd started them.
    running: Vec<(String, bool)>,
}

pub(super) async fn read(settings: &Settings, name: &str, options: &Options) -> Result<Import, OperateError> {
    let Some(switch) = settings.switches.iter().find(|switch| switch.name == name) else {
        let known: BTreeSet<_> = settings.switches.iter().map(|switch| switch.name.clone()).collect();
        return Err(match known.is_empty() {
            true => OperateError::NoSwitch,
            false => OperateError::UnknownSwitch {
                name: name.to_owned(),
                known,
            },
        });
    };
    let answers = ask(&sources::address(switch))
        .await
        .map_err(|error| OperateError::SwitchUnread {
            switch: name.to_owned(),
            reason: error.to_string(),
        })?;
    let label = format!("switch {name}");
    let directory = format!("{label}, directory");
    let texts = [(&*label, &*answers.sofia_conf), (&*directory, &*answers.directory)];
    let mut import = fs_xml::import_printed(texts, options)?;
    compare(&mut import, &label, &answers.running);
    Ok(import)
}

async fn ask(switch: &SwitchAddress) -> Result<Answers, OpenError> {
    let session = Session::open(switch, Timing::default()).await?;
    let commands = &session.commands;
    let running: BTreeSet<_> = commands
        .gateways()
        .await?
        .into_iter()
        .map(|status| status.name)
        .collect();
    let names: Vec<_> = running
        .iter()
        .filter_map(|name| GatewayName::parse(name).ok())
        .collect();
    let revisions = commands.revisions(&names).await?;
    let ours: BTreeSet<_> = names
        .iter()
        .zip(revisions)
        .filter(|(_, revision)| revision.is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    let running: Vec<_> = running
        .iter()
        .map(|name| (name.clone(), ours.contains(&**name)))
        .collect();
    let sofia_conf = commands.sofia_conf().await?.unwrap_or_default();
    let is_there = |name: &str| memmem::find(&sofia_conf, format!("<gateway name=\"{name}\"").as_bytes()).is_some();
    let directory = match running.iter().all(|(name, is_ours)| *is_ours || is_there(name)) {
        // It may be large, and has the passwords of all users.
        true => None,
        false => commands.directory().await?,
    };
    Ok(Answers {
        sofia_conf: sofia_conf.to_vec(),
        directory: directory.unwrap_or_default().to_vec(),
        running,
    })
}

/// Says which gateways run and are in no file, and which are in a file and don't run.
fn compare(import: &mut Import, label: &str, running: &[(String, bool)]) {
    let place = || Place {
        file: label.into(),
        line: 0,
    };
    let found: BTreeSet<_> = import.gateways.iter().map(|gateway| &*gateway.name).collect();
    let (ours, others): (Vec<_>, Vec<_>) = running
        .iter()
        .filter(|(name, _)| !found.contains(&**name))
        .partition(|(_, is_ours)| *is_ours);
    let runs: BTreeSet<_> = running.iter().map(|(name, _)| &**name).collect();
    let resting: Vec<_> = found.iter().filter(|name| !runs.contains(*name)).copied().collect();
    let mut remarks = Vec::new();
    if !ours.is_empty() {
        let count = ours.len();
        let reason = message!(
            "{count} gateways were started by trunkd and are left out",
            "{count} 个网关由 trunkd 启动，已略过"
        );
        remarks.push(Remark::new(place(), Level::Note, reason));
    }
    if !others.is_empty() {
        let names = listed(others.iter().map(|(name, _)| &**name));
        let reason = message!(
            "these run, but the switch's configuration no longer has them, so their params can't be read: {names}",
            "这些网关在运行，但 FreeSWITCH 的配置中已没有它们，无法读取其参数：{names}"
        );
        let fix = text(
            "import the files that they were started from",
            "请导入启动它们时所用的文件",
        );
        remarks.push(Remark::new(place(), Level::Warning, reason).with_fix(fix));
    }
    if !resting.is_empty() {
        let names = listed(resting.into_iter());
        let reason = message!(
            "the switch's configuration has these, but they don't run: {names}",
            "FreeSWITCH 的配置中有这些网关，但它们没有运行：{names}"
        );
        remarks.push(Remark::new(place(), Level::Note, reason));
    }
    import.remarks.extend(remarks);
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    let more = names.len().saturating_sub(MAX_NAMED);
    let mut listed: Vec<_> = names
        .iter()
        .take(MAX_NAMED)
        .map(|name| shown(name).to_string())
        .collect();
    if more > 0 {
        listed.push(format!("… (+{more})"));
    }
    listed.join(", ")
}
