-- Records that the switch is back, once.
-- ARGV from 5: the value of 'lost' that the entry is about, the history, its maximum of entries, their
-- maximum age in ms, the entry
-- Returns 1 if an entry was recorded.
local wrong = wrong_kind(ARGV[6], 'stream')
if wrong then return wrong end
if redis.call('HGET', meta, 'lost') ~= ARGV[5] then return 0 end
record(ARGV[6], '', ARGV[9], '', ARGV[7], ARGV[8], 0)
redis.call('HDEL', meta, 'lost')
return 1
