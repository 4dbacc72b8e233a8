"""The Lua scripts by which messages are kept in Redis: what one does, no other command divides.

Scripts rather than functions, so that Redis 5 and later, Valkey and Dragonfly run them.

The journal of an app is a hash: its epoch, the number of the latest message, the number at which
the epoch began, and which Redis that was (`run_id` of INFO). Another Redis at the same address, one
that was started anew or took over from another, may lack the last messages, so the first script
that finds another `run_id` begins an epoch.

Each topic has a stream with its latest messages, whose ids are their numbers, and a text with epoch
and number of its last message, which outlives the stream by `MEMORY_MS`. A topic without that text
has said nothing for so long; the sorted set of ages, one number for each minute, tells which
numbers are older than that.

Free of gevent.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

MEMORY_MS = 3_600_000
"""How long after its last message has gone the number of that is known."""

_AGE_MS = 60_000
_MOST_AGES = 2_000
_SENDER_MS = 3_600_000
_PAGE_BYTES = 262_144
_SWEEP_EVERY = 16

# Returns now in milliseconds, and makes sure of the epoch.
# Common arguments: 1 a new epoch, 2 the run_id, 3 the epoch known, 4 the number known, 5 the time
# or 0, 6 PUBLISH or SPUBLISH, 7 the channel of everybody, 8 the head of an envelope for it.
_BEGIN = f"""
local journal, ages = KEYS[1], KEYS[2]
local now = tonumber(ARGV[5])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local found = redis.call('HMGET', journal, 'epoch', 'number', 'run', 'begin', 'aged')
local epoch, number, begin = found[1], tonumber(found[2] or '0'), tonumber(found[4] or '0')
local aged = tonumber(found[5] or '0')

local function text(value)
  return string.format('%.0f', value)
end

local function note_age()
  redis.call('ZADD', ages, text(now), text(number))
  redis.call('ZREMRANGEBYRANK', ages, 0, -{_MOST_AGES + 1})
  redis.call('HSET', journal, 'aged', text(now))
  aged = now
end

local function point(channel, head)
  redis.call(ARGV[6], channel, head .. '{{"epoch":"' .. epoch .. '","number":' .. text(number)
    .. ',"begin":' .. text(begin) .. '}}')
end

local function renew()
  epoch, begin = ARGV[1], number
  redis.call('HMSET', journal, 'epoch', epoch, 'number', text(number), 'run', ARGV[2],
    'begin', text(begin))
  redis.call('DEL', ages)
  note_age()
  point(ARGV[7], ARGV[8])
end

local known = tonumber(ARGV[4])
if not epoch then
  if known > 0 then
    number = known + 1000
  end
  renew()
elseif found[3] ~= ARGV[2] then
  renew()
elseif epoch == ARGV[3] and number < known then
  number = known
  renew()
end
"""

# Keeps runs of messages, each of one topic.
# Keys behind the journal and its ages: 3 the sender's; then two for each run: its stream, and the
# text with its last number; then those of `once`, in the order of the messages that have one.
# Arguments behind the common ones: 9 the sender, or nothing; 10 the head of an envelope; 11 how
# many runs there are. Then for each run: its channel, how many messages it has, how many are kept
# and for how many milliseconds, and the ticket of the first or 0; and for each message: the frame,
# the author, and anything if it has a key of `once`.
# Returns epoch and number before; for each message its number, 0 for one whose `once` had been
# said, -1 for one that was kept before, or the text of an error, and 0 in place of all where each
# was kept; and how many subscribers the last one had.
_KEEP = f"""
local before, epoch_before = number, epoch
local seen, ticket_seen, refused, refused_now = 0, 0, {{}}, ''
if ARGV[9] ~= '' then
  for ticket in string.gmatch(redis.call('GET', KEYS[3]) or '0', '%d+') do
    if seen == 0 then
      seen = tonumber(ticket)
    else
      refused[ticket] = true
    end
  end
  ticket_seen = seen
end
local numbers, is_all, heard = {{}}, true, 0
local runs, at = tonumber(ARGV[11]), 12
local once_at = 4 + 2 * runs

local function failure(reply)
  return type(reply) == 'table' and reply.err or nil
end

local function sweep(stream, longest)
  for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', {_SWEEP_EVERY})) do
    if tonumber(entry[2][6]) > now - longest then
      return
    end
    redis.call('XDEL', stream, entry[1])
  end
end

local function add(stream, most, frame, author, previous, ticket)
  return redis.pcall('XADD', stream, 'MAXLEN', most, text(number + 1) .. '-0',
    'f', frame, 'a', author, 't', text(now), 'p', text(previous), 's', ARGV[9] .. ':' .. ticket)
end

local function note(result)
  numbers[#numbers + 1] = result
  if type(result) ~= 'number' or result <= 0 then
    is_all = false
  end
end

local function say(channel, row)
  if not row.first then
    return
  end
  local authors = row.has_author and table.concat(row.authors, ',') or ''
  local reply = redis.pcall(ARGV[6], channel, ARGV[10] .. epoch .. ' ' .. text(row.first) .. ' '
    .. text(row.previous) .. ' ' .. text(now) .. ' ' .. text(row.ticket) .. ' ' .. authors .. '\\n'
    .. table.concat(row.frames))
  if failure(reply) then
    is_all = false
    for i = row.at, row.at + #row.frames - 1 do
      numbers[i] = reply.err
    end
  else
    heard = reply
  end
  row.first = nil
end

local function append(row, frame, author, previous, ticket)
  if not row.first then
    row.first, row.previous, row.ticket, row.at = number, previous, ticket, #numbers + 1
    row.frames, row.authors, row.has_author = {{}}, {{}}, false
  end
  row.frames[#row.frames + 1] = frame
  row.authors[#row.authors + 1] = author
  row.has_author = row.has_author or author ~= ''
end

local function take_once(key, longest)
  local is_first = redis.pcall('SET', key, '1', 'NX', 'PX', longest)
  if not is_first then
    return 0
  end
  return failure(is_first)
end

local function keep_run(stream, last_key)
  local channel, count, most, longest = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
  local first_ticket, row, previous, has_kept = tonumber(ARGV[at + 4]), {{}}, 0, false
  at = at + 5

  local last = redis.pcall('GET', last_key)
  if type(last) == 'string' then
    local its_epoch, its_number = string.match(last, '^(%S+) (%d+)$')
    if its_epoch == epoch then
      previous = tonumber(its_number)
    end
  end

  for i = 0, count - 1 do
    local frame, author, once_key = ARGV[at], ARGV[at + 1], nil
    if ARGV[at + 2] ~= '' then
      once_key = KEYS[once_at]
      once_at = once_at + 1
    end
    at = at + 3
    local ticket = first_ticket > 0 and first_ticket + i or 0
    local problem = nil
    if refused[text(ticket)] then
      problem = 'refused before'
    elseif ticket > 0 and ticket <= seen then
      problem = -1
    elseif failure(last) then
      problem = last.err
    elseif once_key then
      problem = take_once(once_key, longest)
    end
    if not problem then
      local added = add(stream, most, frame, author, previous, text(ticket))
      if failure(added) and string.find(added.err, 'equal or smaller', 1, true) then
        redis.call('DEL', stream)
        added = add(stream, most, frame, author, previous, text(ticket))
      end
      problem = failure(added)
      if problem and once_key then
        redis.call('DEL', once_key)
      end
    end

    if problem then
      say(channel, row)
      note(problem)
      if type(problem) == 'string' then
        refused_now = refused_now .. ' ' .. text(ticket)
      end
    else
      number = number + 1
      append(row, frame, author, previous, ticket)
      note(number)
      previous, has_kept = number, true
      ticket_seen = math.max(ticket_seen, ticket)
    end
  end

  if has_kept then
    redis.call('HSET', journal, 'number', text(number))
    redis.call('PEXPIRE', stream, longest)
    redis.call('SET', last_key, epoch .. ' ' .. text(previous), 'PX',
      text(tonumber(longest) + {MEMORY_MS}))
    if math.floor(previous / {_SWEEP_EVERY}) > math.floor((previous - count) / {_SWEEP_EVERY}) then
      sweep(stream, tonumber(longest))
    end
  end
  say(channel, row)
end

if now - aged > {_AGE_MS} and runs > 0 then
  note_age()
end
for run = 1, runs do
  keep_run(KEYS[2 + 2 * run], KEYS[3 + 2 * run])
end
if ticket_seen > seen then
  redis.call('SET', KEYS[3], text(ticket_seen) .. refused_now, 'PX', {_SENDER_MS})
end
return {{epoch_before, before, is_all and 0 or numbers, heard}}
"""

# Arguments behind the common ones: 9 a channel that is told, or nothing; 10 the head of its
# envelope; 11 an epoch that must end now, or nothing.
# Returns epoch and number.
_LOOK = """
if ARGV[11] ~= '' and ARGV[11] == epoch then
  renew()
end
if ARGV[9] ~= '' then
  point(ARGV[9], ARGV[10])
end
return {epoch, number}
"""

# Keys: 1 the journal, 2 its ages, 3 a stream, 4 the text with its last number.
# Arguments: 1 the epoch, 2 the number behind which and 3 up to which, 4 the time or 0, 5 for how
# many milliseconds messages are kept.
# Returns what has become of them, then the messages: "ok", "gap" or "epoch".
_MISSED = f"""
local epoch, number = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'number'))
if epoch ~= ARGV[1] then
  return {{'epoch'}}
end
local now, behind = tonumber(ARGV[4]), tonumber(ARGV[2])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local oldest = now - tonumber(ARGV[5])

local last = redis.call('GET', KEYS[4])
if not last then
  local since = string.format('%.0f', oldest - {MEMORY_MS})
  local noted = redis.call('ZRANGEBYSCORE', KEYS[2], since, '+inf', 'LIMIT', 0, 1)
  return {{behind >= tonumber(noted[1] or number) and 'ok' or 'gap'}}
end
local its_epoch, its_number = string.match(last, '^(%S+) (%d+)$')
if its_epoch ~= epoch or tonumber(its_number) <= behind then
  return {{'ok'}}
end

local found, size, is_first = {{'ok'}}, 0, true
local from = behind
while size < {_PAGE_BYTES} and #found <= 256 do
  local page = redis.call('XRANGE', KEYS[3], string.format('%.0f-1', from), '+', 'COUNT', 16)
  if is_first then
    local fields = page[1] and page[1][2]
    if not fields or tonumber(fields[8]) > behind or tonumber(fields[6]) < oldest then
      return {{'gap'}}
    end
    is_first = false
  end
  for _, entry in ipairs(page) do
    from = tonumber(string.match(entry[1], '^%d+'))
    if from > tonumber(ARGV[3]) then
      return found
    end
    found[#found + 1] = entry
    size = size + #entry[2][2]
    if size >= {_PAGE_BYTES} then
      return found
    end
  end
  if #page < 16 then
    return found
  end
end
return found
"""

# Keys: 1 the journal, 2 a stream. Arguments: 1 the number up to which, 2 how many, 3 the time or 0,
# 4 for how many milliseconds messages are kept.
# Returns the messages, the latest first.
_LATEST = """
local now = tonumber(ARGV[3])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local found, oldest = {}, now - tonumber(ARGV[4])
local page = redis.call('XREVRANGE', KEYS[2], ARGV[1] .. '-0', '-', 'COUNT', ARGV[2])
for _, entry in ipairs(page) do
  if tonumber(entry[2][6]) < oldest then
    return found
  end
  found[#found + 1] = entry
end
return found
"""


class Script(NamedTuple):
    """A script.

    Attributes:
        source: in Lua.
        digest: by which Redis knows it.
    """

    source: str
    digest: str


def _script(source: str) -> Script:
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


KEEP = _script(_BEGIN + _KEEP)
LOOK = _script(_BEGIN + _LOOK)
MISSED = _script(_MISSED)
LATEST = _script(_LATEST)
ALL = (KEEP, LOOK, MISSED, LATEST)
