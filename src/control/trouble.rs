//! Why an action on a gateway failed. Reports and jobs carry the English texts;
//! `operate::recorded` finds the Chinese ones by them.

use std::time::Duration;

use crate::gateway::ProfileName;
use crate::language::{Text, text};

pub(crate) const NOT_THERE: Text = text(
    "FreeSWITCH does not have it: restart it to start it",
    "FreeSWITCH 上没有它：请用重启来启动它",
);
pub(crate) const NEVER_REGISTERS: Text = text(
    "it does not register: its `register` is false",
    "它不注册：其 `register` 为 false",
);
pub(crate) const NOT_PARKED: Text = text("it is not parked", "它没有被停放");
pub(crate) const STARTED_BY_OTHERS: Text = text(
    "a gateway of this name runs that trunkd has not started, so it is left alone",
    "有一个同名网关正在运行，但不是由 trunkd 启动的，因此保持不动",
);
pub(crate) const REFUSED: Text = text(
    "FreeSWITCH does not have it after startgw, though it asked: either its log says why it was refused, or a gateway \
     of this name that is not ours, on its disk or in the template, came first",
    "FreeSWITCH 在 startgw 之后取过配置，但仍没有它：要么 FreeSWITCH 的日志中有拒绝的原因，要么其磁盘上或模板中有一个\
     不归 trunkd 管理的同名网关占先",
);
pub(crate) const SERVED_OTHER: Text = text(
    "FreeSWITCH asked for it when this trunkd served another version of it, or none: an edit came between",
    "FreeSWITCH 取配置时，此 trunkd 下发的是它的另一个版本或没有下发：其间有过修改",
);
pub(crate) const NOT_ASKED: Text = text(
    "FreeSWITCH did not ask this trunkd for it: see its log, and the gateway-url, the credentials and the time-out of \
     its xml_curl binding",
    "FreeSWITCH 没有向此 trunkd 取它的配置：请查看 FreeSWITCH 的日志，以及其 xml_curl binding 中的 gateway-url、\
     凭据和超时",
);

pub(crate) const NOT_WANTED: Text = text(
    "Redis does not want it on this switch",
    "按 Redis 的内容，该 FreeSWITCH 上不应有它",
);

pub(crate) const CHANGED_SINCE_SHOWN: Text = text(
    "changed since it was shown, so it was left alone",
    "展示之后又有变化，因此保持不动",
);
pub(crate) const ON_ITS_WAY: Text = text(
    "it is being deleted, or was unregistered a moment ago, so it was left alone",
    "它正在被删除，或者刚刚被注销，因此保持不动",
);
pub(crate) const NOT_DONE: Text = text("not done", "没有完成");

// With holes for values.
pub(crate) const NO_PROFILE: Text = text(
    "its profile {} does not run on this switch",
    "它的 profile {0} 没有在该 FreeSWITCH 上运行",
);
pub(crate) const NOT_GONE: Text = text(
    "it was killed, and is not gone after {}",
    "已停止它，但 {0} 之后仍然存在",
);
pub(crate) const OTHER_VERSION: Text = text(
    "FreeSWITCH was served another version of it, revision {}: an edit came between, or its xml_curl binding asks \
     another trunkd",
    "FreeSWITCH 得到的是它的另一个版本，revision 为 {0}：其间有过修改，或者其 xml_curl binding 指向另一个 trunkd",
);

pub(crate) fn no_profile(profile: &ProfileName) -> String {
    NO_PROFILE.en.replace("{}", profile.as_str())
}

pub(crate) fn not_gone(limit: Duration) -> String {
    NOT_GONE.en.replace("{}", &format!("{limit:?}"))
}

pub(crate) fn other_version(revision: &str) -> String {
    OTHER_VERSION.en.replace("{}", revision)
}
