-- Appends an entry to the history, and to the stream of its gateway, which is never cut because of
-- others. Both have the same id for it.
local function record(stream, of_gateway, entry, details, entries, age_ms, per_gateway)
  local id = redis.call('XADD', stream, 'MAXLEN', '~', entries, '*', 'entry', entry)
  local time = redis.call('TIME')
  local oldest = string.format('%.0f', math.max(0, time[1] * 1000 - tonumber(age_ms)))
  redis.call('XTRIM', stream, 'MINID', '~', oldest)
  if of_gateway ~= '' then
    local fields = {'entry', entry}
    if details ~= '' then fields[3], fields[4] = 'details', details end
    redis.call('XADD', of_gateway, 'MAXLEN', per_gateway, id, unpack(fields))
    redis.call('PEXPIRE', of_gateway, age_ms)
  end
  return id
end
