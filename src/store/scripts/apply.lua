-- One batch of events of one run of the switch, in the order they came.
-- ARGV from 5: Core-UUID, the prefix of the seen-bitmaps, then seven an event:
--   Event-Sequence, gateway, 'S' set | 'D' delete | 'N' no state, mark, row, value, '1' for the channel and the list too | '0' for the hashes alone
-- Answers {applied, older, seen before, '1' when this is not the run that Redis knows}, or {-1, …} when Redis knows none (it was flushed): begin
-- again. What an event did is noted last, so that a batch that failed in the middle does all of it at the next try.
local core, seen = ARGV[5], ARGV[6]
local current = redis.call('HGET', meta, 'core')
if not current then return {-1, 0, 0, 0} end
local floor = tonumber(redis.call('HGET', meta, 'floor')) or 0
local newest = tonumber(redis.call('HGET', meta, 'newest')) or 0
local applied, older, repeated, blocks = 0, 0, 0, {}

for i = 7, #ARGV, 7 do
  local sequence, gateway, op = tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 2]
  local mark, row, value, announced = tonumber(ARGV[i + 3]), ARGV[i + 4], ARGV[i + 5], ARGV[i + 6] == '1'
  local fresh, block, gone = true, nil, false
  if announced then
    block = seen .. string.format('%d', math.floor(sequence / 65536))
    blocks[block] = true
    fresh = redis.call('GETBIT', block, sequence % 65536) == 0
  end
  if not fresh then
    repeated = repeated + 1
  else
    if op ~= 'N' then
      if current == core and mark > floor and mark >= (tonumber(redis.call('HGET', marks, gateway)) or 0) then
        redis.call('HSET', marks, gateway, string.format('%d', mark))
        if op == 'S' then
          redis.call('HSET', status, gateway, row)
          redis.call('HSET', gateways, gateway, value)
        end
        gone = op == 'D'
        applied = applied + 1
      else
        older = older + 1
      end
    end
    if announced then announce(value) end
    if gone then
      redis.call('HDEL', status, gateway)
      leave(gateway)
    end
    if block then redis.call('SETBIT', block, sequence % 65536, 1) end
    if current == core and sequence > newest then newest = sequence end
  end
end

redis.call('HSET', meta, 'newest', string.format('%d', newest))
for block in pairs(blocks) do redis.call('EXPIRE', block, 3600) end
trim_list()
return {applied, older, repeated, current == core and 0 or 1}
