-- Says in trunkd:switches whether the switch is connected. Another trunkd that sees the switch keeps it connected.
-- ARGV from 5: this trunkd's id, '1' connected | '0' not, now (RFC 3339), Core-UUID
-- Answers whether Redis still knows a run of the switch: if not, it lost its data.
local known = redis.call('HEXISTS', meta, 'core')
local id, connected, now, core = ARGV[5], ARGV[6] == '1', ARGV[7], ARGV[8]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local seen_ms = tonumber(redis.call('HGET', meta, 'seen_ms')) or 0
if not connected and redis.call('HGET', meta, 'seen_by') ~= id and now_ms - seen_ms < 15000 then return known end

local ok, old = pcall(cjson.decode, redis.call('HGET', 'trunkd:switches', switch) or '')
if not ok or type(old) ~= 'table' then old = {} end
if not connected then core = type(old.core_uuid) == 'string' and old.core_uuid or '' end
local same = old.connected == connected and old.core_uuid == core
local since = same and type(old.since) == 'string' and old.since or now
local last_seen = connected and now or (type(old.last_seen) == 'string' and old.last_seen or '')
redis.call('HSET', 'trunkd:switches', switch, '{"connected":' .. tostring(connected) .. ',"since":' .. text(since)
  .. ',"core_uuid":' .. text(core) .. ',"last_seen":' .. text(last_seen) .. '}')
if connected then redis.call('HSET', meta, 'seen_ms', string.format('%d', now_ms), 'seen_by', id) end
return known
