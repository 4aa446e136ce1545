-- Says in trunkd:switches whether the switch is connected. Another trunkd that sees the switch keeps it connected.
-- ARGV from 5: this trunkd's id, '1' connected | '0' not, now (RFC 3339), Core-UUID
-- Answers whether Redis still knows a run of the switch: if not, it lost its data.
local id, connected, now, core = ARGV[5], ARGV[6] == '1', ARGV[7], ARGV[8]
local known = redis.call('HEXISTS', meta, 'core')
local now_ms = math.floor(now_us() / 1000)
-- Some trunkd's settings name it, whether it is reached or not: see forget.lua.
redis.call('HSET', meta, 'named', string.format('%d', now_ms))
if connected then
  redis.call('HSET', meta, 'seen:' .. id, string.format('%d', now_ms))
else
  redis.call('HDEL', meta, 'seen:' .. id)
  if now_ms - seen_ms(id) < 15000 then return known end
end

local ok, old = pcall(cjson.decode, redis.call('HGET', 'trunkd:switches', switch) or '')
if not ok or type(old) ~= 'table' then old = {} end
if not connected then core = type(old.core_uuid) == 'string' and old.core_uuid or '' end
local same = old.connected == connected and old.core_uuid == core
local since = same and type(old.since) == 'string' and old.since or now
local last_seen = connected and now or (type(old.last_seen) == 'string' and old.last_seen or '')
redis.call('HSET', 'trunkd:switches', switch, '{"connected":' .. tostring(connected) .. ',"since":' .. text(since)
  .. ',"core_uuid":' .. text(core) .. ',"last_seen":' .. text(last_seen) .. '}')

-- Those that died without saying so.
local fields = redis.call('HGETALL', meta)
for i = 1, #fields, 2 do
  if string.find(fields[i], '^seen:') and now_ms - (tonumber(fields[i + 1]) or 0) > 3600000 then redis.call('HDEL', meta, fields[i]) end
end
return known
