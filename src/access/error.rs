//! Why somebody could not be let in, or a user or token could not be changed. No error holds a
//! secret.

use std::time::Duration;

use crate::language::{Bilingual, Text};
use crate::redis::StoreError;
use crate::shown::shown;

#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{} is not a name: use 1 to 64 of A-Z, a-z, 0-9 and ._@-", shown(.0))]
    BadName(String),
    #[error("the password is too short: use at least {min} characters")]
    PasswordTooShort { min: usize },
    #[error("the password is too long: use at most {max_bytes} bytes")]
    PasswordTooLong { max_bytes: usize },
    #[error("an admin has all domains: leave the domains out, or make it an operator")]
    AdminOfSomeDomains,
    #[error("no domain is given: name some, or `*` for all")]
    NoDomains,
    #[error("there is a user {0} already")]
    UserExists(String),
    #[error("there is no user {}", shown(.0))]
    UnknownUser(String),
    #[error("{0} is the last admin: make another one first")]
    LastAdmin(String),
    #[error("user {0} was changed by somebody else at the same moment: try again")]
    UserChanged(String),
    #[error("there is a token {0} already: revoke it first, or choose another name")]
    TokenExists(String),
    #[error("there is no token {}", shown(.0))]
    UnknownToken(String),
    /// Doesn't say which of the two is wrong.
    #[error("the name or the password is wrong")]
    WrongCredentials,
    #[error(
        "the setup code is wrong, expired, or was used: a restart of trunkd prints a new one while there is no user"
    )]
    WrongSetupCode,
    #[error("too many failed attempts: try again in {} s", .retry_after.as_millis().div_ceil(1000))]
    TooMany { retry_after: Duration },
    #[error("too many people sign in at this moment: try again")]
    Busy,
    #[error("there are {max} {} already, the most that there can be: remove one first", what.en)]
    Full { what: Text, max: usize },
    #[error("the password can't be hashed: {0}")]
    Hash(String),
}

impl Bilingual for AccessError {
    fn chinese(&self) -> String {
        match self {
            Self::Store(error) => error.chinese(),
            Self::BadName(name) => format!(
                "{} 不能作为名称：请用 1 到 64 个 A-Z、a-z、0-9 和 ._@- 字符",
                shown(name)
            ),
            Self::PasswordTooShort { min } => format!("密码太短：请至少使用 {min} 个字符"),
            Self::PasswordTooLong { max_bytes } => format!("密码太长：请最多使用 {max_bytes} 字节"),
            Self::AdminOfSomeDomains => "admin 拥有所有域：请去掉域，或改为 operator".to_owned(),
            Self::NoDomains => "没有给出域：请写明域，或用 `*` 表示全部".to_owned(),
            Self::UserExists(name) => format!("已有用户 {name}"),
            Self::UnknownUser(name) => format!("没有用户 {}", shown(name)),
            Self::LastAdmin(name) => format!("{name} 是最后一个 admin：请先设立另一个"),
            Self::UserChanged(name) => format!("用户 {name} 同时被他人修改：请重试"),
            Self::TokenExists(name) => format!("已有令牌 {name}：请先吊销它，或换一个名称"),
            Self::UnknownToken(name) => format!("没有令牌 {}", shown(name)),
            Self::WrongCredentials => "用户名或密码错误".to_owned(),
            Self::WrongSetupCode => "设置码错误、已过期或已使用：在没有用户时，重启 trunkd 会打印一个新的".to_owned(),
            Self::TooMany { retry_after } => {
                let seconds = retry_after.as_millis().div_ceil(1000);
                format!("失败次数过多：请在 {seconds} 秒后重试")
            }
            Self::Busy => "此刻登录的人过多：请重试".to_owned(),
            Self::Full { what, max } => {
                format!("{}已有 {max} 个，达到上限：请先删除一个", what.zh)
            }
            Self::Hash(error) => format!("无法对密码做哈希：{error}"),
        }
    }
}
