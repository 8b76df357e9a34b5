#!/bin/sh
# What the table of services.rs asks for, under Apache.
# Whatever nobody reads of the input, and whatever comes as a body to HEAD (RFC 3875 §4.3.3), makes Apache (2.4.71) reset streams of
# HTTP/2 now and then, also without the gate.
[ "$PATH_INFO" = /echo ] || cat > /dev/null
say() { printf 'Status: %s\r\nContent-Type: text/plain\r\n' "$1"; }
case "$PATH_INFO" in
/who) say 200; printf '\r\n%s %s %s' "$HTTP_X_USER_ID" "$HTTP_X_USER_EMAIL" "$HTTP_X_USER_NAME" ;;
/none) printf 'Status: 204\r\n\r\n' ;;
/same) printf 'Status: 304\r\nETag: "a"\r\n\r\n' ;;
/echo)
    # Apache gives the whole body before it takes any of the answer.
    cat > "body.$$"
    say 200; printf '\r\n'; cat "body.$$"; rm "body.$$" ;;
/pieces)
    say 200; printf '\r\n'
    [ "$REQUEST_METHOD" = HEAD ] || for piece in 'one ' 'two ' three; do printf '%s' "$piece"; done ;;
/visits)
    visits=$(printf '%s' "$HTTP_COOKIE" | sed -n 's/.*visits=\([0-9]*\).*/\1/p')
    visits=$((${visits:-0} + 1))
    say 200; printf 'Set-Cookie: visits=%s\r\n\r\n%s' "$visits" "$visits" ;;
/port) say 200; printf '\r\n%s' "$REMOTE_PORT" ;;
*) say 404; printf '\r\n' ;;
esac
