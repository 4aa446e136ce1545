# Texts of the pages. Ids are the same as in zh.ftl; a test compares them.

skip = Skip to the content
nav-label = Pages
nav-gateways = Gateways
nav-switches = Switches
nav-plan = Plan
nav-history = History
nav-users = Users and tokens
sign-out = Sign out
live-lost = No connection to trunkd for % s. What you see may be out of date.
live-signed-out = Your session has ended. Sign in again in another tab, then go on here.

sign-in = Sign in
sign-in-first = Nobody can sign in yet. Follow the link that `trunkd serve` printed, or run `trunkd user add NAME --role admin`.
sign-in-name = Name
sign-in-password = Password
setup-title = The first admin
setup-intro = This account may do everything. Make others for your colleagues later.
setup-password = Password, at least 8 characters
setup-make = Make the account

failure-signed-out = Please sign in
failure-forbidden = Not allowed
failure-not-found = Not found
failure-refused = That did not work
failure-unavailable = trunkd can't do this now
failure-internal = Something went wrong in trunkd
failure-next = Go back, or
failure-home = see all gateways

add-trunk = Add a trunk
empty-title = No trunks yet
empty-text = A trunk, or gateway, is the way from FreeSWITCH to a carrier. Add the first one: most carriers need four fields.
search = Search
search-hint = name, host, user, tag
filter-all = all
filter-switch = Switch
filter-clear = Show all
chips-label = Filter by state
no-match = No gateway matches these filters.
total = { $count ->
    [one] { $count } gateway
   *[other] { $count } gateways
}
pages-label = Pages of the list
pages-first = First page
pages-next = Next page
stale-list = Redis can't be read. This is the state of { $value }.

column-name = Name
column-domain = Domain
column-carrier = Carrier
column-profile = Profile
column-state = State
column-ping = Ping, ms
column-since = Since
column-switches = Switches up
column-calls = Calls

state-up = Up
state-down = Down
state-missing = Missing
state-trying = Registering
state-unknown = Unknown
state-idle = Idle
validity-valid = Valid
validity-disabled = Disabled
validity-kept = New value refused
validity-invalid = Refused
validity-shadowed = Name taken by another domain
validity-not-ours = Not from Redis

ago-seconds = { $count } s ago
ago-minutes = { $count } min ago
ago-hours = { $count } h ago
ago-days = { $count ->
    [one] { $count } day ago
   *[other] { $count } days ago
}

explain-401 = The carrier asks for a password again and again: user, password or realm are wrong.
explain-403 = The carrier refused user and password, or this address.
explain-404 = The carrier doesn't know this user.
explain-408 = The carrier doesn't answer: check host, port and firewall.
explain-423 = The carrier wants a longer time between registrations: raise expire-seconds.
explain-480 = The carrier can't take this now.
explain-503 = The carrier is out of order or overloaded. FreeSWITCH tries again.
explain-refused = The carrier refused the registration.
explain-ping-lost = The carrier doesn't answer pings (SIP OPTIONS).
explain-ping-stuck = FreeSWITCH has stopped pinging it. A restart of the gateway helps.
explain-unregistered = It was unregistered by hand, and stays down until it is registered.

## Switches

switches-none = No switches
switches-none-text = Name each FreeSWITCH in a [[switch]] of the settings of trunkd, then restart trunkd.
switch-connected = Connected
switch-not-connected = Not connected
switch-not-watched = No trunkd is connected to it: this is its last known state
connected-since = Connected since
not-connected-since = Not connected since
last-seen = Last seen
changed-by = Changed by
changed-by-none = no trunkd: nothing is changed on it
mode = Mode
mode-apply = apply: changes are made at once
mode-observe = observe: nothing is changed until somebody releases the plan
mode-off = off: nothing is changed on it
mode-unknown = unknown: no trunkd reports on it
removals-left = Removals without approval left
profiles = Gateways by profile
pause = Pause changes
resume = Resume changes
pause-all = Pause all switches
resume-all = Resume all switches
paused-one = Paused: nothing is changed on it. Gateways are served and watched as before.
paused-all = All switches are paused: nothing is changed on any. Gateways are served and watched as before.
paused-since = Paused { $value }.
see-plan = See the plan

## Plan

plan-starts = { $count } to start
plan-restarts = { $count } to restart
plan-kills = { $count } to kill
plan-start = start
plan-restart = restart
plan-kill = kill
plan-action = Action
plan-details = What changes
plan-nothing = Nothing to do.
plan-unchanged = { $count ->
    [one] { $count } gateway runs as wanted
   *[other] { $count } gateways run as wanted
}
plan-more = and { $count } more, which the counts above include
plan-running = A released plan is being carried out: { $count } changes left.
plan-interrupted = Calls stay up; new ones fail for a few seconds.
plan-calls-stay = Calls stay up; there are no new ones.
plan-taken-over = trunkd takes it over: it is restarted as Redis wants it.
plan-is-held = held
plan-held-by = { $held }, says trunkd { $trunkd }
plan-paused = The switch is paused: nothing is changed by itself.
plan-mode = reconcile.mode is { $value }: nothing is changed by itself.
plan-trouble = Gateway { $gateway }: { $reason }
plan-others = Switches that trunkd only serves
plan-no-key = Redis has no trunkd:key yet: until trunkd has made one, every gateway of trunkd's counts as changed.
plan-of-all = See the plan of all switches
plan-adopts = This plan takes over gateways that trunkd did not start.
plan-adopts-not = See the plan without them
plan-adopt = See the plan that takes them over
plan-adopt-means = Gateways that trunkd did not start have names that Redis wants.
plan-release = Release exactly this
plan-release-means = Does what is shown here and nothing else, also on a switch that is paused or held.
plan-is-other = The plan changed meanwhile, so nothing was done. This is the plan now: look at it again.
plan-changed = The plan is another one by now.
plan-look-again = Look again
plan-goes-on = It is being carried out. This page shows what is left.
outcome-done = done
outcome-goes-on = it goes on
outcome-abandoned = no trunkd took it up, so it was taken back: see the switches
outcome-undone = some of it was not done
outcome-still-held = something is still held, because of later edits
secret-changed = changed (secret)
not-set = not set

## History

history-gateway = Gateway
history-who = Who
history-kind = Kind
history-since = Time
history-last = last { $value }
history-when = When
history-what = What
history-none = Nothing is recorded that matches.
who-nobody = somebody
who-token = token { $value }
who-cli = { $value }, at a shell
who-redis = a program that wrote Redis itself
did-edits = Changed many gateways: { $created } created, { $changed } changed, { $deleted } deleted
did-create = Created the gateway
did-change = Changed the gateway
did-delete = Deleted the gateway
did-copy = Copied the gateway from { $value }
did-rename = Renamed the gateway; other name: { $value }
did-revert = Undid an edit
did-outage = Down: { $value }
did-recover = Usable again after { $time } ({ $reason })
did-lose-switch = The switch can't be reached: { $value }
did-find-switch = The switch can be reached again after { $value }
did-start = Started
did-restart = Restarted
did-kill = Killed
did-register = Registered
did-unregister = Unregistered
did-fail = { $action }: failed, { $reason }
did-actions = { $started } started, { $restarted } restarted, { $killed } killed, { $failed } failed
did-reveal = Looked at the secret { $value }
did-sign-in = Signed in
did-sign-in-failed = Failed to sign in as { $name } from { $address }
did-add-user = Added the user { $value }
did-remove-user = Removed the user { $value }
did-change-password = Changed the password of { $value }
did-create-token = Created the token { $value }
did-revoke-token = Revoked the token { $value }
did-pause = Paused changes
did-resume = Resumed changes
did-apply = Released a plan
did-hold = The plan is { $value }
did-release = The plan is no longer held
kind-edit = edit
kind-edits = many edits
kind-outage = outage
kind-recovered = end of an outage
kind-switch-lost = switch lost
kind-switch-back = switch back
kind-action = action
kind-actions = many actions
kind-reveal = look at a secret
kind-access = users and sign-ins
kind-pause = pause
kind-resume = resume
kind-apply = release of a plan
kind-hold = hold
kind-release = end of a hold
undo = Undo…
undo-title = Undo an edit
undo-changes = What undoing it changes
undo-since = What was changed since
undo-edited-since = The gateway was edited since. Look at both differences, and decide whether undoing it is still right.
undo-nothing = Nothing: the gateway is as it was before.
undo-do = Undo the edit
undo-anyway = Undo all the same
undo-not = Leave it as it is
would-start = the gateway is started.
would-restart = the gateway is restarted. Calls stay up; new ones fail for a few seconds.
would-stop = the gateway is killed. Calls stay up.
would-be-held = it is held, and somebody must release it on the plan page.

## Users and tokens

users = Users
role = Role
role-viewer = viewer
role-operator = operator
role-admin = admin
roles-mean = A viewer sees everything but secrets, an operator also changes gateways and releases plans, an admin may do everything in all domains.
domains = Domains
added = Added
account = Account
own-password = Your password
set-password-of = Set the password of { $value }
set-password-means = The user is signed out everywhere.
set-password = Set the password
last-admin = The last admin can't be removed: make another one first.
remove-user = Remove { $value }
remove-means = The user is signed out everywhere, and can't sign in again.
remove-self-means = This is your own account: you are signed out, and can't sign in again.
remove = Remove
add-user = Add a user
add-user-do = Add the user
user-name = User name
user-role = Role of the user
user-domains = Domains of the user, with commas between; empty for all
user-password = Password of the user, at least 8 characters
tokens = Tokens
tokens-mean = Programs use a token instead of a password.
token-by = Created by
token-used = Last use
token-expires = Expires
never = never
revoke = Revoke
revoke-token = Revoke { $value }
revoke-means = Every program that uses it is refused at once.
add-token = Create a token
add-token-do = Create the token
token-name = Token name
token-role = Role of the token
token-domains = Domains of the token, with commas between; empty for all
token-days = Days until it expires; empty for never
token-created = The token { $value } is created. Copy its secret now: it is not shown again.
token-secret = Secret
password-old = Present password
password-new = New password, at least 8 characters
password-means = Your other browsers are signed out.
password-wrong = The present password is wrong.
password-done = Your password is changed.
