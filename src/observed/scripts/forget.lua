-- The switch was removed from the settings: deletes everything that is stored for it, and its
-- values in the gateways hash, unless another trunkd sees it or still has it in its settings.
-- ARGV from 5: how long no trunkd may have seen the switch, and how long none may have named it, both
-- in ms; the switch's outages hash; the hash of held plans
-- Returns -1 if one did.
local now_ms = math.floor(now_us() / 1000)
if now_ms - seen_ms() < tonumber(ARGV[5]) then return -1 end
if now_ms - (tonumber(redis.call('HGET', meta, 'named')) or 0) < tonumber(ARGV[6]) then return -1 end
local stored = redis.call('HGETALL', gateways)
for i = 1, #stored, 2 do
  if string.find(stored[i + 1], switch_field, 1, true) then
    local gateway = stored[i]
    local row = row_of(switch, gateway) or {}
    announce(event('sofia::gateway_delete', switch, gateway, row, 'snapshot'))
    leave(gateway)
  end
end
redis.call('DEL', status, meta, marks, calls, refusals, gone, ARGV[7])
redis.call('HDEL', ARGV[8], switch)
write_list()
tell({})
return redis.call('HDEL', 'trunkd:switches', switch)
