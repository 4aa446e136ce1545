//! Users and tokens. Only admins change them, but everybody may change his own password.

use secrecy::SecretString;

use super::OperateError;
use crate::access::{Access, AccessError, Caller, Identity, NewToken, NewUser, Role, Token, User};

/// # Errors
/// The caller is no admin, or Redis can't be read.
pub async fn users(access: &Access, caller: &Caller) -> Result<Vec<User>, OperateError> {
    caller.requires(Role::Admin)?;
    Ok(access.users().await?)
}

/// # Errors
/// The caller is no admin; [`Access::add_user`].
pub async fn add_user(access: &Access, caller: &Caller, new: NewUser) -> Result<User, OperateError> {
    caller.requires(Role::Admin)?;
    Ok(access.add_user(new).await?)
}

/// Also ends every session of the user.
///
/// # Errors
/// The caller is no admin; [`Access::remove_user`].
pub async fn remove_user(access: &Access, caller: &Caller, name: &str) -> Result<(), OperateError> {
    caller.requires(Role::Admin)?;
    Ok(access.remove_user(name).await?)
}

/// Sets the password of another user, and ends every session of his.
///
/// # Errors
/// The caller is no admin; [`OperateError::OwnPassword`], if it is his own; [`Access::set_password`].
pub async fn set_password(
    access: &Access,
    caller: &Caller,
    name: &str,
    password: &SecretString,
) -> Result<(), OperateError> {
    caller.requires(Role::Admin)?;
    // A browser left open must not be enough to take the account over.
    if caller.identity == Identity::User(name.to_owned()) {
        return Err(OperateError::OwnPassword);
    }
    Ok(access.set_password(name, password).await?)
}

/// Sets the caller's own password, and ends every session of his, this one too.
///
/// # Errors
/// [`AccessError::WrongCredentials`], if `old` is not his password; [`OperateError::NoPassword`], if he
/// is no user; [`Access::set_password`].
pub async fn set_own_password(
    access: &Access,
    caller: &Caller,
    old: &SecretString,
    new: &SecretString,
) -> Result<(), OperateError> {
    caller.requires(Role::Viewer)?;
    let Identity::User(name) = &caller.identity else {
        return Err(OperateError::NoPassword(caller.identity.to_string()));
    };
    if !access.check_password(name, old).await? {
        return Err(AccessError::WrongCredentials.into());
    }
    Ok(access.set_password(name, new).await?)
}

/// # Errors
/// The caller is no admin, or Redis can't be read.
pub async fn tokens(access: &Access, caller: &Caller) -> Result<Vec<Token>, OperateError> {
    caller.requires(Role::Admin)?;
    Ok(access.tokens().await?)
}

/// Returns the secret too, which can't be read again.
///
/// # Errors
/// The caller is no admin; [`Access::create_token`].
pub async fn create_token(
    access: &Access,
    caller: &Caller,
    new: NewToken,
) -> Result<(Token, SecretString), OperateError> {
    caller.requires(Role::Admin)?;
    Ok(access.create_token(new).await?)
}

/// # Errors
/// The caller is no admin; [`Access::revoke_token`].
pub async fn revoke_token(access: &Access, caller: &Caller, name: &str) -> Result<(), OperateError> {
    caller.requires(Role::Admin)?;
    Ok(access.revoke_token(name).await?)
}
