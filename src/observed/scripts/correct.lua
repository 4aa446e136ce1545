-- Corrects the differences between a snapshot of the switch and what is stored. The snapshot counts
-- as of a sequence. A gateway with a newer event is skipped, and so is one that changed since it
-- was compared.
-- ARGV from 5: the Core-UUID, the sequence, the kind: a 'part' of the snapshot, its 'last' part, or
-- 'some' for gateways that were queried one by one; then six per item:
--   gateway, 'S' set | 'D' delete, the row compared with, the new row, the value compared with, the
--     new value ('' = only the row changes)
-- Returns the number of corrected values, or -1 if there is a newer run or snapshot.
local core, sequence, what = ARGV[5], tonumber(ARGV[6]), ARGV[7]
if redis.call('HGET', meta, 'core') ~= core then return -1 end
if (tonumber(redis.call('HGET', meta, 'floor')) or 0) > sequence then return -1 end
local corrected, told = 0, {}

for i = 8, #ARGV, 6 do
  local gateway, op, old_row, row, old_value, value = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
  local newer = (tonumber(redis.call('HGET', marks, gateway)) or 0) > sequence
  if not newer and (redis.call('HGET', status, gateway) or '') == old_row then
    if what == 'some' then redis.call('HSET', marks, gateway, string.format('%.0f', sequence)) end
    told[#told + 1] = gateway
    if op == 'S' then
      redis.call('HSET', status, gateway, row)
      if value ~= '' and (redis.call('HGET', gateways, gateway) or '') == old_value then
        redis.call('HSET', gateways, gateway, value)
        announce(value)
        corrected = corrected + 1
      end
    else
      local stored = redis.call('HGET', gateways, gateway)
      if redis.call('HDEL', status, gateway) == 1 or (stored and string.find(stored, switch_field, 1, true)) then
        announce(value)
        leave(gateway)
        corrected = corrected + 1
      end
    end
  end
end

if what == 'last' then
  redis.call('HSET', meta, 'floor', string.format('%.0f', sequence))
  local stored = redis.call('HGETALL', marks)
  for i = 1, #stored, 2 do
    if tonumber(stored[i + 1]) <= sequence then redis.call('HDEL', marks, stored[i]) end
  end
end
if #told > 0 then tell(told) end
write_list()
return corrected
