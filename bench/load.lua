-- Load for wrk. From the environment:
--   BENCH_COMMON   the path of common.lua, which reads further variables
--   BENCH_COOKIES  a file with one Cookie header a line, sent in turn; empty for none
-- With more than one cookie, every thread builds all requests in advance.

dofile(os.getenv("BENCH_COMMON"))

local cookies = {}
for line in io.lines(os.getenv("BENCH_COOKIES")) do
   cookies[#cookies + 1] = line
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
