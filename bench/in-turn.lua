-- Load for wrk with more users than fit into its memory as requests. From the environment:
--   BENCH_COMMON   the path of common.lua, which reads further variables
--   BENCH_COOKIES  a file with one Cookie header a line, all of the same length
--   BENCH_LENGTH   that length, without the end of the line
--   BENCH_COUNT    how many of them are sent in turn, beginning with the first
--   BENCH_THREADS  the number of wrk's threads: each sends a part of the cookies, so that each cookie returns after the same time

dofile(os.getenv("BENCH_COMMON"))

local length = tonumber(os.getenv("BENCH_LENGTH"))
local cookies, before, after, first, count, at

function init()
   -- The bytes before and after the cookie are the same in every request.
   wrk.headers["Cookie"] = "COOKIE"
   before, after = wrk.format():match("^(.*)COOKIE(.*)$")

   local all, parts = tonumber(os.getenv("BENCH_COUNT")), tonumber(os.getenv("BENCH_THREADS"))
   first = math.floor(all * number / parts)
   count = math.floor(all * (number + 1) / parts) - first
   cookies = assert(io.open(os.getenv("BENCH_COOKIES"), "rb"))
   cookies:setvbuf("full", 1024 * 1024)
   at = count
end

function request()
   if at == count then
      cookies:seek("set", first * (length + 1))
      at = 0
   end
   at = at + 1
   local cookie = cookies:read(length)
   cookies:read(1)
   return before .. cookie .. after
end
