-- Shared by the scripts that change what is known of one switch. Every script runs as one step for all of Redis's clients, so however many
-- trunkd deliver the same event or snapshot, it has one effect.
-- KEYS: the gateways hash, the list (or '' for none), the switch's status hash, its meta hash, its marks hash
-- ARGV: the switch, `"FreeSWITCH-Switchname":"<switch>"` as FreeSWITCH's JSON has it, the channel (or ''), the list's length
local gateways, list, status, meta, marks = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local switch, switch_field, channel, list_max = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local function announce(value)
  if channel ~= '' then redis.call('PUBLISH', channel, value) end
  if list ~= '' then redis.call('RPUSH', list, value) end
end

local function trim_list()
  if list ~= '' then redis.call('LTRIM', list, -list_max, -1) end
end

local function text(value)
  return type(value) == 'string' and cjson.encode(value) or '""'
end

local function event(subclass, of_switch, gateway, row)
  local json = '{"Event-Subclass":"' .. subclass .. '","Event-Name":"CUSTOM","FreeSWITCH-Switchname":' .. cjson.encode(of_switch)
    .. ',"Gateway":' .. cjson.encode(gateway) .. ',"profile-name":' .. text(row.profile)
  if subclass == 'sofia::gateway_state' then
    json = json .. ',"State":' .. text(row.state) .. ',"Ping-Status":' .. text(row.ping)
  end
  return json .. ',"trunkd-Source":"snapshot"}'
end

local function row_of(of_switch, gateway)
  local raw = redis.call('HGET', 'trunkd:status:' .. of_switch, gateway)
  if not raw then return nil end
  local ok, row = pcall(cjson.decode, raw)
  return ok and type(row) == 'table' and row or nil
end

-- The switch no longer has the gateway. If the field's value is this switch's, the state of another switch that still has the gateway takes
-- its place; with none, the field goes.
local function leave(gateway)
  local value = redis.call('HGET', gateways, gateway)
  if not value or not string.find(value, switch_field, 1, true) then return end
  local best, best_switch
  for _, other in ipairs(redis.call('HKEYS', 'trunkd:switches')) do
    local row = other ~= switch and row_of(other, gateway)
    if row and (not best or tostring(row.seen) > tostring(best.seen)) then best, best_switch = row, other end
  end
  if best then
    local successor = event('sofia::gateway_state', best_switch, gateway, best)
    redis.call('HSET', gateways, gateway, successor)
    announce(successor)
  else
    redis.call('HDEL', gateways, gateway)
  end
end
