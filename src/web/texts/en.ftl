# Texts of the pages. Ids are the same as in zh.ftl; a test compares them.

skip = Skip to the content
nav-label = Pages
nav-gateways = Gateways
nav-carriers = Carriers
nav-switches = Switches
nav-plan = Plan
nav-history = History
nav-import = Import
nav-users = Users and tokens
sign-out = Sign out
live-lost = No connection to trunkd. This is the state as of %
live-away = trunkd can't say what is new, perhaps because Redis can't be reached. This is the state as of %
live-signed-out = Your session has ended. Sign in again in another tab, then go on here.
live-unavailable = trunkd can't do this now, perhaps because Redis is away. What you typed is still here: try again in a moment.

away = Redis can't be reached. Nothing can be changed until it is back.
away-as-of = Redis can't be reached, and nothing can be changed. This is the state as of { $value }
last-known = last known

runbooks = Runbooks
what-to-do = What to do

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
failure-away = Redis can't be reached
failure-away-text = trunkd reads this from Redis, and shows it again when Redis is back. FreeSWITCH goes on with the gateways that it has.
failure-kept = What you sent is kept here. Send it again when trunkd can do it.
failure-again = Send it again
failure-internal = Something went wrong in trunkd
failure-next = Go back, or
failure-home = see all gateways

add-trunk = Add a trunk
empty-title = No trunks yet
empty-text = A trunk, or gateway, is the way from FreeSWITCH to a carrier. Add the first one: most carriers need four fields.
empty-import = You have gateways elsewhere, in files, FusionPBX or a spreadsheet?
empty-import-do = Import them
export = Export
export-hint = These gateways as a YAML file, without passwords
search = Search
search-hint = name, host, user, tag
filter-all = all
filter-switch = Switch
filter-clear = Show all
sort = Sort by
sort-down = { $value }, descending
chips-label = Filter by state
no-match = No gateway matches these filters.
total = { $count ->
    [one] { $count } gateway
   *[other] { $count } gateways
}
pages-label = Pages of the list
pages-first = First page
pages-next = Next page

column-name = Name
column-domain = Domain
column-carrier = Carrier
column-profile = Profile
column-state = State
column-ping = Ping, ms
column-since = Since
column-switches = Switches up
column-calls = Calls
calls-of-a-day = Last 24 h: { $answered } answered, { $failed } failed; the share is the ASR
calls-since-start = Since the gateway started
calls-5m = 5 min
calls-1h = 1 h
calls-24h = 24 h
calls-answered = Answered
calls-failed = Failed
calls-asr = ASR
calls-acd = ACD
calls-causes = Why calls failed in the last 24 h:
calls-last-failure = Last failed call: { $cause }, { $ago }, on { $switch }
calls-not-counted = trunkd hasn't been connected for calls to each of the switches yet, so some are missing.
calls-not-heard = Counted since { $value }. trunkd isn't connected for calls to one of the switches now, so some are missing.
calls-since = Counted since { $value }
calls-since-with-gaps = Counted since { $since }; none is missing since { $complete }

state-up = Up
state-down = Down
state-missing = Missing
state-trying = Registering
state-unknown = Unknown
state-idle = Idle
state-parked = Parked
validity-valid = Valid
validity-disabled = Disabled
validity-kept = New value refused
validity-invalid = Refused
validity-shadowed = Name taken by another domain
validity-not-ours = Not from Redis

preset-intro = Which kind of trunk is it? Your carrier's letter says so.
preset-account = Account trunk
preset-account-text = The carrier gave you a user and a password, and FreeSWITCH registers with them. Most trunks are of this kind.
preset-ip = IP trunk
preset-ip-text = The carrier knows the address of your FreeSWITCH. There is no password and no registration, and pings tell whether it is alive.
preset-ims = IMS
preset-ims-text = A telephone company's IMS: a user in a home domain, reached through a session border controller (SBC).

param-realm = Host (realm)
param-username = User (username)
param-password = Password (password)
param-ping = Ping every … seconds (ping)
param-from-domain = Home domain in From (from-domain)
param-from-user = User in From (from-user)
param-register-proxy = SBC for registrations (register-proxy)
param-outbound-proxy = SBC for calls (outbound-proxy)
field-name = What dial plans call it. Letters, digits, `_`, `.` and `-`.
field-domain = The tenant that it belongs to. A new name makes a new domain.
field-enabled = Enabled
field-rollback = Roll back edits that the carrier refuses
field-tags = Tags, with commas between
fact-tags = Tags
field-description = Description
field-nodes = Switches
field-nodes-hint = None ticked: all switches get it.
field-placement = Runs on
field-placement-hint = Exactly one: trunkd chooses a live switch, and when that one dies another one takes the gateway over.
choice-all = all its switches (all)
choice-one = exactly one of them (one)
field-prefer = Preferred switches, with commas between
field-prefer-hint = The best one first, if it runs on exactly one. Empty: spread evenly.
field-failback = Goes back to a preferred switch
field-failback-hint = `manual`: not by itself. `after 10m`: when that switch has been live for 10 minutes. At most 30 days.
choice-default = default: { $value }
choice-unset = not set
choice-yes = yes (true)
choice-no = no (false)
hint-least = At least { $value };
hint-below = below that, { $value }.
hint-default = Default: { $value }.
hint-no-default = Default: not set.
secret-choice = what to do with the stored one
secret-keep = Keep the stored one
secret-replace = Replace it by what is typed here
secret-remove = Remove it
secret-sealed = What you typed is kept, encrypted, and not shown. Leave this empty to use it.
severity-error = Error
severity-warning = Please check
group-unknown = Params that FreeSWITCH doesn't know

edit-title = Edit { $value }
form-more = More: profile, switches, carrier, tags
form-variables = Variables of calls
form-variables-hint = FreeSWITCH sets these on every call through this trunk. Empty a row to remove it; save to get more rows.
form-set = { $count ->
    [one] { $count } set
   *[other] { $count } set
}
form-unknown-keys = These keys are not trunkd's, and stay as they are:
form-review = Check and continue
form-signed-out = Your session has ended, and nothing was saved. Sign in again in another tab, then send this form again.
form-not-saved = Nothing was saved: { $value }. What you typed is still here.
form-secrets-again = A password that you typed must be typed again.
form-has-errors = FreeSWITCH would refuse this. See the marked fields.
form-unchanged = Nothing was changed.
variable-name = Name
variable-value = Value
variable-direction = Direction
direction-both = both
direction-inbound = inbound
direction-outbound = outbound
cancel = Cancel
save = Save
domain-bad = the domain is empty, too long, or holds a control character
domain-bad-fix = Name the tenant, such as default
name-missing = the gateway has no name
name-missing-fix = Give it one, such as carrier1
name-taken = this domain has a gateway of this name already
name-taken-fix = Choose another name

review-title = Save { $value }?
review-changes = What changes
review-effects = What the switches will do
review-no-effect = Nothing changes on any switch.
review-warnings = Please check
review-since = What was changed since
review-back = Back to the form
change-field = Field
change-before = Before
change-after = After
change-secret = changed (secret)
effect-label = Last change:
effect-applied = in effect.
effect-failed = has the new version, and it fails:
effect-rolled-back = rolled back
effect-held = held until an operator approves it:
effect-pending = not yet in effect:
effect-not-here = not for this switch
effect-would-start = starts it.
effect-would-restart = { $count ->
    [0] restarts it. New calls fail for less than a second, calls in progress go on.
   *[other] restarts it. New calls fail for about { $count } s, calls in progress go on.
}
effect-would-stop = stops it. New calls fail, calls in progress go on.
effect-would-stay = changes nothing.
conflict-title = Somebody else saved first
conflict-text = While you were editing, somebody else changed this gateway. Nothing of yours was saved, and nothing is lost:
conflict-gone = While you were editing, somebody else deleted this gateway. Nothing of yours was saved, and nothing is lost:
conflict-gone-secret = The stored password is gone with it: type it again in the form.
conflict-same = Theirs is the same as yours.
conflict-theirs = Saved now (theirs)
conflict-mine = What you typed (mine)
conflict-effects = What the switches will do if you keep yours
conflict-keep = Keep mine
conflict-take = Take theirs
conflict-again = Make it again

action-edit = Edit
action-restart = Restart
action-register = Register
action-unregister = Unregister
action-park = Park
action-unpark = Unpark
action-move = Move to another switch
action-again = Try the edit again
action-enable = Enable
action-disable = Disable
action-delete = Delete
action-copy = Copy
action-rename = Rename
action-undo = Undo
actions = Actions
copy-hint = The copy has the same password, and is disabled until you enable it.
copy-name = Name of the copy
copy-do = Make the copy
rename-hint = Switches stop the old one and start the new one. Dial plans must use the new name.
rename-name = New name
rename-do = Rename it
delete-type-name = To delete it, type its name:
delete-wrong-name = Nothing was deleted: that is not the name { $value }.
done-saved = Saved. Below is what each switch makes of it.
done-restart = The restart was asked for. Below is what each switch makes of it.
done-register = The registration was asked for. Below is what comes of it.
done-unregister = It will be unregistered. Below is what comes of it.
done-park = It will be parked: unregistered, until it is unparked or edited. Below is what comes of it.
done-unpark = It registers again. Below is what comes of it.
done-move = The move is asked for. Below is how far it is.
done-again = The edit is tried again. Below is what comes of it.
done-copy = This is the copy. It is disabled: edit it, then enable it.
done-rename = Renamed.
done-undo = Undone.
on-no-switch = No switch has this gateway.
next-try = Next try:
findings = Findings
xml-title = What FreeSWITCH gets (XML)
xml-hint = Passwords are masked.
xml-none = FreeSWITCH doesn't get this gateway.
advice-account = Check user, password and realm with the carrier, and that it knows the address of this FreeSWITCH; then edit the gateway.
advice-reach = Check that host and port are right and that no firewall is between; FreeSWITCH tries again by itself.
past-none = Nothing is recorded yet.
past-away = The history is in Redis, and is shown again when Redis is back.
past-outage = Down
past-recovered = Up again after { $count } s
past-roll-back = The edit was rolled back
past-give-up = The version before is refused too, so the edit stays
past-reveal = A secret was shown
past-hold = Held
past-release = No longer held
past-create = Created
past-change = Changed
past-delete = Deleted
past-copy = Copied
past-rename = Renamed
past-revert = Undone
past-start = Started
past-restart = Restarted
past-kill = Stopped
past-register = Registered
past-unregister = Unregistered
past-park = Parked
past-unpark = Unparked
past-failed = { $value }: failed

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
placed = Gateways on exactly one switch
placed-here = { $count } here
placed-leaving = { $count } { $count ->
    [one] leaves
   *[other] leave
}
placed-arriving = { $count } { $count ->
    [one] arrives
   *[other] arrive
}
switch-weight = Weight
drain = Drain
undrain = End the drain
drained-since = Drained { $since } by { $by }.
drain-left = { $count } left
drain-leaving = { $count } on { $count ->
    [one] its way
   *[other] their way
}
drain-calls = { $count } { $count ->
    [one] call up
   *[other] calls up
}
drain-calls-unknown = calls unknown, because the switch can't be asked
drain-until = It can be stopped when all are 0.
drain-over = It can be stopped.
drain-moves = { $count ->
    [0] No gateway has to move.
    [one] 1 gateway moves to another switch.
   *[other] { $count } gateways move to other switches.
}
drain-stuck = { $count ->
    [one] 1 gateway can't leave: no other live switch may have it.
   *[other] { $count } gateways can't leave: no other live switch may have them.
}
drain-stuck-more = and { $count } more
drain-calls-stay = On it now: { $value }. Calls that are up stay up.
drain-means = It gets no gateway that runs on exactly one switch until the drain ends. Gateways that run on all of their switches stay. New calls over a gateway that moves fail for a moment.
spread = Spread evenly
spread-moves = { $count ->
    [one] 1 gateway moves:
   *[other] { $count } gateways move:
}
spread-nothing = All gateways are where they belong.
spread-from = From
spread-to = To
spread-more = and { $count } more
spread-do = Move them
spread-is-other = The moves changed meanwhile, so nothing was done. These are the moves now: look at them again.
spread-begun = { $count ->
    [one] 1 move begins, at the pace of its carrier.
   *[other] { $count } moves begin, at the pace of their carriers.
}
move-means = Calls that are up stay up. New ones over the gateway fail for a moment, until it is registered on its new switch.
placed-title = Where it is
placed-switch = Switch
placed-since = Since
placed-why = Why
placed-move = Move
placed-first = It had no switch before
placed-failover = The switch that had it died
placed-drain = The switch that had it is drained
placed-edit = The switch that had it may no longer have it
placed-failback = That switch is preferred
placed-asked = Somebody asked for it
placed-rebalance = To spread gateways evenly
placed-returned = A move did not work, so it went back
move-waiting = Goes to { $value } when it is its turn
move-leaving = On its way to { $value }: the old switch gives it up first
move-arriving = It came from { $value }, and has to work here before the move is over
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
plan-interrupted = { $count ->
    [0] Calls stay up; new ones fail for less than a second.
   *[other] Calls stay up; new ones fail for about { $count } s.
}
plan-calls-stay = Calls stay up; there are no new ones.
plan-taken-over = trunkd takes it over: it is restarted as Redis wants it.
plan-is-held = held
plan-held-by = { $held }, says trunkd { $trunkd }
plan-takes = It takes about { $value }.
plan-takes-paced = It takes about { $time }, at the pace of { $carrier }.
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
outcome-with-hold = { $outcome }: { $held }
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
did-park = Parked
did-unpark = Unparked
did-park-refused = Parked: the carrier answers { $value }
did-unpark-registered = No longer parked: it is registered
did-unpark-edited = No longer parked: it was edited
did-unpark-by-hand = No longer parked: it was registered by hand
did-unpark-off = No longer parked: parking is off
did-move = Moved from { $from } to { $to }
did-fail-over = { $from } is dead: { $to } took it over
did-move-drained = { $from } is drained: moved to { $to }
did-move-edited = { $from } may no longer have it: moved to { $to }
did-fail-back = Went back from { $from } to { $to }, which is preferred
did-move-balanced = Moved from { $from } to { $to }, to spread gateways evenly
did-move-back = It did not work on { $from }: back on { $to }
did-drain = Drained: its gateways that run on one switch move away
did-undrain = No longer drained
did-lose-carrier = { $failing } of { $of } gateways of { $carrier } fail together
did-find-carrier = The gateways of { $carrier } no longer fail together, after { $time }
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
did-roll-back = Rolled an edit back: { $value }
did-give-up = Kept an edit after all, because the version before is refused too: { $value }
did-apply = Released a plan
did-hold = The plan is { $value }
did-release = The plan is no longer held
kind-edit = edit
kind-edits = many edits
kind-outage = outage
kind-recovered = end of an outage
kind-switch-lost = switch lost
kind-switch-back = switch back
kind-parked = parked
kind-unparked = no longer parked
kind-carrier-out = carrier out
kind-moved = move
kind-drain = drain
kind-undrain = end of a drain
kind-carrier-back = carrier back
kind-action = action
kind-actions = many actions
kind-rolled-back = rollback
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
revoke-means = Every program that uses it is refused immediately.
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

## Bulk

bulk-choose = Choose { $value }
bulk-choose-page = Choose all on this page
bulk-actions = Change the chosen gateways
bulk-chosen = Chosen:
bulk-all = All { $count } that match
bulk-enable = Enable
bulk-disable = Disable
bulk-tag = Add tags
bulk-untag = Remove tags
bulk-restart = Restart
bulk-delete = Delete
bulk-title-enable = Enable gateways
bulk-title-disable = Disable gateways
bulk-title-tag = Add tags
bulk-title-untag = Remove tags
bulk-title-restart = Restart gateways
bulk-title-delete = Delete gateways
bulk-do-enable = { $count ->
    [one] Enable { $count } gateway
   *[other] Enable { $count } gateways
}
bulk-do-disable = { $count ->
    [one] Disable { $count } gateway
   *[other] Disable { $count } gateways
}
bulk-do-tag = { $count ->
    [one] Add tags to { $count } gateway
   *[other] Add tags to { $count } gateways
}
bulk-do-untag = { $count ->
    [one] Remove tags from { $count } gateway
   *[other] Remove tags from { $count } gateways
}
bulk-do-restart = { $count ->
    [one] Restart { $count } gateway
   *[other] Restart { $count } gateways
}
bulk-do-delete = { $count ->
    [one] Delete { $count } gateway
   *[other] Delete { $count } gateways
}
bulk-tags = Tags, separated by commas
bulk-tags-chosen = Tags:
bulk-next = Continue
bulk-cancel = Cancel
bulk-back = Back to the list
bulk-bad-form = This form is incomplete. Go back to the list and try again.
bulk-none = No gateway is chosen. Go back and tick some rows.
bulk-nothing = Nothing would change.
bulk-number = To confirm, type the number of gateways: { $count }
bulk-number-missing = Type the number of gateways to confirm.
bulk-number-wrong = That is not the number of gateways. It is { $count }.
bulk-other-count = { $count ->
    [one] The list has changed: this would now be about { $count } gateway. Check it again, then confirm.
   *[other] The list has changed: this would now be about { $count } gateways. Check it again, then confirm.
}
bulk-done = { $count ->
    [one] Done: { $count } gateway changed.
   *[other] Done: { $count } gateways changed.
}
bulk-count-changes = Will change
bulk-count-changed = Changed
bulk-count-unchanged = Already so
bulk-count-refused = Refused
bulk-count-meanwhile = Changed by somebody else
bulk-count-missing = No longer there
bulk-count-not-written = Not reached
bulk-count-unknown = Uncertain
bulk-count-restart = Will restart
bulk-count-left-out = Can't restart
bulk-switches-would = What each switch would do
bulk-switches-do = What each switch does now
bulk-no-switch = Nothing. No switch has to start, restart or stop a gateway.
bulk-starts = Starts
bulk-restarts = Restarts
bulk-stops = Stops
bulk-remark = Remarks
bulk-held-until = Nothing happens until somebody approves it:
bulk-paused = Paused: nothing changes until it is resumed.
bulk-mode = trunkd doesn't change this switch (mode "{ $value }").
bulk-nobody = No trunkd is connected to it. It catches up later.
bulk-away = No trunkd is connected to it, so nothing restarts there.
bulk-interruption = { $count ->
    [0] Each gateway that restarts takes no new calls for less than a second. Calls in progress stay up.
   *[other] Each gateway that restarts takes no new calls for about { $count } s. Calls in progress stay up.
}
bulk-problems = Left alone
bulk-meanwhile = somebody else changed it meanwhile
bulk-missing = it is no longer there
bulk-not-written = Redis failed before its turn
bulk-unknown = Redis did not answer, so it may be changed or not
bulk-names = Gateways
bulk-more = and { $count } more

restarts-under-way = Gateways are restarting. This page updates itself.
restarts-over = All restarts are finished.
restarts-gone = This restart is finished or unknown. What became of each gateway is in the
restarts-waiting = Waiting
restarts-running = Restarting
restarts-done = Finished
restarts-given-up = Given up
restarts-restarted = Restarted
restarts-failed = Failed
restarts-left = Left
restarts-progress = Progress
restarts-failures = Not restarted

## Import

import-title = Import gateways
import-intro = You see first what would change. Nothing is written until you confirm it.
import-from-file = From a file
import-file = File
import-file-hint = At most 64 MiB, in UTF-8. An XML file can't include others here: import a whole conf/ with `trunkd import fs-xml`.
import-too-large = This file is larger than 64 MiB: import less at once.
import-too-slow = The upload took longer than 5 minutes. Import less at once, or use `trunkd import`.
import-incomplete = The upload did not arrive whole. Choose the file again.
import-no-file = No file was chosen.
import-no-kind = Choose what the file is.
import-kind = What the file is
import-kind-documents = trunkd's own documents (YAML or JSON)
import-kind-fs-xml = FreeSWITCH XML
import-kind-fusionpbx = FusionPBX (pg_dump or CSV), named by UUID
import-kind-fusionpbx-names = FusionPBX (pg_dump or CSV), named by gateway
import-kind-csv = Spreadsheet (CSV)
import-options = Options for files of other systems
import-options-hint = trunkd's own documents need none: they name domain and profile, and replace what is stored.
import-domain = Domain for all gateways
import-domain-hint = Leave it empty to use the domain that the source names.
import-profile = Profile for gateways without one
import-profile-hint = Leave it empty for { $value }.
import-overwrite = Also replace gateways that are stored already and differ
import-look = Show what would change
import-from-switch = From a switch
import-from-switch-text = What the switch has in its configuration now. Gateways that trunkd started are left out.
import-review-title = Import { $value }
import-is-other = The difference changed meanwhile, so nothing was written. This is the difference now: look at it again.
import-nothing = There is nothing to write.
import-domain-refused = Nothing of these domains is written, because one of their gateways is refused:
import-write = { $count ->
    [one] Write { $count } gateway
   *[other] Write { $count } gateways
}
import-discard = Discard
import-kept = The upload is kept for 15 minutes, encrypted, and for you alone.
import-count-added = To add
import-count-changed = To change
import-count-removed = To remove
import-count-refused = Refused
import-count-same = As they are
import-count-existing = Left as stored
import-count-skipped = Not imported
import-existing = Stored already, and different
import-existing-text = These are left as they are stored.
import-existing-replace = See what replacing them would change
import-overwrites = Gateways that are stored already and differ are replaced.
import-existing-keep = Leave them as they are stored
import-report = What was read
import-of-all = About the source
import-plain = { $count ->
    [one] { $count } gateway is taken as it is.
   *[other] { $count } gateways are taken as they are.
}
import-fields = { $count ->
    [one] { $count } field
   *[other] { $count } fields
}
import-added = new
import-changed = changed
import-removed = removed
import-same = the same
import-differs = differs
import-refused = refused
import-taken = taken
import-taken-changed = taken, with changes
import-skipped = not imported
import-note = Note
import-done = { $count ->
    [one] Done: { $count } gateway written.
   *[other] Done: { $count } gateways written.
}
import-not-all = Not everything was written.
import-again = See what is left
import-outcome = Outcome
import-outcome-same = nothing to write
import-outcome-written = written
import-outcome-refused = not written: one of its gateways is refused
import-outcome-meanwhile = left alone: somebody else changed one of its gateways meanwhile
import-outcome-not-written = not written: Redis failed before its turn
import-outcome-unknown = Redis did not answer, so it may be written or not
import-to-list = Show the gateways
import-another = Import another

# Carriers
carriers-none = There is no carrier yet
carriers-none-text = A carrier appears once trunkd serves one of its gateways. Its name is the gateway's key `carrier`, or else its host.
carriers-others =
    { $count ->
        [one] { $count } more carrier
       *[other] { $count } more carriers
    }
carriers-hint = Refusals are those of the last hour. REGISTERs are those that were sent within the last minute.
carrier-out = Out on { $switch }, { $since }: { $failing } of { $of } gateways fail together
carrier-out-some = Out on { $switch }, { $since }: most gateways fail together
carrier-waiting =
    { $count ->
        [one] { $count } waits for its pace
       *[other] { $count } wait for its pace
    }
carrier-calls-in = In: { $answered } answered, { $failed } failed
carrier-calls-out = Out: { $answered } answered, { $failed } failed
column-registers = REGISTERs a second
column-refused = Refused
column-calls-1h = Calls, 1 h
registers-limit = at most { $value } from trunkd
registers-in-flight = at most { $value } without an answer
