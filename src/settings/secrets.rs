//! Secrets that are in files of their own.

use std::io::{self, Read};
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::error::SettingsError;
use super::model::{Settings, SwitchSettings};
use super::origin::Origin;
use super::text::{Credential, FromText};
use super::webhook::WebhookSettings;

/// The largest secret file that is read. Passwords are tens of bytes, the credentials of a fleet
/// some kilobytes; a larger file is a log or a device that was named by mistake.
const SECRET_FILE_MAX_BYTES: u64 = 1024 * 1024;

fn is_given(secret: &SecretString) -> bool {
    !secret.expose_secret().is_empty()
}

/// Reads the files of secrets into the settings.
pub(super) fn read(settings: &mut Settings, origin: &dyn Fn(&str) -> Origin) -> Result<(), SettingsError> {
    let both = |first: &str, second: &str| SettingsError::Both {
        first: format!("`{first}`"),
        first_origin: origin(first),
        second: format!("`{second}`"),
        second_origin: origin(second),
    };

    let redis = &mut settings.redis;
    redis.url = redis.url.take().filter(is_given);
    redis.password = redis.password.take().filter(is_given);
    if let Some(path) = &redis.password_file {
        if redis.password.is_some() {
            return Err(both("redis.password", "redis.password_file"));
        }
        redis.password = Some(read_secret("redis.password_file", path, origin("redis.password_file"))?);
    }
    if let Some(sentinel) = &mut redis.sentinel {
        const KEY: &str = "redis.sentinel.password_file";
        sentinel.password = sentinel.password.take().filter(is_given);
        if let Some(path) = &sentinel.password_file {
            if sentinel.password.is_some() {
                return Err(both("redis.sentinel.password", KEY));
            }
            sentinel.password = Some(read_secret(KEY, path, origin(KEY))?);
        }
    }

    let http = &mut settings.http;
    if let Some(path) = &http.credentials_file {
        if !http.credentials.is_empty() {
            return Err(both("http.credentials", "http.credentials_file"));
        }
        let text = read_secret("http.credentials_file", path, origin("http.credentials_file"))?;
        http.credentials = credentials(text.expose_secret()).map_err(|problem| SettingsError::Invalid {
            key: "http.credentials_file".to_owned(),
            origin: origin("http.credentials_file"),
            problem: format!("{}: {problem}", path.display()),
        })?;
    }

    for switch in &mut settings.switches {
        read_switch_password(switch, origin)?;
    }
    for webhook in &mut settings.webhooks {
        read_webhook_secret(webhook, origin)?;
    }
    Ok(())
}

/// Reads the event socket's password, which FreeSWITCH always asks for.
fn read_switch_password(switch: &mut SwitchSettings, origin: &dyn Fn(&str) -> Origin) -> Result<(), SettingsError> {
    let key = |name: &str| format!("switch \"{}\": {name}", switch.name);
    let invalid = |name: &str, problem: String| {
        Err(SettingsError::Invalid {
            key: key(name),
            origin: origin("switch"),
            problem,
        })
    };
    if let Some(path) = &switch.password_file {
        if is_given(&switch.password) {
            return invalid(
                "password",
                "there is a `password_file` too: keep one of them".to_owned(),
            );
        }
        switch.password = read_secret(&key("password_file"), path, origin("switch"))?;
    } else if !is_given(&switch.password) {
        let problem = "the event socket asks for one: write it as in FreeSWITCH's event_socket.conf.xml (as it is \
                       shipped: \"ClueCon\"), or give `password_file`";
        return invalid("password", problem.to_owned());
    }
    // What the event socket reads is one line.
    if switch.password.expose_secret().chars().any(char::is_control) {
        return invalid(
            "password",
            "it contains a control character or a line break, which FreeSWITCH can't read".to_owned(),
        );
    }
    Ok(())
}

fn read_webhook_secret(webhook: &mut WebhookSettings, origin: &dyn Fn(&str) -> Origin) -> Result<(), SettingsError> {
    let key = |name: &str| format!("webhook \"{}\": {name}", webhook.name);
    webhook.secret = webhook.secret.take().filter(is_given);
    let Some(path) = &webhook.secret_file else {
        return Ok(());
    };
    if webhook.secret.is_some() {
        return Err(SettingsError::Invalid {
            key: key("secret"),
            origin: origin("webhook"),
            problem: "there is a `secret_file` too: keep one of them".to_owned(),
        });
    }
    webhook.secret = Some(read_secret(&key("secret_file"), path, origin("webhook"))?);
    Ok(())
}

fn read_secret(key: &str, path: &Path, origin: Origin) -> Result<SecretString, SettingsError> {
    let invalid = |problem: String| SettingsError::Invalid {
        key: key.to_owned(),
        origin: origin.clone(),
        problem,
    };
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?
            .take(SECRET_FILE_MAX_BYTES + 1)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let shown = path.display();
    let bytes = read().map_err(|error| invalid(format!("can't read {shown}: {error}")))?;
    if bytes.len() as u64 > SECRET_FILE_MAX_BYTES {
        return Err(invalid(format!("{shown} is over 1 MiB, too large for a secret")));
    }
    // The error of a conversion would carry the bytes.
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Err(invalid(format!("{shown} is not UTF-8 text")));
    };
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(invalid(format!("{shown} is empty")));
    }
    Ok(text.into())
}

/// One pair per line. Skips empty lines and lines that start with `#`.
fn credentials(text: &str) -> Result<Vec<Credential>, String> {
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let pairs = lines
        .map(|(number, line)| Credential::from_text(line).map_err(|problem| format!("line {}: {problem}", number + 1)));
    let pairs: Vec<Credential> = pairs.collect::<Result<_, _>>()?;
    // An empty list would ask nobody for credentials.
    if pairs.is_empty() {
        Err("it has no `user:password` line".to_owned())
    } else {
        Ok(pairs)
    }
}
