-- Decrypts the session in a process of its own, and sends the user id to the service.
ngx.req.clear_header("X-User-Id")
local token = ngx.var["cookie_authjs.session-token"]
-- A token consists of base64url and dots. Only such characters reach the shell.
if not token or not token:find("^[%w._-]+$") then
    return ngx.exit(ngx.HTTP_UNAUTHORIZED)
end
local process = io.popen(ngx.var.decrypt .. " " .. token)
local user = process:read("*l")
process:close()
if not user or user == "" then
    return ngx.exit(ngx.HTTP_UNAUTHORIZED)
end
ngx.req.set_header("X-User-Id", user)
