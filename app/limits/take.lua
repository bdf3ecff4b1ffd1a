-- Checks and consumes all limits of one request, or none of them: one call is one round trip.
--
-- Time is this server's (TIME). A minute is a sliding log: a request leaves it a window after it
-- came. The keys are made of prefixes, and some of the day, so a Redis cluster is not supported.
--
-- Keys. KEYS[i] is a bucket's prefix, `lim:{bucket}:`, from which are made
--   {prefix}req            LIST    when each request of the window came, in µs, oldest first
--   {prefix}tok:{day}      STRING  tokens reserved and used on a day, counted from the epoch
--   {prefix}ses            ZSET    who holds a session -> when the lease ends, in ms:
--                                  `s:{session}`, or the id of a job without a session's name
--   {prefix}ses:{session}  ZSET    the open jobs of a named session -> when their lease ends, in ms
--
-- Arguments.
--   ARGV[1]  the window in µs
--   ARGV[2]  1 takes, 0 only looks
--   ARGV[3]  tokens to reserve
--   ARGV[4]  the job's id; empty: it holds no session
--   ARGV[5]  the session's name; empty: the job is a session of its own
--   ARGV[6]  the lease in ms
--   ARGV[4 + 3i .. 6 + 3i]  bucket i: requests in a window, tokens in a day, sessions; 0: no limit
--
-- Answer. now in µs; verdict (0 taken or looked, 1 requests, 2 tokens, 3 sessions refuse,
-- 4 unseeded); the bucket that refused, from 1; µs until it is worth asking again; then for each
-- bucket three: requests in its window, µs until that is empty, tokens of its day. A day that has
-- no counter yet is -1 and makes the verdict 4. Of several refusals the longest is told.

local call = redis.call
local window, taking, tokens = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3])
local job, session, lease = ARGV[4], ARGV[5], tonumber(ARGV[6])
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local now_ms = math.floor(now / 1000)
local day = math.floor(now / 86400000000)
local horizon = now - window
local place = session == '' and job or 's:' .. session
local reply = {now, 0, 0, 0}
local leased = {}

local function left(key, index)
  local entry = call('LINDEX', key, index)
  return entry and tonumber(entry) <= horizon
end

-- One by one as a rule; in strides where a burst leaves all at once.
local function forget(key)
  local singles = 0
  while left(key, 0) do
    call('LPOP', key)
    singles = singles + 1
    if singles == 16 then
      for _, stride in ipairs({1024, 32}) do
        while left(key, stride - 1) do
          call('LTRIM', key, stride, -1)
        end
      end
    end
  end
end

local function refuse(verdict, bucket, wait)
  if reply[2] == 0 or wait > reply[4] then
    reply[2], reply[3], reply[4] = verdict, bucket, wait
  end
end

local unseeded = false
for i, prefix in ipairs(KEYS) do
  local at, row = 4 + 3 * i, 2 + 3 * i
  local requests, daily, sessions = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  reply[row], reply[row + 1], reply[row + 2] = 0, 0, 0
  if requests > 0 then
    local key = prefix .. 'req'
    forget(key)
    local used = call('LLEN', key)
    reply[row] = used
    if taking and used >= requests then
      refuse(1, i, call('LINDEX', key, used - requests) + window - now)
    end
  end
  if daily > 0 then
    local used = tonumber(call('GET', prefix .. 'tok:' .. day) or -1)
    reply[row + 2] = used
    if used < 0 then
      unseeded = true
    elseif taking and used + tokens > daily then
      refuse(2, i, (day + 1) * 86400000000 - now)
    end
  end
  if sessions > 0 and taking and job ~= '' then
    local key = prefix .. 'ses'
    call('ZREMRANGEBYSCORE', key, '-inf', now_ms)
    leased[i] = session ~= '' and call('ZSCORE', key, place)
    if not leased[i] and call('ZCARD', key) >= sessions then
      refuse(3, i, 1000000)
    end
  end
end
if unseeded then
  reply[2] = 4
end

for i, prefix in ipairs(KEYS) do
  local at, row = 4 + 3 * i, 2 + 3 * i
  local limited = tonumber(ARGV[at]) > 0
  if taking and reply[2] == 0 then
    if limited then
      local key = prefix .. 'req'
      reply[row] = call('RPUSH', key, now)
      reply[row + 1] = window
      -- The list outlives its newest entry by a window at most, and is seldom told to.
      if call('PTTL', key) * 1000 < window then
        call('PEXPIRE', key, math.ceil(window / 500))
      end
    end
    if tokens > 0 and tonumber(ARGV[at + 1]) > 0 then
      reply[row + 2] = call('INCRBY', prefix .. 'tok:' .. day, tokens)
    end
    if leased[i] ~= nil then
      local key, till = prefix .. 'ses', now_ms + lease
      if session ~= '' then
        local jobs = key .. ':' .. session
        call('ZADD', jobs, till, job)
        till = math.max(till, tonumber(leased[i] or 0))
        call('PEXPIREAT', jobs, till)
      end
      call('ZADD', key, till, place)
      if call('PTTL', key) < lease then
        call('PEXPIRE', key, 2 * lease)
      end
    end
  elseif limited and reply[row] > 0 then
    reply[row + 1] = call('LINDEX', prefix .. 'req', -1) + window - now
  end
end
return reply
