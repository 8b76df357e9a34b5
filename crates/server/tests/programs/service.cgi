#!/bin/sh
# The paths that the table of services.rs requests, under Apache.
# Unread input, and a body in answer to HEAD (RFC 3875 §4.3.3), sometimes make Apache (2.4.71) reset streams of HTTP/2, also without
# the gate.
[ "$PATH_INFO" = /echo ] || cat > /dev/null
begin() { printf 'Status: %s\r\nContent-Type: text/plain\r\n' "$1"; }
case "$PATH_INFO" in
/user) begin 200; printf '\r\n%s %s %s' "$HTTP_X_USER_ID" "$HTTP_X_USER_EMAIL" "$HTTP_X_USER_NAME" ;;
/none) printf 'Status: 204\r\n\r\n' ;;
/same) printf 'Status: 304\r\nETag: "a"\r\n\r\n' ;;
/echo)
    # Apache passes the whole body on before it reads any of the answer.
    cat > "body.$$"
    begin 200; printf '\r\n'; cat "body.$$"; rm "body.$$" ;;
/pieces)
    begin 200; printf '\r\n'
    [ "$REQUEST_METHOD" = HEAD ] || for piece in 'one ' 'two ' three; do printf '%s' "$piece"; done ;;
/visits)
    visits=$(printf '%s' "$HTTP_COOKIE" | sed -n 's/.*visits=\([0-9]*\).*/\1/p')
    visits=$((${visits:-0} + 1))
    begin 200; printf 'Set-Cookie: visits=%s\r\n\r\n%s' "$visits" "$visits" ;;
/port) begin 200; printf '\r\n%s' "$REMOTE_PORT" ;;
*) begin 404; printf '\r\n' ;;
esac
