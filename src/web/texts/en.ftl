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
bulk-held = Held
bulk-held-until = Nothing happens until somebody approves it:
bulk-paused = Paused: nothing changes until it is resumed.
bulk-mode = trunkd doesn't change this switch (mode "{ $value }").
bulk-nobody = No trunkd is connected to it. It catches up later.
bulk-away = No trunkd is connected to it, so nothing restarts there.
bulk-interruption = A gateway that restarts takes no new calls for a few seconds. Calls in progress stay up.
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
