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
