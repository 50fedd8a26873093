// Follows the order book of one collector: node book.mjs okx:BTC-USDT
import { createClient } from 'redis';

const [collector] = process.argv.slice(2);
const prefix = `md:v1:{${collector}}`;
const url = process.env.TICKFLEET_REDIS_URL ?? 'redis://127.0.0.1:6379/0';

const client = createClient({ url, socket: { reconnectStrategy: false } });
client.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
await client.connect();

let book = null; // null: not to be relied upon
let doubtedAt = '0-0';
let last = (await client.xRevRange(`${prefix}:orderbook`, '+', '-', { COUNT: 1 }))[0]?.id ?? '0-0';

const tell = (words) => console.log(JSON.stringify(words));
const bookOf = ({ bids, asks, seq }) => ({ bids: new Map(JSON.parse(bids)), asks: new Map(JSON.parse(asks)), seq });
const best = (side, sign) => // numbers only to compare: the price is the text
  [...side].reduce((a, b) => (!a || sign * Number(b[0]) < sign * Number(a[0]) ? b : a), null);
const show = () => book && tell({ id: last, bid: best(book.bids, -1), ask: best(book.asks, 1) });

function isBefore(one, other) {
  const [[ms, n], [otherMs, otherN]] = [one, other].map((id) => id.split('-').map(BigInt));
  return ms < otherMs || (ms === otherMs && n < otherN);
}

function doubt(reason) {
  if (book) tell({ id: last, doubt: reason });
  book = null;
  doubtedAt = last;
}

// The hash is the book right after the entry stream_id. One of an earlier run, or of before the doubt, does not count.
async function join() {
  const [hash, startedAt] = await client
    .multi()
    .hGetAll(`${prefix}:book`)
    .hGet(`${prefix}:heartbeat`, 'started_at')
    .exec();
  if (hash.state !== 'valid' || !startedAt || BigInt(startedAt) > BigInt(hash.ts_recv)) return;
  if (isBefore(hash.stream_id, doubtedAt)) return;
  last = hash.stream_id;
  book = bookOf({ ...hash, seq: hash.seq || undefined });
  show();
}

function apply(fields) {
  switch (fields.type) {
    case 'book_snapshot':
      book = bookOf(fields);
      break;
    case 'book_delta':
      if (!book) return;
      if (fields.prev_seq !== book.seq) return doubt('sequence gap');
      for (const side of ['bids', 'asks']) {
        for (const [price, size] of JSON.parse(fields[side])) {
          if (Number(size) === 0) book[side].delete(price);
          else book[side].set(price, size);
        }
      }
      book.seq = fields.seq;
      break;
    case 'gap':
      return doubt('gap');
    case 'feed_status':
      if (['stale', 'disconnected'].includes(fields.state)) doubt(`feed ${fields.state}`);
      return;
    default:
      return; // types of later versions
  }
  show();
}

for (;;) {
  if (!(await client.exists(`${prefix}:heartbeat`))) doubt('no heartbeat');
  if (!book) await join();
  const streams = await client.xRead({ key: `${prefix}:orderbook`, id: last }, { COUNT: 500, BLOCK: book ? 1000 : 250 });
  for (const { id, message } of streams?.[0].messages ?? []) {
    last = id;
    apply(message);
  }
}
