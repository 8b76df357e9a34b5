-- Load for wrk. From the environment:
--   BENCH_HEADERS  a file with one `Name: value` a line, sent with every request
--   BENCH_COOKIES  a file with one Cookie header a line, sent in turn; empty for none
-- With more than one cookie each request is built beforehand, once, in every thread.

for line in io.lines(os.getenv("BENCH_HEADERS")) do
   local name, value = line:match("^([^:]+): (.*)$")
   wrk.headers[name] = value
end

local cookies = {}
for line in io.lines(os.getenv("BENCH_COOKIES")) do
   cookies[#cookies + 1] = line
end

local threads = 0
function setup(thread)
   thread:set("number", threads)
   threads = threads + 1
end

if #cookies == 1 then
   wrk.headers["Cookie"] = cookies[1]
elseif #cookies > 1 then
   local requests, at = {}, 0
   function init()
      for index, cookie in ipairs(cookies) do
         wrk.headers["Cookie"] = cookie
         requests[index] = wrk.format()
      end
      cookies = nil
      -- Threads begin far apart.
      at = math.floor(#requests / 2) * number
   end
   function request()
      at = at % #requests + 1
      return requests[at]
   end
end

-- One line that a program reads.
function done(summary, latency)
   local errors = summary.errors
   print(string.format(
      'BENCH {"requests": %d, "microseconds": %d, "statuses_above_399": %d, "socket_errors": %d, "p50": %d, "p99": %d}',
      summary.requests, summary.duration, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(50), latency:percentile(99)))
end
