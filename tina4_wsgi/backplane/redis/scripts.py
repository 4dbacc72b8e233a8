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

# Arguments behind the common ones: 9 the sender, or nothing; then eight for each message: its
# ticket, its channel, the head of its envelope, the frame, the author, whether there is a key of
# `once`, how many are kept and for how many milliseconds.
# Keys behind the journal and its ages: 3 the sender's; then three for each message: its stream, the
# text with its last number, the key of `once`.
# Returns epoch and number before, and for each message its number, 0 for one whose `once` had been
# said, -1 for one that was kept before, or the text of an error; then how many subscribers each
# had.
_KEEP = f"""
local before, epoch_before = number, epoch
local seen = 0
if ARGV[9] ~= '' then
  seen = tonumber(redis.call('GET', KEYS[3]) or '0')
end

local function failure(reply)
  return type(reply) == 'table' and reply.err or nil
end

local function sweep(stream, longest)
  for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', {_SWEEP_EVERY})) do
    local fields = entry[2]
    if tonumber(fields[6]) > now - longest then
      return
    end
    redis.call('XDEL', stream, entry[1])
  end
end

local function add(k, a, previous)
  return redis.pcall('XADD', KEYS[k], 'MAXLEN', ARGV[a + 6], text(number + 1) .. '-0',
    'f', ARGV[a + 3], 'a', ARGV[a + 4], 't', text(now), 'p', text(previous),
    's', ARGV[9] .. ':' .. ARGV[a])
end

local function keep(k, a)
  local longest = tonumber(ARGV[a + 7])
  local has_once = ARGV[a + 5] ~= ''
  if has_once then
    local is_first = redis.pcall('SET', KEYS[k + 2], '1', 'NX', 'PX', ARGV[a + 7])
    if not is_first then
      return 0, 0
    elseif failure(is_first) then
      return is_first.err, 0
    end
  end

  local previous = 0
  local last = redis.pcall('GET', KEYS[k + 1])
  if type(last) == 'string' then
    local its_epoch, its_number = string.match(last, '^(%S+) (%d+)$')
    if its_epoch == epoch then
      previous = tonumber(its_number)
    end
  end

  local added = add(k, a, previous)
  if failure(added) and string.find(added.err, 'equal or smaller', 1, true) then
    redis.call('DEL', KEYS[k])
    added = add(k, a, previous)
  end
  local problem = failure(added) or failure(last)
  if problem then
    if has_once then
      redis.call('DEL', KEYS[k + 2])
    end
    return problem, 0
  end

  if now - aged > {_AGE_MS} then
    note_age()
  end
  number = number + 1
  redis.call('HSET', journal, 'number', text(number))
  redis.call('PEXPIRE', KEYS[k], ARGV[a + 7])
  redis.call('SET', KEYS[k + 1], epoch .. ' ' .. text(number), 'PX', text(longest + {MEMORY_MS}))
  if number % {_SWEEP_EVERY} == 0 then
    sweep(KEYS[k], longest)
  end
  local heard = redis.pcall(ARGV[6], ARGV[a + 1], ARGV[a + 2] .. epoch .. ' ' .. text(number)
    .. ' ' .. text(previous) .. ' ' .. text(now) .. ' ' .. ARGV[a + 4] .. '\\n' .. ARGV[a + 3])
  if failure(heard) then
    return heard.err, 0
  end
  return number, heard
end

local numbers, counts = {{}}, {{}}
local count = (#ARGV - 9) / 8
for i = 0, count - 1 do
  local k, a = 4 + 3 * i, 10 + 8 * i
  local ticket = tonumber(ARGV[a])
  if ticket > 0 and ticket <= seen then
    numbers[i + 1], counts[i + 1] = -1, 0
  else
    numbers[i + 1], counts[i + 1] = keep(k, a)
    if ticket > 0 then
      seen = ticket
      redis.call('SET', KEYS[3], text(ticket), 'PX', {_SENDER_MS})
    end
  end
end
return {{epoch_before, before, numbers, counts}}
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
