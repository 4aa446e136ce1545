//! The Chinese texts of errors.

use super::{Known, OperateError};
use crate::language::{Bilingual, Language};
use crate::operate::gateways::bulk::BulkAnswer;
use crate::operate::recorded;
use crate::operate::transfer::{DomainOutcome, MAX_PER_DOMAIN};
use crate::shown::shown;

impl Bilingual for OperateError {
    fn chinese(&self) -> String {
        match self {
            Self::Settings(error) => format!("设置有误：{error}"),
            Self::Store(error) => error.chinese(),
            Self::Forbidden(error) => error.chinese(),
            Self::Access(error) => error.chinese(),
            Self::OwnPassword => "这是您自己的密码：修改时须同时给出现在的密码".to_owned(),
            Self::NoPassword(name) => format!("{name} 没有密码：只有用户才有密码"),
            Self::Templates(error) => format!("模板有误：{error}"),
            Self::DefaultProfile(error) => format!("templates.default_profile：{}", error.chinese()),
            Self::Import(error) => error.chinese(),
            Self::LastGood(error) => format!("最后可用的状态有问题：{error}"),
            Self::Unreadable {
                server: None,
                reason,
                context,
            } => format!("{context}内置的 Redis 没有应答；它随 `trunkd serve` 一起运行：{reason}"),
            Self::Unreadable {
                server: Some(server),
                reason,
                context,
            } => format!("{context}无法读取 Redis（{server}）：{reason}"),
            Self::UnknownSwitch { .. }
            | Self::NoSwitch
            | Self::SwitchUnread { .. }
            | Self::NotConnected(_)
            | Self::TooManyJobs(_)
            | Self::ModeOff
            | Self::CannotMove { .. }
            | Self::AllDomains
            | Self::RebalanceChanged(_)
            | Self::NoneServes => self.of_switch(),
            Self::NoLastGood(data_dir) => format!(
                "data_dir {data_dir} 中没有最后可用的状态：请在运行 `trunkd serve` 的机器上，使用它的设置，\
                 并以它的用户或 root 执行"
            ),
            Self::Writing(error) => format!("没有写入任何内容：{}", error.chinese()),
            Self::Query(error) => error.chinese(),
            Self::Files(error) => error.chinese(),
            Self::Interrupted => "trunkd 正在停止".to_owned(),
            Self::PlanChanged(_) => "计划已经变化：请重新查看".to_owned(),
            Self::NoSuchEntry(id) => format!("历史中没有记录 \"{}\"", shown(id)),
            Self::CannotRevert(why) => format!("无法撤销：{}", why.zh),
            Self::TooManyGateways { .. }
            | Self::OtherCount { .. }
            | Self::TooManyBytes { .. }
            | Self::BulkStopped { .. }
            | Self::WantedTwice { .. }
            | Self::NothingWanted
            | Self::TooManyInDomain { .. }
            | Self::NoSuchUpload
            | Self::TooManyUploads
            | Self::TransferStopped { .. } => self.of_many(),
            Self::UnknownGateway(_)
            | Self::InNoDomain(_)
            | Self::InSeveralDomains { .. }
            | Self::UnknownDomain(_)
            | Self::MeansAll(_)
            | Self::WrongType { .. }
            | Self::NoSuchDomain(_)
            | Self::NoSuchGateway { .. }
            | Self::NameTaken(_)
            | Self::NotServed(_)
            | Self::NotAnObject(_)
            | Self::NoSecret { .. }
            | Self::Precondition { .. }
            | Self::Refused(_)
            | Self::EditedSince { .. }
            | Self::Contended(_) => self.of_gateway(),
        }
    }
}

impl OperateError {
    fn of_switch(&self) -> String {
        match self {
            Self::CannotMove { gateway, to, why } => {
                let (gateway, to) = (shown(gateway), shown(to));
                format!("网关 \"{gateway}\" 无法迁移到 {to}：{}", why.chinese())
            }
            Self::AllDomains => "接管不是由 trunkd 启动的网关需要所有域的权限，而您只有部分域".to_owned(),
            Self::RebalanceChanged(_) => "要进行的迁移已经变化：请重新查看".to_owned(),
            Self::UnknownSwitch { name, known } if known.is_empty() => format!(
                "没有名为 \"{}\" 的 FreeSWITCH，也没有其他已知的：请在设置的 [[switch]] 中写上您的 FreeSWITCH",
                shown(name)
            ),
            Self::UnknownSwitch { name, known } => {
                format!("没有名为 \"{}\" 的 FreeSWITCH；已知的为 {}", shown(name), Known(known))
            }
            Self::SwitchUnread { switch, reason } => {
                let reason = recorded(reason);
                let reason = shown(reason.in_language(Language::Zh));
                format!("无法读取 {} 的配置：{reason}", shown(switch))
            }
            Self::NotConnected(switch) => format!(
                "提供服务的 trunkd 没有连接 {switch}：`trunkd status` 和它的日志会说明原因；或者另选一个 FreeSWITCH"
            ),
            Self::ModeOff => {
                "reconcile.mode 为 \"off\"，trunkd 不会改动任何 FreeSWITCH：请设为 \"apply\" 或 \"observe\"".to_owned()
            }
            Self::NoneServes => "没有为此 Redis 服务的 trunkd：请运行 `trunkd serve`".to_owned(),
            Self::TooManyJobs(switch) => format!("等待 {switch} 执行的任务过多：请稍后再试"),
            Self::NoSwitch => "设置中没有任何 FreeSWITCH：请为每个 FreeSWITCH 添加一个 [[switch]]".to_owned(),
            other => other.to_string(),
        }
    }

    fn of_many(&self) -> String {
        match self {
            Self::TooManyGateways { chosen, most } => {
                format!("选中了 {chosen} 个网关，一次最多修改 {most} 个：请减少数量")
            }
            Self::OtherCount { expected, now } => {
                format!("将涉及 {now} 个网关，而不是 {expected} 个：请重新查看")
            }
            Self::TooManyBytes { most } => format!("新值合计超过 {most} 字节：请减少一次修改的网关数量"),
            Self::BulkStopped { cause, done } => stopped(cause, done),
            Self::WantedTwice {
                domain,
                gateway,
                places: [one, other],
            } => format!(
                "域 \"{}\" 的网关 \"{}\" 出现了两次：{} 和 {}",
                shown(domain),
                shown(gateway),
                shown(one),
                shown(other)
            ),
            Self::NothingWanted => {
                "文件中没有任何网关，整个集合都会被删除：如果确实如此，请加上 --allow-empty".to_owned()
            }
            Self::TooManyInDomain { domain, changes } => format!(
                "域 \"{}\" 将有 {changes} 个网关改变，一次最多写入 {MAX_PER_DOMAIN} 个：请减少一次处理的文件",
                shown(domain)
            ),
            Self::NoSuchUpload => "上传的内容已不再保留：已写入、已放弃，或已超过 15 分钟；请重新上传".to_owned(),
            Self::TooManyUploads => "正在读取的导入过多：请待其完成后重试".to_owned(),
            Self::TransferStopped { cause, done } => format!(
                "已写入 {} 个网关，随后失败：{}",
                done.changes(DomainOutcome::Written),
                cause_in_chinese(cause)
            ),
            other => other.to_string(),
        }
    }

    fn of_gateway(&self) -> String {
        match self {
            Self::UnknownGateway(name) => format!("没有网关 {name:?}，任何 FreeSWITCH 和 Redis 中都没有"),
            Self::InNoDomain(gateway) => format!("没有任何域包含网关 \"{}\"", shown(gateway)),
            Self::InSeveralDomains { gateway, domains } => format!(
                "多个域中都有网关 \"{}\"：{}；请指定其中一个",
                shown(gateway),
                Known(domains)
            ),
            Self::UnknownDomain(name) => format!("域 {name:?} 没有任何网关"),
            Self::MeansAll(name) => {
                format!("FreeSWITCH 会把名称 \"{name}\" 理解为 profile 的所有网关：请为网关改名，或者用重启代替")
            }
            Self::WrongType { domain, kind } => {
                format!(
                    "域 {} 的键的类型为 {kind}，不是 hash：请先移走该键，再重新执行",
                    shown(domain)
                )
            }
            Self::NoSuchDomain(domain) => format!("没有域 \"{}\"", shown(domain)),
            Self::NoSuchGateway { domain, gateway } => {
                format!("域 \"{}\" 中没有网关 \"{}\"", shown(domain), shown(gateway))
            }
            Self::NameTaken(name) => format!("该域中已有网关 \"{}\"：请换一个名称", shown(name)),
            Self::NotServed(name) => format!("网关 \"{}\" 没有下发：请查看对它的检查结果", shown(name)),
            Self::NotAnObject(name) => format!("网关 \"{}\" 的值不是 JSON 对象：请整个替换", shown(name)),
            Self::NoSecret { gateway, secret } => {
                format!("网关 \"{}\" 没有密文 \"{}\"", shown(gateway), shown(secret))
            }
            Self::Precondition { .. } => "网关已被他人修改：请重新读取，再决定是否仍要修改".to_owned(),
            Self::Refused(_) => "FreeSWITCH 会拒绝此网关".to_owned(),
            Self::EditedSince { .. } => "网关在此之后又被修改过：请查看两处差异，确认仍然正确后再强制执行".to_owned(),
            Self::Contended(name) => format!("网关 \"{}\" 一直在被他人修改：请重试", shown(name)),
            other => other.to_string(),
        }
    }
}

/// Without the claim that nothing was written.
fn cause_in_chinese(cause: &OperateError) -> String {
    match cause {
        OperateError::Writing(error) => error.chinese(),
        error => error.chinese(),
    }
}

fn stopped(cause: &OperateError, done: &BulkAnswer) -> String {
    let cause = cause_in_chinese(cause);
    let counts = &done.counts;
    format!(
        "{} 个网关中已写入 {} 个，随后失败：{cause}",
        counts.matched, counts.changed
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::access::{AccessError, Forbidden, Role};
    use crate::gateway::NameError;
    use crate::language::text;
    use crate::operate::gateways::bulk::BulkCounts;
    use crate::operate::listing::QueryError;
    use crate::operate::transfer::{TransferCounts, TransferDomain, TransferReport};
    use crate::redis::StoreError;

    fn timeout() -> StoreError {
        StoreError::Timeout {
            server: "10.0.0.7:6379".to_owned(),
            operation: "read",
            limit: Duration::from_secs(5),
        }
    }

    fn name() -> String {
        "carrier-7".to_owned()
    }

    #[test]
    fn every_error_has_both_languages() {
        let stopped = BulkAnswer {
            dry_run: false,
            counts: BulkCounts {
                matched: 50,
                changed: 7,
                ..BulkCounts::default()
            },
            items: Vec::new(),
            left_out: 0,
            plan: Vec::new(),
        };
        let errors = [
            OperateError::Store(timeout()),
            OperateError::Query(QueryError::State { word: "uq".to_owned() }),
            OperateError::Query(QueryError::Cursor),
            OperateError::OwnPassword,
            OperateError::NoPassword(name()),
            OperateError::DefaultProfile(NameError::Character { position: 3 }),
            OperateError::UnknownSwitch {
                name: name(),
                known: ["fs1".to_owned()].into(),
            },
            OperateError::UnknownSwitch {
                name: name(),
                known: [].into(),
            },
            OperateError::NoSwitch,
            OperateError::SwitchUnread {
                switch: name(),
                reason: "Connection refused".to_owned(),
            },
            OperateError::UnknownGateway(name()),
            OperateError::UnknownDomain(name()),
            OperateError::ModeOff,
            OperateError::NoneServes,
            OperateError::NotConnected(name()),
            OperateError::TooManyJobs(name()),
            OperateError::MeansAll(name()),
            OperateError::NoLastGood("/var/lib/trunkd".to_owned()),
            OperateError::WrongType {
                domain: name(),
                kind: "string".to_owned(),
            },
            OperateError::Writing(timeout()),
            OperateError::NoSuchDomain(name()),
            OperateError::NoSuchGateway {
                domain: name(),
                gateway: "gw7".to_owned(),
            },
            OperateError::InNoDomain(name()),
            OperateError::InSeveralDomains {
                gateway: name(),
                domains: ["acme".to_owned(), "globex-2".to_owned()].into(),
            },
            OperateError::NameTaken(name()),
            OperateError::NotServed(name()),
            OperateError::NotAnObject(name()),
            OperateError::NoSecret {
                gateway: name(),
                secret: "param.password".to_owned(),
            },
            OperateError::Precondition { now: None },
            OperateError::Refused(Vec::new()),
            OperateError::NoSuchEntry("1764144000000-0".to_owned()),
            OperateError::CannotRevert(text("it names no gateway", "它没有指明网关")),
            OperateError::EditedSince {
                since: Vec::new(),
                revert: Vec::new(),
            },
            OperateError::Interrupted,
            OperateError::AllDomains,
            OperateError::TooManyGateways { chosen: 7, most: 5 },
            OperateError::TooManyBytes { most: 77 },
            OperateError::OtherCount { expected: 7, now: 5 },
            OperateError::BulkStopped {
                cause: Box::new(OperateError::Writing(timeout())),
                done: Box::new(stopped),
            },
            OperateError::WantedTwice {
                domain: name(),
                gateway: "gw7".to_owned(),
                places: ["a.yaml:7".to_owned(), "b.yaml:5".to_owned()],
            },
            OperateError::NothingWanted,
            OperateError::TooManyInDomain {
                domain: name(),
                changes: 77,
            },
            OperateError::TransferStopped {
                cause: Box::new(OperateError::Writing(timeout())),
                done: Box::new(transfer_report()),
            },
            OperateError::NoSuchUpload,
            OperateError::TooManyUploads,
            OperateError::Contended(name()),
        ];
        for error in errors {
            error.message().check();
        }
    }

    fn transfer_report() -> TransferReport {
        TransferReport {
            dry_run: false,
            counts: TransferCounts::default(),
            items: Vec::new(),
            left_out: 0,
            domains: vec![TransferDomain {
                domain: name(),
                changes: 7,
                outcome: DomainOutcome::Written,
            }],
            plan: Vec::new(),
        }
    }

    /// The words of another program or of the system stay as they are, behind a Chinese clause.
    #[test]
    fn a_cause_in_english_comes_behind_what_happened() {
        let unreadable = |server: Option<&str>| OperateError::Unreadable {
            server: server.map(str::to_owned),
            reason: "Connection refused (os error 111)".to_owned(),
            context: String::new(),
        };
        for error in [unreadable(None), unreadable(Some("redis://10.0.0.7"))] {
            let chinese = error.chinese();
            assert!(chinese.ends_with("：Connection refused (os error 111)"), "{chinese}");
        }
        assert!(
            unreadable(Some("redis://10.0.0.7"))
                .chinese()
                .contains("redis://10.0.0.7")
        );
    }

    #[test]
    fn why_a_switch_cannot_be_read_is_in_chinese() {
        let error = OperateError::SwitchUnread {
            switch: "fs1".to_owned(),
            reason: "no answer within 5s while connecting".to_owned(),
        };
        assert_eq!(error.chinese(), "无法读取 fs1 的配置：连接时 5s 内没有应答");
    }

    #[test]
    fn every_error_about_people_has_both_languages() {
        let errors = [
            AccessError::Store(timeout()),
            AccessError::BadName("a b".to_owned()),
            AccessError::PasswordTooShort { min: 12 },
            AccessError::PasswordTooLong { max_bytes: 1024 },
            AccessError::AdminOfSomeDomains,
            AccessError::NoDomains,
            AccessError::UserExists(name()),
            AccessError::UnknownUser(name()),
            AccessError::LastAdmin(name()),
            AccessError::UserChanged(name()),
            AccessError::TokenExists(name()),
            AccessError::UnknownToken(name()),
            AccessError::WrongCredentials,
            AccessError::WrongSetupCode,
            AccessError::TooMany {
                retry_after: Duration::from_millis(6500),
            },
            AccessError::Busy,
            AccessError::Full {
                what: text("tokens", "令牌"),
                max: 1000,
            },
        ];
        for error in errors {
            OperateError::Access(error).message().check();
        }
        let forbidden = [
            Forbidden::Role {
                needs: Role::Admin,
                has: Role::Viewer,
            },
            Forbidden::Domain { domain: name() },
        ];
        for error in forbidden {
            OperateError::Forbidden(error).message().check();
        }
    }
}
