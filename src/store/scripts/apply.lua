-- One batch of events of one run of the switch, in the order they came.
-- ARGV from 5: Core-UUID, the prefix of the seen-bitmaps, then seven an event:
--   Event-Sequence, gateway, 'S' set | 'D' delete | 'N' nothing to the hashes, mark, row, value, '1' once for the channel and the list too |
--   '0' for the hashes alone
-- Answers {applied, older, seen before, '1' when this is not the run that Redis knows}, or {-1, …} when Redis knows none (it was flushed): begin
-- again. What can be read or written for all events at once is: a call costs more than what it does. What the events did is noted last, so that
-- a batch that failed in the middle does all of it at the next try.
local core, seen = ARGV[5], ARGV[6]
local run = redis.call('HMGET', meta, 'core', 'floor', 'newest')
local current, floor, newest = run[1], tonumber(run[2] or 0) or 0, tonumber(run[3] or 0) or 0
if not current then return {-1, 0, 0, 0} end
local applied, older, repeated = 0, 0, 0

-- Of the bitmaps the bytes that are touched: block → byte → eight sequences, the lowest in the highest bit. And the marks.
local bytes, touched, mark_of, names = {}, {}, {}, {}
for i = 7, #ARGV, 7 do
  if ARGV[i + 6] == '1' then
    local sequence = tonumber(ARGV[i])
    local block, byte = math.floor(sequence / 65536), math.floor(sequence % 65536 / 8)
    if not bytes[block] then bytes[block], touched[block] = {}, {} end
    if not bytes[block][byte] then
      bytes[block][byte] = 0
      table.insert(touched[block], byte)
    end
  end
  local gateway = ARGV[i + 1]
  if ARGV[i + 2] ~= 'N' and not mark_of[gateway] then
    mark_of[gateway] = 0
    table.insert(names, gateway)
  end
end
for block, list_of in pairs(touched) do
  local reads = {}
  for _, byte in ipairs(list_of) do
    table.insert(reads, 'GET')
    table.insert(reads, 'u8')
    table.insert(reads, '#' .. byte)
  end
  local at = 0
  in_parts(reads, function(...)
    for _, eight in ipairs(redis.call('BITFIELD', seen .. string.format('%d', block), ...)) do
      at = at + 1
      bytes[block][list_of[at]] = eight
    end
  end)
end
local at = 0
in_parts(names, function(...)
  for _, mark in ipairs(redis.call('HMGET', marks, ...)) do
    at = at + 1
    mark_of[names[at]] = tonumber(mark or 0) or 0
  end
end)

local function is_first(sequence)
  local eights, byte = bytes[math.floor(sequence / 65536)], math.floor(sequence % 65536 / 8)
  local all = bit.bor(eights[byte], 2 ^ (7 - sequence % 8))
  local first = all ~= eights[byte]
  eights[byte] = all
  return first
end

local rows, values, marked = {}, {}, {}
for i = 7, #ARGV, 7 do
  local sequence, gateway, op, announced = tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 2], ARGV[i + 6] == '1'
  if announced and not is_first(sequence) then
    repeated = repeated + 1
  else
    local gone = false
    if op ~= 'N' then
      -- An event that the mark is of has had its effect; one that takes over a newer event's mark may follow that.
      local mark, before = tonumber(ARGV[i + 3]), mark_of[gateway]
      if current == core and mark > floor and (mark > before or (mark == before and sequence < mark)) then
        mark_of[gateway], marked[gateway] = mark, true
        if op == 'S' then rows[gateway], values[gateway] = ARGV[i + 4], ARGV[i + 5] end
        gone = op == 'D'
        applied = applied + 1
      else
        older = older + 1
      end
    end
    if announced then announce(ARGV[i + 5]) end
    if gone then
      if values[gateway] then redis.call('HSET', gateways, gateway, values[gateway]) end
      rows[gateway], values[gateway] = nil, nil
      redis.call('HDEL', status, gateway)
      leave(gateway)
    end
    if current == core and sequence > newest then newest = sequence end
  end
end

write_list()
local row_fields, value_fields, mark_fields = {}, {}, {}
for _, gateway in ipairs(names) do
  if rows[gateway] then
    table.insert(row_fields, gateway)
    table.insert(row_fields, rows[gateway])
    table.insert(value_fields, gateway)
    table.insert(value_fields, values[gateway])
  end
  if marked[gateway] then
    table.insert(mark_fields, gateway)
    table.insert(mark_fields, string.format('%d', mark_of[gateway]))
  end
end
in_parts(row_fields, function(...) redis.call('HSET', status, ...) end)
in_parts(value_fields, function(...) redis.call('HSET', gateways, ...) end)
in_parts(mark_fields, function(...) redis.call('HSET', marks, ...) end)
redis.call('HSET', meta, 'newest', string.format('%d', newest))
for block, list_of in pairs(touched) do
  local writes = {}
  for _, byte in ipairs(list_of) do
    table.insert(writes, 'SET')
    table.insert(writes, 'u8')
    table.insert(writes, '#' .. byte)
    table.insert(writes, bytes[block][byte])
  end
  local key = seen .. string.format('%d', block)
  in_parts(writes, function(...) redis.call('BITFIELD', key, ...) end)
  redis.call('EXPIRE', key, 3600)
end
return {applied, older, repeated, current == core and 0 or 1}
