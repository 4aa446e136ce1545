-- Records that the switch is out of reach, once, unless a trunkd sees it.
-- ARGV from 5: how long no trunkd may have seen it, in ms; the history, its maximum of entries, their
-- maximum age in ms, the entry, when the switch was last seen (ms)
-- Returns 1 if an entry was recorded.
if math.floor(now_us() / 1000) - seen_ms() < tonumber(ARGV[5]) then return 0 end
local wrong = wrong_kind(ARGV[6], 'stream')
if wrong then return wrong end
-- Without a run, nobody ever saw the switch, or Redis lost its data.
if redis.call('HEXISTS', meta, 'core') == 0 or redis.call('HEXISTS', meta, 'lost') == 1 then return 0 end
local id = record(ARGV[6], '', ARGV[9], '', ARGV[7], ARGV[8], 0)
redis.call('HSET', meta, 'lost', cjson.encode({id = id, since_ms = tonumber(ARGV[10])}))
return 1
