-- A connection found the switch with this Core-UUID. A different Core-UUID than before means that
-- FreeSWITCH was restarted, so its sequence starts again.
-- ARGV from 5: the Core-UUID, '1' if the known sequences of this run cannot be trusted.
-- Returns {the newest sequence that anything in Redis reflects, the last turn in which calls were
-- counted}. Answers that the switch gives from now on are newer than both.
if redis.call('HGET', meta, 'core') ~= ARGV[5] or ARGV[6] == '1' then
  redis.call('DEL', marks)
  redis.call('HSET', meta, 'core', ARGV[5], 'floor', '0', 'newest', '0')
  -- Sequences of different epochs cannot be compared.
  redis.call('HINCRBY', meta, 'epoch', 1)
end
local floor = tonumber(redis.call('HGET', meta, 'floor')) or 0
local newest = tonumber(redis.call('HGET', meta, 'newest')) or 0
return {math.max(floor, newest), tonumber(redis.call('HGET', meta, 'counted')) or 0}
