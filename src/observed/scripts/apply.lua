-- Applies one batch of events from one run of the switch, in the order they arrived.
-- ARGV from 5: the Core-UUID, the key of the seen-bits, then the data below. It is packed, because
-- each extra argument costs more here than anything else:
--   the blocks of seen-bits that the events touch, '<d' each
--   the events, '<ddHBHBB' each: Event-Sequence, mark, index of the gateway, operation (1 set | 2
--     delete | 3 row only | 0 nothing for the hashes; +16 for the first sight of the gateway, +32
--     for a sequence that cannot be trusted), index of the block (0: for the hashes only, not for
--     the channel and the list), the byte in the block, the event's bit in that byte
--   what to count of REGISTERs, '<dHH' each: Event-Sequence, index of the gateway, the SIP status code
--     with which one failed or 0 (+32768 if one was sent)
--   the number of gateways, their names, a value for each event ('' if it goes nowhere), a row for
--     each set and each row-only event
-- Returns {applied, older, repeated, 1 if Redis knows another run of the switch}, or {-1, …} if
-- Redis knows no run (it was flushed): begin again. Reads and writes are made for all events
-- together where possible. The seen-bits are written last, so a batch that failed in the middle is
-- applied in full at the next try.
local core, seen, touched, events, registers, count = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], tonumber(ARGV[10])
local SET, DELETE, NOTE, FIRST_SIGHT, ODD = 1, 2, 3, 16, 32
local TOUCHED_SIZE, EVENT_SIZE, REGISTER_SIZE, NAMES = 8, 23, 12, 10
local SENT = 32768
-- A block has 64 bytes and takes about 150. With the previous generation that is two to three MB
-- per switch, however far its sequences jump.
local MAX_BLOCKS = 8192
-- Status codes that a gateway counts apart. A carrier decides which ones it sends.
local MAX_CODES = 16
local seen_before = seen .. ':before'
for _, key in ipairs({seen, seen_before}) do
  local wrong = wrong_kind(key, 'hash')
  if wrong then return wrong end
end
local run = redis.call('HMGET', meta, 'core', 'floor', 'newest')
local current, floor, newest = run[1], tonumber(run[2] or 0) or 0, tonumber(run[3] or 0) or 0
if not current then return {-1, 0, 0, 0} end

-- The touched blocks: their bits, and the bytes that change.
local blocks, bits, changes = {}, {}, {}
for at = 1, #touched / TOUCHED_SIZE do
  blocks[at] = string.format('%.0f', (struct.unpack('<d', touched, (at - 1) * TOUCHED_SIZE + 1)))
end
for _, key in ipairs({seen, seen_before}) do
  local at = 1
  in_parts(blocks, function(...)
    for _, known in ipairs(redis.call('HMGET', key, ...)) do
      bits[at] = bits[at] or known
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
local rows, values, marked, first_sights, left, again = {}, {}, {}, {}, {}, {}
local value_at, row_at = NAMES + count, NAMES + count + #events / EVENT_SIZE
for at = 1, #events, EVENT_SIZE do
  local sequence, mark, which, flags, block, byte_at, its_bit = struct.unpack('<ddHBHBB', events, at)
  local op = flags % 16
  value_at = value_at + 1
  if op == SET or op == NOTE then row_at = row_at + 1 end
  local announced, fresh = block > 0, true
  if announced then
    local changed = changes[block]
    if not changed then
      changed = {}
      changes[block] = changed
    end
    local known = changed[byte_at] or (bits[block] and string.byte(bits[block], byte_at)) or 0
    local noted = bit.bor(known, its_bit)
    fresh = noted ~= known
    changed[byte_at] = noted
  end
  if not fresh then
    repeated = repeated + 1
    if op == SET and current == core and mark == mark_of[which] then again[which] = ARGV[row_at] end
  else
    local gone = false
    if op ~= 0 then
      local before, has_effect = mark_of[which], false
      if op == NOTE then
        -- A row-only event carries data beside the state that the mark refers to.
        has_effect = mark >= before and mark >= floor
      else
        -- The event that the mark refers to is already applied. An event that takes over the mark
        -- of a newer event may follow it.
        has_effect = mark > floor and (mark > before or (mark == before and sequence < mark))
      end
      if current == core and has_effect then
        if op ~= DELETE then rows[which], first_sights[which] = ARGV[row_at], bit.band(flags, FIRST_SIGHT) ~= 0 end
        if op == SET then values[which] = ARGV[value_at] end
        if op ~= NOTE then mark_of[which], marked[which] = mark, true end
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
      left[which] = true
      leave(gateway)
    end
    if current == core and sequence > newest and bit.band(flags, ODD) == 0 then newest = sequence end
  end
end

-- The trunkd that wrote the row saw the gateway for the first time. Redis may know since when it
-- has this state, and why.
local function continued(gateway, row)
  local old = row_of(switch, gateway)
  if not old or type(old.usable_since) ~= 'string' then return row end
  local usable = type(old.usable) == 'boolean' and tostring(old.usable) or 'null'
  if string.match(row, '"usable":(%a+)') ~= usable then return row end
  local function put(pattern, name)
    row = string.gsub(row, pattern, function() return '"' .. name .. '":' .. cjson.encode(old[name]) end, 1)
  end
  put('"usable_since":"[^"]*"', 'usable_since')
  if type(old.reason) == 'string' then put('"reason":null', 'reason') end
  return row
end
for which, is_first_sight in pairs(first_sights) do
  if is_first_sight and rows[which] then rows[which] = continued(names[which], rows[which]) end
end

-- The trunkd that wrote the event first may not have known the gateway's revision yet.
local REVISION, NO_REVISION = '"revision":"[^"]*"', '"revision":null'
local known = {}
for which, row in pairs(again) do
  if not rows[which] and not left[which] and string.find(row, REVISION) then known[#known + 1] = which end
end
local their_names, at = {}, 0
for i, which in ipairs(known) do their_names[i] = names[which] end
in_parts(their_names, function(...)
  for _, row in ipairs(redis.call('HMGET', status, ...)) do
    at = at + 1
    if row and string.find(row, NO_REVISION, 1, true) then
      local revision = string.match(again[known[at]], REVISION)
      rows[known[at]] = string.gsub(row, NO_REVISION, function() return revision end, 1)
    end
  end
end)

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
local told = {}
for which = 1, count do
  if rows[which] or left[which] then told[#told + 1] = names[which] end
end
if #told > 0 then tell(told) end
for which in pairs(marked) do marked[which] = string.format('%.0f', mark_of[which]) end
write(marks, marked)
redis.call('HSET', meta, 'newest', string.format('%.0f', newest))

-- Counts what is newer than the last one counted. The seen-bits do not say whether something was: an
-- event that is merged with a later one of its gateway has none. What a gateway without a row did is
-- left out, as nothing would remove it. Besides all refusals (`codes`) there are those of the last hour,
-- in slots of ten minutes, and what was sent in this minute and the one before.
if current == core and #registers > 0 then
  local minute = math.floor(now_us() / 60000000)
  local slot = math.floor(minute / 10)
  local function table_in(entry, name)
    return type(entry[name]) == 'table' and entry[name] or {}
  end
  local function recent(of, first)
    local kept = {}
    for at, value in pairs(of) do
      if (tonumber(at) or 0) >= first then kept[at] = value end
    end
    return kept
  end
  local function add_registers(known, of_gateway, epoch)
    local ok, entry = pcall(cjson.decode, known or '')
    if not ok or type(entry) ~= 'table' then entry = {} end
    local last = entry.epoch == epoch and tonumber(entry.newest) or 0
    local codes, number = table_in(entry, 'codes'), 0
    local sent, hour = recent(table_in(entry, 'sent'), minute - 1), recent(table_in(entry, 'hour'), slot - 5)
    local this_minute, this_slot = string.format('%d', minute), string.format('%d', slot)
    for _ in pairs(codes) do number = number + 1 end
    table.sort(of_gateway, function(a, b) return a.sequence < b.sequence end)
    for _, register in ipairs(of_gateway) do
      if register.sequence > last then
        last = register.sequence
        if register.is_sent then sent[this_minute] = (tonumber(sent[this_minute]) or 0) + 1 end
        if register.code > 0 then
          local code = tostring(register.code)
          if not codes[code] then
            if number >= MAX_CODES then code = 'other' end
            number = number + 1
          end
          codes[code] = (tonumber(codes[code]) or 0) + 1
          local in_slot = table_in(hour, this_slot)
          in_slot[code] = (tonumber(in_slot[code]) or 0) + 1
          hour[this_slot] = in_slot
        end
      end
    end
    return cjson.encode({epoch = epoch, newest = last, codes = codes, sent = sent, hour = hour})
  end
  local epoch, of, counted = tonumber(redis.call('HGET', meta, 'epoch')) or 0, {}, {}
  for at = 1, #registers, REGISTER_SIZE do
    local sequence, which, code = struct.unpack('<dHH', registers, at)
    of[which] = of[which] or {}
    table.insert(of[which], {sequence = sequence, is_sent = code >= SENT, code = code % SENT})
  end
  for which, of_gateway in pairs(of) do
    local gateway = names[which]
    if redis.call('HEXISTS', status, gateway) == 1 then
      counted[#counted + 1] = gateway
      counted[#counted + 1] = add_registers(redis.call('HGET', refusals, gateway), of_gateway, epoch)
    end
  end
  in_parts(counted, function(...) redis.call('HSET', refusals, ...) end)
end

local noted = {}
for block, changed in pairs(changes) do
  local bytes = {}
  for at = 1, 64 do bytes[at] = changed[at] or (bits[block] and string.byte(bits[block], at)) or 0 end
  noted[#noted + 1] = blocks[block]
  noted[#noted + 1] = string.char(unpack(bytes))
end
if #noted > 0 then
  in_parts(noted, function(...) redis.call('HSET', seen, ...) end)
  redis.call('EXPIRE', seen, 3600)
  if redis.call('HLEN', seen) > MAX_BLOCKS then redis.call('RENAME', seen, seen_before) end
end
return {applied, older, repeated, current == core and 0 or 1}
