//! How to reach Redis, from the settings' `[redis]`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};

use super::error::StoreError;
use super::tls::Tls;
use crate::embedded::Embedded;
use crate::keys::GatewayKeys;
use crate::settings::{HostPort, RedisSettings, SentinelSettings};

/// How to reach Redis.
#[derive(Clone)]
pub struct Options {
    pub(crate) address: ServerAddress,
    /// Set if the connection uses TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// The limit of one read on behalf of a request, connection included.
    pub timeout: Duration,
    pub gateway_keys: GatewayKeys,
}

#[derive(Clone)]
pub(crate) enum ServerAddress {
    Fixed(ConnectionInfo),
    Sentinel(SentinelOptions),
}

#[derive(Clone)]
pub(crate) struct SentinelOptions {
    /// The master's name.
    pub(crate) master: String,
    pub(crate) nodes: Vec<(HostPort, ConnectionInfo)>,
    /// A server without its address.
    server: ConnectionInfo,
}

impl Options {
    /// With `redis.embedded` the embedded server's socket, else `redis.url` or `redis.sentinel` with the
    /// user and password from the settings.
    ///
    /// # Errors
    /// [`StoreError::Settings`] if the URL is invalid, a certificate file can't be used, or no server is
    /// configured.
    pub fn from_settings(redis: &RedisSettings, data_dir: &Path) -> Result<Self, StoreError> {
        let tls = Tls::read(redis.tls.as_ref())?;
        let address = match (&redis.url, &redis.sentinel) {
            _ if redis.embedded => ServerAddress::Fixed(Embedded::connection(data_dir)),
            (Some(url), _) => ServerAddress::Fixed(by_url(url, redis, &tls)?),
            (None, Some(sentinel)) => ServerAddress::Sentinel(by_sentinel(sentinel, redis, &tls)?),
            (None, None) => {
                return Err(StoreError::Settings(
                    "set redis.url, redis.sentinel, or redis.embedded = true".to_owned(),
                ));
            }
        };
        Ok(Self {
            tls: address.uses_tls().then_some(tls.config),
            address,
            timeout: redis.timeout,
            gateway_keys: GatewayKeys::from(redis),
        })
    }
}

impl SentinelOptions {
    /// How to connect to the server at this address.
    pub(crate) fn server_at(&self, address: &HostPort) -> ConnectionInfo {
        let (host, port) = (address.host.clone(), address.port);
        let address = match self.server.addr().clone() {
            ConnectionAddr::TcpTls {
                insecure, tls_params, ..
            } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure,
                tls_params,
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        self.server.clone().set_addr(address)
    }
}

impl ServerAddress {
    fn uses_tls(&self) -> bool {
        let server = match self {
            Self::Fixed(info) => info,
            Self::Sentinel(options) => &options.server,
        };
        matches!(server.addr(), ConnectionAddr::TcpTls { .. })
    }
}

fn by_url(url: &SecretString, redis: &RedisSettings, tls: &Tls) -> Result<ConnectionInfo, StoreError> {
    let info = url.expose_secret().into_connection_info();
    // The error could quote the URL, and with it a password.
    let info =
        info.map_err(|_| StoreError::Settings(format!("redis.url is not a Redis URL: {}", redis.shown_url())))?;
    let user = with_user(
        info.redis_settings().clone(),
        redis.username.as_deref(),
        redis.password.as_ref(),
    );
    with_certificates(info.set_redis_settings(user), tls)
}

fn by_sentinel(sentinel: &SentinelSettings, redis: &RedisSettings, tls: &Tls) -> Result<SentinelOptions, StoreError> {
    let at = |address: &HostPort, user: RedisConnectionInfo| {
        let (host, port) = (address.host.clone(), address.port);
        let address = match sentinel.tls {
            true => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            },
            false => ConnectionAddr::Tcp(host, port),
        };
        let info = address.into_connection_info().map_err(|error| {
            StoreError::Settings(format!("redis.sentinel.nodes: {error}")) // an address holds no secret
        })?;
        with_certificates(info.set_redis_settings(user), tls)
    };
    let nodes = sentinel.nodes.iter().map(|address| {
        let user = with_user(
            RedisConnectionInfo::default(),
            sentinel.username.as_deref(),
            sentinel.password.as_ref(),
        );
        Ok((address.clone(), at(address, user)?))
    });
    let nodes = nodes.collect::<Result<Vec<_>, StoreError>>()?;
    let nowhere = HostPort {
        host: String::new(),
        port: 0,
    };
    let user = RedisConnectionInfo::default().set_db(sentinel.database.into());
    let user = with_user(user, redis.username.as_deref(), redis.password.as_ref());
    Ok(SentinelOptions {
        master: sentinel.master.clone(),
        nodes,
        server: at(&nowhere, user)?,
    })
}

fn with_user(
    mut user: RedisConnectionInfo,
    name: Option<&str>,
    password: Option<&SecretString>,
) -> RedisConnectionInfo {
    if let Some(name) = name {
        user = user.set_username(name);
    }
    if let Some(password) = password {
        user = user.set_password(password.expose_secret());
    }
    user
}

fn with_certificates(info: ConnectionInfo, tls: &Tls) -> Result<ConnectionInfo, StoreError> {
    match (info.addr(), &tls.certificates) {
        (ConnectionAddr::TcpTls { .. }, Some(certificates)) => {
            let client = Client::build_with_tls(info, certificates.clone());
            // The error could quote a key.
            let client = client.map_err(|_| StoreError::Settings("redis.tls: its files cannot be used".to_owned()))?;
            Ok(client.get_connection_info().clone())
        }
        _ => Ok(info),
    }
}
