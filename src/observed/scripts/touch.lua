-- Records in trunkd:switches whether the switch is connected. It stays connected while another
-- trunkd sees it.
-- ARGV from 5: this trunkd's id, '1' connected | '0' not, now (RFC 3339), the Core-UUID, since when
-- this trunkd is connected or not, why it is not
-- Returns {whether Redis still knows a run of the switch (if not, it lost its data), when any
-- trunkd last saw it in ms (-1 if none did), the current time in ms}.
local id, connected, now, core, mine, reason = ARGV[5], ARGV[6] == '1', ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local known = redis.call('HEXISTS', meta, 'core')
local now_ms = math.floor(now_us() / 1000)
-- A trunkd has it in its settings, reachable or not: see forget.lua.
redis.call('HSET', meta, 'named', string.format('%d', now_ms))
if connected then
  redis.call('HSET', meta, 'seen:' .. id, string.format('%d', now_ms), 'sighted', string.format('%d', now_ms))
else
  redis.call('HDEL', meta, 'seen:' .. id)
end
local answer = {known, tonumber(redis.call('HGET', meta, 'sighted') or -1), now_ms}
if not connected and now_ms - seen_ms(id) < 15000 then return answer end

local ok, old = pcall(cjson.decode, redis.call('HGET', 'trunkd:switches', switch) or '')
if not ok or type(old) ~= 'table' then old = {} end
local function known_text(name) return type(old[name]) == 'string' and old[name] or '' end
if not connected then core = known_text('core_uuid') end
local same = old.connected == connected and old.core_uuid == core
-- The times have the same format, so they can be compared as text.
local since = mine
if same and known_text('since') ~= '' and (not connected or known_text('since') < mine) then
  since = known_text('since')
elseif not connected and old.connected == true and known_text('last_seen') > mine then
  since = known_text('last_seen')
end
if same and not connected and reason == '' then reason = known_text('reason') end
if connected then reason = '' end
if not same then tell({}) end
local last_seen = connected and now or known_text('last_seen')
redis.call('HSET', 'trunkd:switches', switch, '{"connected":' .. tostring(connected) .. ',"since":' .. text(since)
  .. ',"core_uuid":' .. text(core) .. ',"last_seen":' .. text(last_seen)
  .. ',"reason":' .. (reason == '' and 'null' or text(reason)) .. '}')

-- Removes sightings of trunkd that died without signing off.
local fields = redis.call('HGETALL', meta)
for i = 1, #fields, 2 do
  if string.find(fields[i], '^seen:') and now_ms - (tonumber(fields[i + 1]) or 0) > 3600000 then redis.call('HDEL', meta, fields[i]) end
end
return answer
