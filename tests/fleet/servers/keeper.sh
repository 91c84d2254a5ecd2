# Keeps one server for as long as its standard input is open, however the process at the other end goes:
# a killed test must not leave a server behind. Each order is a line, answered by a line on standard error.
#
#   sh -c "$(cat keeper.sh)" keeper DIR LOG COMMAND [ARGUMENT...]
dir=$1 log=$2
shift 2
exec 4>&2 2>/dev/null
# The server alone holds standard output open: its end is the server's.
"$@" </dev/null 3>&1 4>&- >>"$log" 2>&1 &
server=$!
exec >&-
while read -r order; do
    case $order in
        LEAVE) exit ;;
        KILL) kill -s KILL "$server"; wait "$server" ;;
        *) kill -s "$order" "$server" ;;
    esac
    echo done >&4
done
kill -s KILL "$server"
wait "$server"
rm -rf "$dir"
