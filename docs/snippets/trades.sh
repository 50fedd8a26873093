#!/bin/sh
# Follows the trades of one collector: sh trades.sh okx:BTC-USDT [FILE]
# FILE keeps the id of the last entry that was handled; without it, the program begins with what is new.
set -eu
url=${TICKFLEET_REDIS_URL:-redis://127.0.0.1:6379/0}
key="md:v1:{$1}:trade"
place=${2:-trades.position}

ask() { redis-cli -e --raw -u "$url" "$@"; }

if [ -e "$place" ]; then
    last=$(cat "$place")
else
    newest=$(ask XREVRANGE "$key" + - COUNT 1)
    last=$(printf '%s\n' "${newest:-0-0}" | head -n 1)
fi
while :; do
    entries=$(ask XREAD COUNT 100 BLOCK 5000 STREAMS "$key" "$last")
    [ -n "$entries" ] || continue
    printf '%s\n' "$entries" | awk '
        function deal_with() {
            if (field["type"] == "trade") print id, field["side"], field["size"], field["price"]
            if (field["type"] == "gap")                               # between two trades or between two times
                print id, "missing", field["from_id"] field["from_ts"], field["to_id"] field["to_ts"], field["reason"]
            if (field["type"] == "feed_status") print id, "feed", field["state"], field["reason"]
            split("", field)                                          # other types belong to later versions
        }
        NR == 1 { next }                                              # the key
        name == "" && /^[0-9]+-[0-9]+$/ { deal_with(); id = $0; next }
        name == "" { name = $0; next }
        { field[name] = $0; name = "" }
        END { deal_with() }'
    last=$(printf '%s\n' "$entries" | grep -E '^[0-9]+-[0-9]+$' | tail -n 1)
    echo "$last" > "$place.new"
    mv "$place.new" "$place"
done
