-- Has a process decrypt the session, and tells the service whose it is.
ngx.req.clear_header("X-User-Id")
local token = ngx.var["cookie_authjs.session-token"]
-- A token is base64url and dots. Nothing else gets near the shell.
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
