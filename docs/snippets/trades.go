// Follows the trades of one collector: go run trades.go okx:BTC-USDT [FILE]
//
// FILE keeps the id of the last entry that was handled; without it, the program begins with what is new. It ends when
// Redis goes away; started again, it continues after that entry.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

var out = json.NewEncoder(os.Stdout)

// Prices and sizes are text with the exchange's own digits: keep them so, or use a decimal type.
func dealWith(id string, fields map[string]any) error {
	switch fields["type"] {
	case "trade":
		return out.Encode(map[string]any{
			"id": id, "side": fields["side"], "size": fields["size"], "price": fields["price"],
		})
	case "gap": // missing for good, between two trades or between two times
		bounds := map[string]any{}
		for _, name := range []string{"from_id", "to_id", "from_ts", "to_ts"} {
			if value, given := fields[name]; given {
				bounds[name] = value
			}
		}
		return out.Encode(map[string]any{"id": id, "missing": bounds, "reason": fields["reason"]})
	case "feed_status":
		return out.Encode(map[string]any{"id": id, "feed": fields["state"], "reason": fields["reason"]})
	}
	return nil // other types belong to later versions
}

// start is the entry to continue after.
func start(ctx context.Context, client *redis.Client, key, place string) (string, error) {
	saved, err := os.ReadFile(place)
	if errors.Is(err, fs.ErrNotExist) {
		newest, err := client.XRevRangeN(ctx, key, "+", "-", 1).Result()
		if err != nil || len(newest) == 0 {
			return "0-0", err
		}
		return newest[0].ID, nil
	}
	if err != nil {
		return "", err
	}
	last := string(saved)
	found, err := client.XRange(ctx, key, last, last).Result()
	if err == nil && len(found) == 0 { // retention has passed this reader
		err = out.Encode(map[string]any{"missed_behind": last})
	}
	return last, err
}

func follow(ctx context.Context, client *redis.Client, key, place string) error {
	last, err := start(ctx, client, key, place)
	if err != nil {
		return err
	}
	for {
		streams, err := client.XRead(ctx, &redis.XReadArgs{
			Streams: []string{key, last}, Count: 100, Block: 5 * time.Second,
		}).Result()
		if errors.Is(err, redis.Nil) {
			continue // nothing new
		}
		if err != nil {
			return err
		}
		for _, entry := range streams[0].Messages {
			if err := dealWith(entry.ID, entry.Values); err != nil {
				return err
			}
			last = entry.ID
		}
		if err := os.WriteFile(place+".new", []byte(last), 0o600); err != nil {
			return err
		}
		if err := os.Rename(place+".new", place); err != nil {
			return err
		}
	}
}

func main() {
	url, place := os.Getenv("TICKFLEET_REDIS_URL"), "trades.position"
	if url == "" {
		url = "redis://127.0.0.1:6379/0"
	}
	if len(os.Args) > 2 {
		place = os.Args[2]
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		log.Fatal(err)
	}
	key := "md:v1:{" + os.Args[1] + "}:trade"
	log.Fatal(follow(context.Background(), redis.NewClient(options), key, place))
}
