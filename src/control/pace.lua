-- KEYS: the carrier's hash, switch → "<REGISTERs within any second> <in flight> <expires>".
-- ARGV: the switch; its recent, pending and unanswered REGISTERs; how many more it wants; the carrier's
-- REGISTERs per second and in flight, 0 for no limit; how long the field lasts, in ms.
-- Returns how many more it may cause.
local switch = ARGV[1]
local recent, pending, unanswered = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local granted, per_second, in_flight = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local of_others, unanswered_of_others = 0, 0
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local used, flying, expires = string.match(fields[i + 1], '^(%d+) (%d+) (%d+)$')
  if not used or tonumber(expires) <= now then
    redis.call('HDEL', KEYS[1], fields[i])
  elseif fields[i] ~= switch then
    of_others = of_others + tonumber(used)
    unanswered_of_others = unanswered_of_others + tonumber(flying)
  end
end
if per_second > 0 then
  granted = math.min(granted, per_second - of_others - pending)
end
if in_flight > 0 then
  granted = math.min(granted, in_flight - unanswered_of_others - unanswered)
end
granted = math.max(granted, 0)
local used = math.max(recent, pending + granted)
if used + unanswered + granted == 0 then
  redis.call('HDEL', KEYS[1], switch)
else
  local field = string.format('%d %d %d', used, unanswered + granted, now + tonumber(ARGV[8]))
  redis.call('HSET', KEYS[1], switch, field)
  redis.call('PEXPIRE', KEYS[1], ARGV[8])
end
return granted
