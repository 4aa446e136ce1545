//! Where relative paths start: at the settings file's folder if the file names them, else at the
//! working directory.

use std::path::{Path, PathBuf};

use super::model::{
    BackupSettings, HttpSettings, RedisSettings, RedisTlsSettings, SentinelSettings, Settings, SwitchSettings,
    TemplateSettings, TlsSettings,
};
use super::origin::Origin;
use super::webhook::WebhookSettings;

/// The folder of a packaged trunkd's settings.
const SYSTEM_FOLDER: &str = "/etc/trunkd";
/// What `StateDirectory=trunkd` makes, so that commands typed by hand find what the service keeps
/// there.
const SYSTEM_DATA_DIR: &str = "/var/lib/trunkd";

/// Makes the paths of the settings file `file`, and the folders that are not set, absolute or
/// relative to the working directory.
pub(super) fn resolve(settings: &mut Settings, file: &Path, origin: &dyn Fn(&str) -> Origin) {
    // `/dev/null` or `<(…)`: nothing lies beside it.
    if let Some(folder) = file.parent().filter(|_| file.is_file()) {
        resolve_from(settings, folder, origin);
    }
}

fn resolve_from(settings: &mut Settings, folder: &Path, origin: &dyn Fn(&str) -> Origin) {
    if origin("data_dir") == Origin::Default && folder == Path::new(SYSTEM_FOLDER) {
        settings.data_dir = SYSTEM_DATA_DIR.into();
    }
    for (key, path) in paths(settings) {
        let is_ours = match origin(key) {
            Origin::File(_) => true,
            Origin::Default => matches!(key, "data_dir" | "templates.dir"),
            Origin::Variable(_) | Origin::Flag(_) | Origin::CommandLine => false,
        };
        // An empty path stays empty, so that it is still refused.
        if is_ours && !path.as_os_str().is_empty() {
            *path = folder.join(&*path);
        }
    }
}

/// Every path, with its key. The structs are taken apart in full so that a new setting is not
/// forgotten here.
fn paths(settings: &mut Settings) -> Vec<(&'static str, &mut PathBuf)> {
    let Settings {
        data_dir,
        http,
        api,
        redis,
        status: _,
        templates,
        gateways: _,
        switches,
        reconcile: _,
        carriers: _,
        placement: _,
        history: _,
        backup,
        webhooks,
        log: _,
        calls: _,
        config_file: _,
    } = settings;
    let TemplateSettings {
        dir,
        default_profile: _,
    } = templates;
    let mut paths = vec![("data_dir", data_dir), ("templates.dir", dir)];
    let BackupSettings { dir, keep: _ } = backup;
    paths.extend(dir.as_mut().map(|dir| ("backup.dir", dir)));
    paths.extend(http_paths(http));
    paths.extend(api.tls.iter_mut().flat_map(|tls| tls_paths(API_TLS, tls)));
    paths.extend(redis_paths(redis));
    for switch in switches {
        let SwitchSettings {
            name: _,
            address: _,
            sip: _,
            weight: _,
            password: _,
            password_file,
        } = switch;
        paths.extend(password_file.as_mut().map(|path| ("switch", path)));
    }
    for webhook in webhooks {
        let WebhookSettings {
            name: _,
            url: _,
            events: _,
            domains: _,
            secret: _,
            secret_file,
            ca,
        } = webhook;
        let files = [secret_file, ca].into_iter().flatten();
        paths.extend(files.map(|path| ("webhook", path)));
    }
    paths
}

fn http_paths(http: &mut HttpSettings) -> impl Iterator<Item = (&'static str, &mut PathBuf)> {
    let tls = http.tls.iter_mut().flat_map(|tls| tls_paths(HTTP_TLS, tls));
    let credentials = http.credentials_file.as_mut();
    let credentials = credentials.map(|path| ("http.credentials_file", path));
    credentials.into_iter().chain(tls)
}

/// The keys of a listener's files: certificate, key, authorities, revocation lists.
type TlsKeys = [&'static str; 4];
const HTTP_TLS: TlsKeys = [
    "http.tls.cert",
    "http.tls.key",
    "http.tls.client_ca",
    "http.tls.client_crl",
];
const API_TLS: TlsKeys = ["api.tls.cert", "api.tls.key", "api.tls.client_ca", "api.tls.client_crl"];

fn tls_paths(keys: TlsKeys, tls: &mut TlsSettings) -> impl Iterator<Item = (&'static str, &mut PathBuf)> {
    let TlsSettings {
        cert,
        key,
        client_ca,
        client_crl,
    } = tls;
    let paths = [Some(cert), Some(key), client_ca.as_mut(), client_crl.as_mut()];
    keys.into_iter().zip(paths).filter_map(|(key, path)| Some((key, path?)))
}

fn redis_paths(redis: &mut RedisSettings) -> impl Iterator<Item = (&'static str, &mut PathBuf)> {
    let sentinel = redis.sentinel.as_mut().and_then(|sentinel| {
        let SentinelSettings {
            master: _,
            nodes: _,
            username: _,
            password: _,
            password_file,
            tls: _,
            database: _,
        } = sentinel;
        password_file.as_mut()
    });
    let tls = redis.tls.as_mut().map(|tls| {
        let RedisTlsSettings { ca, cert, key } = tls;
        [
            ca.as_mut().map(|path| ("redis.tls.ca", path)),
            cert.as_mut().map(|path| ("redis.tls.cert", path)),
            key.as_mut().map(|path| ("redis.tls.key", path)),
        ]
    });
    let password = redis.password_file.as_mut();
    [
        password.map(|path| ("redis.password_file", path)),
        sentinel.map(|path| ("redis.sentinel.password_file", path)),
    ]
    .into_iter()
    .chain(tls.into_iter().flatten())
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_beside_a_packaged_trunkd_find_what_the_service_keeps() {
        let folders = |folder: &str, origin: Origin| {
            let mut settings = Settings::default();
            resolve_from(&mut settings, Path::new(folder), &|_| origin.clone());
            (settings.data_dir, settings.templates.dir)
        };
        let packaged = ("/var/lib/trunkd".into(), "/etc/trunkd/templates".into());
        assert_eq!(folders("/etc/trunkd", Origin::Default), packaged);
        let elsewhere = ("/srv/trunkd/data".into(), "/srv/trunkd/templates".into());
        assert_eq!(folders("/srv/trunkd", Origin::Default), elsewhere);
        let set = ("data".into(), "templates".into());
        assert_eq!(folders("/etc/trunkd", Origin::Variable("TRUNKD_DATA_DIR".into())), set);
    }
}
