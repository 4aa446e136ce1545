-- One batch of events of one run of the switch, in the order they came.
-- ARGV from 5: Core-UUID, the prefix of the seen-bitmaps; then what follows, packed, since an argument costs more here than all else:
--   the bytes of the bitmaps that the events touch, a bitmap's together, '<dH' each: bitmap, byte
--   the events, '<ddHBHB' each: Event-Sequence, mark, which of the gateways, 1 set | 2 delete | 0 nothing to the hashes, which of those bytes (0: for
--     the hashes alone, not for the channel and the list), the event's bit in it
--   how many gateways there are, their names, a value for each event ('' where it goes nowhere), a row for each set
-- Answers {applied, older, seen before, '1' when this is not the run that Redis knows}, or {-1, …} when Redis knows none (it was flushed): begin
-- again. What can be read or written for all events at once is. What the events did is noted last, so that a batch that failed in the middle does
-- all of it at the next try.
local core, seen, touched, events, count = ARGV[5], ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9])
local SET, DELETE = 1, 2
local TOUCHED_SIZE, EVENT_SIZE, NAMES = 10, 22, 9
local run = redis.call('HMGET', meta, 'core', 'floor', 'newest')
local current, floor, newest = run[1], tonumber(run[2] or 0) or 0, tonumber(run[3] or 0) or 0
if not current then return {-1, 0, 0, 0} end

-- The touched bytes, and which of them are whose.
local bytes, places, bitmaps = {}, {}, {}
for at = 1, #touched / TOUCHED_SIZE do
  local bitmap, byte = struct.unpack('<dH', touched, (at - 1) * TOUCHED_SIZE + 1)
  local key = seen .. string.format('%d', bitmap)
  if #bitmaps == 0 or bitmaps[#bitmaps].key ~= key then bitmaps[#bitmaps + 1] = {key = key, first = at} end
  bitmaps[#bitmaps].last = at
  places[at] = '#' .. byte
end
for _, bitmap in ipairs(bitmaps) do
  local reads, at = {}, bitmap.first
  for i = bitmap.first, bitmap.last do
    local n = #reads
    reads[n + 1], reads[n + 2], reads[n + 3] = 'GET', 'u8', places[i]
  end
  in_parts(reads, function(...)
    for _, byte in ipairs(redis.call('BITFIELD', bitmap.key, ...)) do
      bytes[at] = byte
      at = at + 1
    end
  end)
end

local names, mark_of = {}, {}
for which = 1, count do names[which] = ARGV[NAMES + which] end
in_parts(names, function(...)
  for _, mark in ipairs(redis.call('HMGET', marks, ...)) do mark_of[#mark_of + 1] = tonumber(mark or 0) or 0 end
end)

local applied, older, repeated = 0, 0, 0
local rows, values, marked = {}, {}, {}
local value_at, row_at = NAMES + count, NAMES + count + #events / EVENT_SIZE
for at = 1, #events, EVENT_SIZE do
  local sequence, mark, which, op, byte_at, its_bit = struct.unpack('<ddHBHB', events, at)
  value_at = value_at + 1
  if op == SET then row_at = row_at + 1 end
  local announced, fresh = byte_at > 0, true
  if announced then
    local byte = bit.bor(bytes[byte_at], its_bit)
    fresh = byte ~= bytes[byte_at]
    bytes[byte_at] = byte
  end
  if not fresh then
    repeated = repeated + 1
  else
    local gone = false
    if op ~= 0 then
      -- An event that the mark is of has had its effect; one that takes over a newer event's mark may follow that.
      local before = mark_of[which]
      if current == core and mark > floor and (mark > before or (mark == before and sequence < mark)) then
        mark_of[which], marked[which] = mark, true
        if op == SET then rows[which], values[which] = ARGV[row_at], ARGV[value_at] end
        gone = op == DELETE
        applied = applied + 1
      else
        older = older + 1
      end
    end
    if announced then announce(ARGV[value_at]) end
    if gone then
      local gateway = names[which]
      if values[which] then redis.call('HSET', gateways, gateway, values[which]) end
      rows[which], values[which] = nil, nil
      redis.call('HDEL', status, gateway)
      leave(gateway)
    end
    if current == core and sequence > newest then newest = sequence end
  end
end

write_list()
local function write(key, of)
  local fields, n = {}, 0
  for which = 1, count do
    if of[which] then
      fields[n + 1], fields[n + 2] = names[which], of[which]
      n = n + 2
    end
  end
  in_parts(fields, function(...) redis.call('HSET', key, ...) end)
end
write(status, rows)
write(gateways, values)
for which in pairs(marked) do marked[which] = string.format('%d', mark_of[which]) end
write(marks, marked)
redis.call('HSET', meta, 'newest', string.format('%d', newest))
for _, bitmap in ipairs(bitmaps) do
  local writes = {}
  for at = bitmap.first, bitmap.last do
    local n = #writes
    writes[n + 1], writes[n + 2], writes[n + 3], writes[n + 4] = 'SET', 'u8', places[at], bytes[at]
  end
  in_parts(writes, function(...) redis.call('BITFIELD', bitmap.key, ...) end)
  redis.call('EXPIRE', bitmap.key, 3600)
end
return {applied, older, repeated, current == core and 0 or 1}
