// Follows the trades of one collector: node trades.mjs okx:BTC-USDT [FILE]
// FILE keeps the id of the last entry that was handled; without it, the program begins with what is new. It ends when
// Redis goes away; started again, it continues after that entry.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createClient } from 'redis';

const [collector, place = 'trades.position'] = process.argv.slice(2);
const key = `md:v1:{${collector}}:trade`;
const url = process.env.TICKFLEET_REDIS_URL ?? 'redis://127.0.0.1:6379/0';

const tell = (words) => console.log(JSON.stringify(words));

// Prices and sizes are text with the exchange's own digits; times in ns do not fit a number: BigInt(fields.ts_event).
function dealWith(id, fields) {
  switch (fields.type) {
    case 'trade':
      return tell({ id, side: fields.side, size: fields.size, price: fields.price });
    case 'gap': { // missing for good, between two trades or between two times
      const { from_id, to_id, from_ts, to_ts, reason } = fields;
      return tell({ id, missing: { from_id, to_id, from_ts, to_ts }, reason });
    }
    case 'feed_status':
      return tell({ id, feed: fields.state, reason: fields.reason });
  } // other types belong to later versions
}

const client = createClient({ url, socket: { reconnectStrategy: false } });
client.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
await client.connect();

let last;
if (existsSync(place)) {
  last = readFileSync(place, 'utf8');
  if (!(await client.xRange(key, last, last)).length) tell({ missed_behind: last }); // retention has passed this reader
} else {
  last = (await client.xRevRange(key, '+', '-', { COUNT: 1 }))[0]?.id ?? '0-0';
}

for (;;) {
  const streams = await client.xRead({ key, id: last }, { COUNT: 100, BLOCK: 5000 });
  if (!streams) continue;
  for (const { id, message } of streams[0].messages) {
    dealWith(id, message);
    last = id;
  }
  writeFileSync(`${place}.new`, last);
  renameSync(`${place}.new`, place);
}
