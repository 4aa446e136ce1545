# 页面文字。键与 en.ftl 相同，由测试比对。

skip = 跳到正文
nav-label = 页面
nav-gateways = 网关
nav-switches = 交换机
nav-plan = 变更计划
nav-history = 历史记录
nav-users = 用户与令牌
sign-out = 退出登录
live-lost = 与 trunkd 断开已 % 秒，当前显示的内容可能已过时。
live-signed-out = 会话已结束。请在另一个标签页重新登录，然后在此继续。

sign-in = 登录
sign-in-first = 目前还没有可登录的用户。请打开 `trunkd serve` 打印的链接，或运行 `trunkd user add NAME --role admin`。
sign-in-name = 用户名
sign-in-password = 密码
setup-title = 创建首个管理员
setup-intro = 此账号拥有全部权限，之后可再为同事创建其他账号。
setup-password = 密码（至少 8 个字符）
setup-make = 创建账号

failure-signed-out = 请先登录
failure-forbidden = 没有权限
failure-not-found = 未找到
failure-refused = 操作未成功
failure-unavailable = trunkd 暂时无法执行此操作
failure-internal = trunkd 内部出错
failure-next = 请返回上一页，或
failure-home = 查看全部网关

add-trunk = 添加网关
empty-title = 还没有网关
empty-text = 网关（中继）是 FreeSWITCH 通往运营商的线路。请添加第一个网关，多数运营商只需填写四项。
search = 搜索
search-hint = 名称、主机、账号、标签
filter-all = 全部
filter-switch = 交换机
filter-clear = 显示全部
chips-label = 按状态筛选
no-match = 没有符合筛选条件的网关。
total = 共 { $count } 个网关
pages-label = 列表分页
pages-first = 第一页
pages-next = 下一页
stale-list = 无法读取 Redis，当前显示的是 { $value } 的状态。

column-name = 名称
column-domain = 域
column-carrier = 运营商
column-profile = Profile
column-state = 状态
column-ping = Ping（毫秒）
column-since = 持续时间
column-switches = 可用交换机
column-calls = 呼叫数

state-up = 正常
state-down = 故障
state-missing = 缺失
state-trying = 注册中
state-unknown = 未知
state-idle = 未启用
validity-valid = 有效
validity-disabled = 已停用
validity-kept = 新配置被拒
validity-invalid = 配置被拒
validity-shadowed = 名称已被其他域占用
validity-not-ours = 不在 Redis 中

ago-seconds = { $count } 秒前
ago-minutes = { $count } 分钟前
ago-hours = { $count } 小时前
ago-days = { $count } 天前

explain-401 = 运营商反复要求鉴权：账号、密码或 realm 有误。
explain-403 = 运营商拒绝了该账号密码，或拒绝了本机地址。
explain-404 = 运营商不认识该账号。
explain-408 = 运营商没有应答：请检查主机、端口和防火墙。
explain-423 = 运营商要求更长的注册间隔：请调大 expire-seconds。
explain-480 = 运营商暂时无法受理。
explain-503 = 运营商故障或过载，FreeSWITCH 会自动重试。
explain-refused = 运营商拒绝了注册。
explain-ping-lost = 运营商不应答 Ping（SIP OPTIONS）。
explain-ping-stuck = FreeSWITCH 已停止 Ping 该网关，重启网关即可恢复。
explain-unregistered = 已被手动注销，重新注册之前保持不可用。

## Switches

switches-none = 没有交换机
switches-none-text = 请在 trunkd 的设置中为每台 FreeSWITCH 写一个 [[switch]]，然后重启 trunkd。
switch-connected = 已连接
switch-not-connected = 未连接
switch-not-watched = 没有 trunkd 与之连接：当前显示的是最后已知状态
connected-since = 连接时间
not-connected-since = 断开时间
last-seen = 最后在线
changed-by = 由谁变更
changed-by-none = 没有 trunkd：不会对其做任何变更
mode = 模式
mode-apply = apply：立即执行变更
mode-observe = observe：在有人放行变更计划之前不做任何变更
mode-off = off：不对其做任何变更
mode-unknown = 未知：没有 trunkd 上报
removals-left = 无需批准的剩余删除数
profiles = 各 Profile 的网关数
pause = 暂停变更
resume = 恢复变更
pause-all = 暂停所有交换机
resume-all = 恢复所有交换机
paused-one = 已暂停：不对其做任何变更，网关配置仍照常下发和监控。
paused-all = 所有交换机均已暂停：不做任何变更，网关配置仍照常下发和监控。
paused-since = { $value }暂停。
see-plan = 查看变更计划

## Plan

plan-starts = 启动 { $count } 个
plan-restarts = 重启 { $count } 个
plan-kills = 停止 { $count } 个
plan-start = 启动
plan-restart = 重启
plan-kill = 停止
plan-action = 操作
plan-details = 变更内容
plan-nothing = 无需变更。
plan-unchanged = { $count } 个网关已符合要求
plan-more = 另有 { $count } 项，已计入上面的数目
plan-running = 正在执行已放行的计划：还剩 { $count } 项变更。
plan-interrupted = 现有通话不受影响，新呼叫会失败几秒钟。
plan-calls-stay = 现有通话不受影响，不再有新呼叫。
plan-taken-over = 由 trunkd 接管：按 Redis 的配置重启。
plan-is-held = 已暂缓
plan-held-by = { $held }（来自 trunkd { $trunkd }）
plan-paused = 该交换机已暂停：不会自动变更。
plan-mode = reconcile.mode 为 { $value }：不会自动变更。
plan-trouble = 网关 { $gateway }：{ $reason }
plan-others = trunkd 只下发配置的交换机
plan-no-key = Redis 中还没有 trunkd:key：在 trunkd 生成之前，其所有网关都视为已变更。
plan-of-all = 查看所有交换机的计划
plan-adopts = 此计划会接管并非由 trunkd 启动的网关。
plan-adopts-not = 查看不接管的计划
plan-adopt = 查看接管它们的计划
plan-adopt-means = 有些并非由 trunkd 启动的网关占用了 Redis 所需的名称。
plan-release = 仅放行以上内容
plan-release-means = 只执行此处显示的变更，即使交换机已暂停或计划已暂缓。
plan-is-other = 计划在此期间已变化，因此未做任何变更。下面是当前计划，请重新确认。
plan-changed = 计划已经变化。
plan-look-again = 重新查看
plan-goes-on = 正在执行，本页显示剩余的变更。
outcome-done = 已完成
outcome-goes-on = 仍在执行
outcome-abandoned = 没有 trunkd 执行，因此已撤回：请查看交换机
outcome-undone = 部分变更未完成
outcome-still-held = 因后来的修改，仍有内容暂缓
secret-changed = 已更改（机密）
not-set = 未设置
