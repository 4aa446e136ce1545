//! Users and tokens. Only admins change them, but everybody may change his own password.

use std::net::IpAddr;

use secrecy::SecretString;

use super::OperateError;
use crate::access::{Access, AccessError, Caller, Identity, NewToken, NewUser, Role, SignedIn, Token, User};
use crate::history::{self, Entry, Event, History};
use crate::redis::Store;
use crate::settings::Settings;

/// Users and tokens, and the record of what is done to them.
pub struct People {
    pub(super) access: Access,
    history: History,
}

impl People {
    pub fn new(settings: &Settings, store: &Store) -> Self {
        Self {
            access: Access::new(store.clone()),
            history: History::new(store.clone(), &settings.history),
        }
    }

    /// It is done already, so a failure to record it is only logged.
    async fn record(&self, caller: &Caller, access: history::Access) {
        let entry = Entry::now(&caller.identity, Event::Access { access });
        self.history.record_done(&entry).await;
    }
}

/// Signs somebody in.
///
/// # Errors
/// [`Access::sign_in`].
pub async fn sign_in(
    people: &People,
    name: &str,
    password: &SecretString,
    peer: IpAddr,
) -> Result<SignedIn, OperateError> {
    let signed_in = people.access.sign_in(name, password, peer).await;
    match &signed_in {
        Ok(signed_in) => people.record(&signed_in.caller, history::Access::SignIn).await,
        Err(AccessError::WrongCredentials) => {
            let nobody = Caller {
                identity: Identity::User(String::new()),
                role: Role::Viewer,
                domains: crate::access::Domains::Some([].into()),
            };
            let failed = history::Access::SignInFailed {
                name: name.chars().take(MAX_RECORDED_NAME).collect(),
                address: peer.to_string(),
            };
            people.record(&nobody, failed).await;
        }
        Err(_) => {}
    }
    Ok(signed_in?)
}

/// Makes the first admin with the code that `trunkd serve` printed, and signs him in.
///
/// # Errors
/// [`Access::use_setup_code`].
pub async fn set_up(
    people: &People,
    code: &str,
    name: &str,
    password: SecretString,
    peer: IpAddr,
) -> Result<SignedIn, OperateError> {
    let signed_in = people.access.use_setup_code(code, name, password, peer).await?;
    let name = name.to_owned();
    people
        .record(&signed_in.caller, history::Access::UserAdded { name })
        .await;
    Ok(signed_in)
}

/// Of a name that somebody tried to sign in with.
const MAX_RECORDED_NAME: usize = 64;

/// # Errors
/// The caller is no admin, or Redis can't be read.
pub async fn users(people: &People, caller: &Caller) -> Result<Vec<User>, OperateError> {
    caller.requires(Role::Admin)?;
    Ok(people.access.users().await?)
}

/// # Errors
/// The caller is no admin; [`Access::add_user`].
pub async fn add_user(people: &People, caller: &Caller, new: NewUser) -> Result<User, OperateError> {
    caller.requires(Role::Admin)?;
    let added = people.access.add_user(new).await?;
    let name = added.name.clone();
    people.record(caller, history::Access::UserAdded { name }).await;
    Ok(added)
}

/// Also ends every session of the user.
///
/// # Errors
/// The caller is no admin; [`Access::remove_user`].
pub async fn remove_user(people: &People, caller: &Caller, name: &str) -> Result<(), OperateError> {
    caller.requires(Role::Admin)?;
    people.access.remove_user(name).await?;
    let name = name.to_owned();
    people.record(caller, history::Access::UserRemoved { name }).await;
    Ok(())
}

/// Sets the password of another user, and ends every session of his.
///
/// # Errors
/// The caller is no admin; [`OperateError::OwnPassword`], if it is his own;
/// [`Access::set_password`].
pub async fn set_password(
    people: &People,
    caller: &Caller,
    name: &str,
    password: &SecretString,
) -> Result<(), OperateError> {
    caller.requires(Role::Admin)?;
    // A browser left open must not be enough to take the account over.
    if caller.identity == Identity::User(name.to_owned()) {
        return Err(OperateError::OwnPassword);
    }
    people.access.set_password(name, password).await?;
    let name = name.to_owned();
    people.record(caller, history::Access::PasswordChanged { name }).await;
    Ok(())
}

/// Sets the caller's own password, and ends every session of his, this one too.
///
/// # Errors
/// [`AccessError::WrongCredentials`], if `old` is not his password; [`OperateError::NoPassword`],
/// if he is no user; [`Access::set_password`].
pub async fn set_own_password(
    people: &People,
    caller: &Caller,
    old: &SecretString,
    new: &SecretString,
) -> Result<(), OperateError> {
    caller.requires(Role::Viewer)?;
    let Identity::User(name) = &caller.identity else {
        return Err(OperateError::NoPassword(caller.identity.to_string()));
    };
    if !people.access.check_password(name, old).await? {
        return Err(AccessError::WrongCredentials.into());
    }
    people.access.set_password(name, new).await?;
    let name = name.clone();
    people.record(caller, history::Access::PasswordChanged { name }).await;
    Ok(())
}

/// # Errors
/// The caller is no admin, or Redis can't be read.
pub async fn tokens(people: &People, caller: &Caller) -> Result<Vec<Token>, OperateError> {
    caller.requires(Role::Admin)?;
    Ok(people.access.tokens().await?)
}

/// Returns the secret too, which can't be read again.
///
/// # Errors
/// The caller is no admin; [`Access::create_token`].
pub async fn create_token(
    people: &People,
    caller: &Caller,
    new: NewToken,
) -> Result<(Token, SecretString), OperateError> {
    caller.requires(Role::Admin)?;
    let created = people.access.create_token(new).await?;
    let name = created.0.name.clone();
    people.record(caller, history::Access::TokenCreated { name }).await;
    Ok(created)
}

/// # Errors
/// The caller is no admin; [`Access::revoke_token`].
pub async fn revoke_token(people: &People, caller: &Caller, name: &str) -> Result<(), OperateError> {
    caller.requires(Role::Admin)?;
    people.access.revoke_token(name).await?;
    let name = name.to_owned();
    people.record(caller, history::Access::TokenRevoked { name }).await;
    Ok(())
}
