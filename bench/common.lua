-- Shared by all wrk loads: the headers of each request, the numbers of threads, and the line of results.
--   BENCH_HEADERS  a file with one `Name: value` a line, sent with every request

for line in io.lines(os.getenv("BENCH_HEADERS")) do
   local name, value = line:match("^([^:]+): (.*)$")
   wrk.headers[name] = value
end

local threads = 0
function setup(thread)
   thread:set("number", threads)
   threads = threads + 1
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
