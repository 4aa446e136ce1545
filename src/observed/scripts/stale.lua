-- The switch has been out of reach: marks its rows and its values in the gateways hash as stale,
-- unless another trunkd has seen it since.
-- ARGV from 5: how long no trunkd may have seen the switch, in ms; then five per item:
--   gateway, the row compared with, the new row, the value compared with, the new value ('' = the
--     value is from another switch)
-- Returns the number of marked rows, or -1 if a trunkd sees the switch.
if math.floor(now_us() / 1000) - seen_ms() < tonumber(ARGV[5]) then return -1 end
local marked, told = 0, {}

for i = 6, #ARGV, 5 do
  local gateway, old_row, row, old_value, value = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  if redis.call('HGET', status, gateway) == old_row then
    redis.call('HSET', status, gateway, row)
    marked = marked + 1
    told[#told + 1] = gateway
  end
  if value ~= '' and redis.call('HGET', gateways, gateway) == old_value then
    redis.call('HSET', gateways, gateway, value)
    announce(value)
  end
end
if #told > 0 then tell(told) end
write_list()
return marked
