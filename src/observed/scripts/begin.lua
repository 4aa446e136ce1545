-- A connection to the switch found this Core-UUID. Another one than before means that FreeSWITCH was restarted: its sequence starts again.
-- ARGV from 5: Core-UUID, '1' when the sequences that are known of this run are not to be believed. Answers the newest sequence that anything in
-- Redis reflects: what is asked of the switch from now on is newer.
if redis.call('HGET', meta, 'core') ~= ARGV[5] or ARGV[6] == '1' then
  redis.call('DEL', marks)
  redis.call('HSET', meta, 'core', ARGV[5], 'floor', '0', 'newest', '0')
end
local floor = tonumber(redis.call('HGET', meta, 'floor')) or 0
local newest = tonumber(redis.call('HGET', meta, 'newest')) or 0
return math.max(floor, newest)
