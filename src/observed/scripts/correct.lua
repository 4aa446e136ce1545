-- Corrects the differences between a snapshot of the switch and what is stored. The snapshot counts
-- as of a sequence. A gateway with a newer event is skipped, and so is one that changed since it
-- was compared.
-- ARGV from 5: the Core-UUID, the sequence, the kind: a 'part' of the snapshot, its 'last' part, or
-- 'some' for gateways that were queried one by one; the turn in which calls were last counted when
-- the snapshot began; the calls of each item, '<dddd' each: in, out, failed in, failed out, or -1 if
-- they are not counted; then six per item:
--   gateway, 'S' set | 'T' set, but only the time differs at which the row was true | 'D' delete, the
--     row compared with, the new row, the value compared with, the new value ('' = only the row changes)
-- Returns the number of corrected values, or -1 if there is a newer run or snapshot.
local core, sequence, what, turn_before, packed_calls = ARGV[5], tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8]), ARGV[9]
local ITEMS, ITEM_SIZE, CALLS_SIZE = 10, 6, 32
-- How long the counters of a gateway that is gone are kept, in µs: longer than any restart takes.
local KEPT_US, MAX_REMOVED = 3600 * 1000000, 1000
if redis.call('HGET', meta, 'core') ~= core then return -1 end
if (tonumber(redis.call('HGET', meta, 'floor')) or 0) > sequence then return -1 end
local corrected, told, seen = 0, {}, nil
local counted, reports = {}, {}

for i = ITEMS, #ARGV, ITEM_SIZE do
  local gateway, op, old_row, row, old_value, value = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
  local newer = (tonumber(redis.call('HGET', marks, gateway)) or 0) > sequence
  if not newer and (redis.call('HGET', status, gateway) or '') == old_row then
    if what == 'some' then redis.call('HSET', marks, gateway, string.format('%.0f', sequence)) end
    if op ~= 'T' then told[#told + 1] = gateway end
    if op ~= 'D' then
      -- One row of the last part stands for all: the snapshot saw them at the same time.
      if op == 'T' and what == 'last' and not seen then seen = string.match(row, '"seen":"([^"]*)"') end
      redis.call('HSET', status, gateway, row)
      local report = {struct.unpack('<dddd', packed_calls, (i - ITEMS) / ITEM_SIZE * CALLS_SIZE + 1)}
      if report[1] >= 0 then
        counted[#counted + 1] = gateway
        reports[#reports + 1] = report
      end
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

local function numbers(of) return string.format('[%.0f,%.0f,%.0f,%.0f]', of[1], of[2], of[3], of[4]) end
local NO_CALLS = numbers({0, 0, 0, 0})

-- FreeSWITCH counts from zero whenever it starts a gateway (FACTS 41). So if a number went down, all
-- of them are added to the sums. An entry that was written after this snapshot began is left alone:
-- the other snapshot may be newer, and then a lower number is no restart.
local function add_up(known, report)
  if not known then return report end
  local ok, entry = pcall(cjson.decode, known)
  if not ok or type(entry) ~= 'table' or type(entry.total) ~= 'table' or type(entry.last) ~= 'table' then return report end
  if (tonumber(entry.turn) or 0) > turn_before then return nil end
  local is_restarted = false
  for at = 1, 4 do
    entry.last[at], entry.total[at] = tonumber(entry.last[at]) or 0, tonumber(entry.total[at]) or 0
    is_restarted = is_restarted or report[at] < entry.last[at]
  end
  for at = 1, 4 do
    entry.total[at] = entry.total[at] + report[at] - (is_restarted and 0 or entry.last[at])
  end
  return entry.total
end

local found = {}
in_parts(counted, function(...)
  for _, known in ipairs(redis.call('HMGET', calls, ...)) do found[#found + 1] = known end
end)
local turn = string.format('%.0f', (tonumber(redis.call('HGET', meta, 'counted')) or 0) + 1)
local entries = {}
for at, gateway in ipairs(counted) do
  local known, last = found[at], numbers(reports[at])
  -- Most gateways have no new calls: those are not decoded.
  local is_same = last == NO_CALLS
  if known then is_same = string.find(known, '"last":' .. last, 1, true) ~= nil end
  local total = not is_same and add_up(known, reports[at])
  if total then
    entries[#entries + 1] = gateway
    entries[#entries + 1] = '{"total":' .. numbers(total) .. ',"last":' .. last .. ',"turn":' .. turn .. '}'
  end
end
if #entries > 0 then
  redis.call('HSET', meta, 'counted', turn)
  in_parts(entries, function(...) redis.call('HSET', calls, ...) end)
end

if what == 'last' then
  local until_us = string.format('%.0f', now_us() - KEPT_US)
  for _, gateway in ipairs(redis.call('ZRANGEBYSCORE', gone, '-inf', until_us, 'LIMIT', 0, MAX_REMOVED)) do
    if redis.call('HEXISTS', status, gateway) == 0 then
      redis.call('HDEL', calls, gateway)
      redis.call('HDEL', refusals, gateway)
    end
    redis.call('ZREM', gone, gateway)
  end
  redis.call('HSET', meta, 'floor', string.format('%.0f', sequence))
  local stored = redis.call('HGETALL', marks)
  for i = 1, #stored, 2 do
    if tonumber(stored[i + 1]) <= sequence then redis.call('HDEL', marks, stored[i]) end
  end
end
if #told > 0 or seen then tell(told, seen) end
write_list()
return corrected
