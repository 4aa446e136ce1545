-- Shared by the scripts that change what is stored for one switch. Redis runs a script atomically,
-- so an event or snapshot takes effect once, no matter how many trunkd deliver it.
-- KEYS: the gateways hash, the list (or '' for none), then of the switch: its status hash, its meta
-- hash, its marks hash, its calls hash, its refusals hash, the sorted set of gateways that are gone
-- ARGV: the switch, `"FreeSWITCH-Switchname":"<switch>"` as in FreeSWITCH's JSON, the channel (or
-- ''), the maximum length of the list
local gateways, list, status, meta, marks = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local calls, refusals, gone = KEYS[6], KEYS[7], KEYS[8]
local switch, switch_field, channel, list_max = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

-- Returns an error if the key has another type, or nil: such a key would stop a script half-way.
local function wrong_kind(key, expected)
  local kind = key ~= '' and redis.call('TYPE', key).ok or 'none'
  if kind == 'none' or kind == expected then return nil end
  local fix = string.sub(key, 1, 7) == 'trunkd:' and 'move it away' or 'choose another key in [status], or move it away'
  return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. kind .. ', but trunkd needs a ' .. expected .. ': ' .. fix)
end

-- Checked before anything is written.
local kinds = {
  {gateways, 'hash'}, {list, 'list'}, {status, 'hash'}, {meta, 'hash'}, {marks, 'hash'}, {'trunkd:switches', 'hash'},
  {calls, 'hash'}, {refusals, 'hash'}, {gone, 'zset'},
}
for _, expected in ipairs(kinds) do
  local wrong = wrong_kind(expected[1], expected[2])
  if wrong then return wrong end
end

-- If Redis refuses writes (out of memory, a replica, a full disk), it refuses this one. Otherwise a
-- message would be published, could not be taken back, and would be published again at each retry.
redis.call('HSET', meta, 'writes', '1')

local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- When any trunkd last reported that it sees the switch, in ms. Ignores the trunkd `but_for`, if
-- given.
local function seen_ms(but_for)
  local fields, latest = redis.call('HGETALL', meta), 0
  for i = 1, #fields, 2 do
    local id = string.match(fields[i], '^seen:(.*)$')
    if id and id ~= but_for then latest = math.max(latest, tonumber(fields[i + 1]) or 0) end
  end
  return latest
end

-- Lua can pass only a few thousand arguments in one call. 3000 is divisible by 2, 3 and 4, so no
-- group is split.
local function in_parts(arguments, call)
  for first = 1, #arguments, 3000 do
    call(unpack(arguments, first, math.min(first + 2999, #arguments)))
  end
end

-- Values for the list, collected until write_list. Each script calls that at its end.
local listed = {}

local function announce(value)
  if channel ~= '' then redis.call('PUBLISH', channel, value) end
  if list ~= '' then listed[#listed + 1] = value end
end

local function write_list()
  if list == '' then return end
  in_parts(listed, function(...) redis.call('RPUSH', list, ...) end)
  redis.call('LTRIM', list, -list_max, -1)
end

-- Tells every trunkd that these rows changed, or with no names, that the switch did. They read the
-- rows themselves. `seen`: all other rows were true at this time. If it fails, they notice at their
-- next full read.
local function tell(names, seen)
  redis.pcall('XADD', 'trunkd:changes', 'MAXLEN', '~', 10000, '*', 'switch', switch, 'names', table.concat(names, '\n'),
    'seen', seen or '')
end

local function text(value)
  return type(value) == 'string' and cjson.encode(value) or '""'
end

local function event(subclass, of_switch, gateway, row, source)
  local ok, known = pcall(cjson.decode, redis.call('HGET', 'trunkd:switches', of_switch) or '')
  local core = ok and type(known) == 'table' and known.core_uuid or ''
  local json = '{"Event-Subclass":"' .. subclass .. '","Event-Name":"CUSTOM","Core-UUID":' .. text(core)
    .. ',"FreeSWITCH-Switchname":' .. cjson.encode(of_switch)
    .. ',"Event-Date-Timestamp":"' .. string.format('%.0f', now_us()) .. '"'
    .. ',"Gateway":' .. cjson.encode(gateway) .. ',"profile-name":' .. text(row.profile)
  if subclass == 'sofia::gateway_state' then
    json = json .. ',"State":' .. text(row.state) .. ',"Ping-Status":' .. text(row.ping)
  end
  return json .. ',"trunkd-Source":"' .. source .. '"}'
end

local function row_of(of_switch, gateway)
  local raw = redis.call('HGET', 'trunkd:status:' .. of_switch, gateway)
  if not raw then return nil end
  local ok, row = pcall(cjson.decode, raw)
  return ok and type(row) == 'table' and row or nil
end

-- The switch no longer has the gateway. If the value in the gateways hash is from this switch, it
-- is replaced by the state of another switch that has the gateway, preferably one that is not
-- stale. Without such a switch the field is deleted. The counters stay: a restart of the gateway
-- begins like its removal. correct.lua removes them when the gateway does not come back.
local function leave(gateway)
  redis.call('ZADD', gone, string.format('%.0f', now_us()), gateway)
  local value = redis.call('HGET', gateways, gateway)
  if not value or not string.find(value, switch_field, 1, true) then return end
  local best, best_switch
  for _, other in ipairs(redis.call('HKEYS', 'trunkd:switches')) do
    local row = other ~= switch and row_of(other, gateway)
    local better = row and (not best or (best.stale and not row.stale)
      or (not best.stale == not row.stale and tostring(row.seen) > tostring(best.seen)))
    if better then best, best_switch = row, other end
  end
  if best then
    local source = best.stale and 'disconnected' or 'snapshot'
    local successor = event('sofia::gateway_state', best_switch, gateway, best, source)
    redis.call('HSET', gateways, gateway, successor)
    announce(successor)
  else
    redis.call('HDEL', gateways, gateway)
  end
end
