/*
 * The least that a program can do between the exchange's socket and Redis': forwarder LOAD_PORT REDIS_PORT.
 *
 * For each frame it writes one transaction of the kind and size of a collector's, and looks at nothing: neither at what
 * is in the frame nor at what Redis answers. What latency is left is that of Redis, of its reader and of the kernel.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STREAM "$26\r\nmd:v1:{okx:BTC-USDT}:trade\r\n"
#define WRITER "$27\r\nmd:v1:{okx:BTC-USDT}:writer\r\n"

enum { BOUND_EVERY = 50, NS_PER_MS = 1000000, MAX_TRANSACTION = 1024, READ_BYTES = 262144 };

static const char HANDSHAKE[] =
    "GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/* A frame of 72 bytes, masked with zeros: so its text stays as it is. */
static const char SUBSCRIPTION[] =
    "\x81\xC8\0\0\0\0{\"op\":\"subscribe\",\"args\":[{\"channel\":\"trades-all\",\"instId\":\"BTC-USDT\"}]}";

/* A fencing number as long as a collector's, so that the answers are as long, too. */
static const char FENCE[] = "*3\r\n$3\r\nSET\r\n" WRITER "$13\r\n1786540436090\r\n";

/* Of so many entries one carries the stream's bound, as a collector's. */
static const char UNBOUNDED[] = "*19\r\n$4\r\nXADD\r\n" STREAM;
static const char BOUNDED[] = "*22\r\n$4\r\nXADD\r\n" STREAM "$6\r\nMAXLEN\r\n$1\r\n~\r\n$6\r\n200000\r\n";

/* Behind each transaction the fence is watched and looked at, in the same write: a newer writer would be noticed. */
static const char TRANSACTION[] =
    "*1\r\n$5\r\nMULTI\r\n%s$%d\r\n%s\r\n$4\r\ntype\r\n$5\r\ntrade\r\n$8\r\nts_event\r\n$19\r\n%lld\r\n"
    "$7\r\nts_recv\r\n$19\r\n%lld\r\n$8\r\ntrade_id\r\n$%d\r\n%s\r\n$5\r\nprice\r\n$7\r\n42219.9\r\n"
    "$4\r\nsize\r\n$10\r\n0.12060306\r\n$4\r\nside\r\n$3\r\nbuy\r\n$6\r\norigin\r\n$4\r\nlive\r\n"
    "*1\r\n$4\r\nEXEC\r\n*2\r\n$5\r\nWATCH\r\n" WRITER "*2\r\n$3\r\nGET\r\n" WRITER;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int connect_to(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short) atoi(port))};
    int file = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (file < 0 || connect(file, (struct sockaddr *) &address, sizeof address)) fail("connect");
    setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return file;
}

static void send_all(int file, const char *data, size_t size) {
    if (write(file, data, size) != (ssize_t) size) fail("write");
}

/* Byte by byte, so that nothing is taken of what comes behind it. */
static void read_until(int file, const char *end) {
    const char *wanted = end;
    for (char byte; *wanted; wanted = byte == *wanted ? wanted + 1 : end + (byte == *end))
        if (read(file, &byte, 1) != 1) fail("read");
}

/* How long the frame is that begins here; 0 where it has not come whole. Those of a server have no mask (RFC 6455). */
static size_t whole_frame(const unsigned char *at, size_t size) {
    size_t head = 2, length = size < 2 ? 0 : at[1];
    if (length >= 126) {
        head = length == 126 ? 4 : 10;
        if (size < head) return 0;
        length = 0;
        for (size_t place = 2; place < head; place++) length = length << 8 | at[place];
    }
    return size < head || size - head < length ? 0 : head + length;
}

static void write_entry(int redis, long long number) {
    static char text[MAX_TRANSACTION], answers[READ_BYTES];
    static long long last_ms;
    char digits[24], id[48];
    struct timespec clock;
    clock_gettime(CLOCK_REALTIME, &clock);
    long long now = clock.tv_sec * 1000000000LL + clock.tv_nsec;
    if (now / NS_PER_MS > last_ms) last_ms = now / NS_PER_MS; /* ids must ascend where the clock does not */
    int of_digits = snprintf(digits, sizeof digits, "%lld", number);
    int of_id = snprintf(id, sizeof id, "%lld-%s", last_ms, digits);
    const char *command = number % BOUND_EVERY == 1 ? BOUNDED : UNBOUNDED;
    int size = snprintf(text, sizeof text, TRANSACTION, command, of_id, id, now, now, of_digits, digits);
    /* What Redis has answered by now is taken, as a collector must before it writes again; nobody is woken for it. */
    recv(redis, answers, sizeof answers, MSG_DONTWAIT);
    send_all(redis, text, (size_t) size);
}

int main(int count, char **words) {
    static unsigned char data[READ_BYTES];
    if (count != 3) return 2;
    int exchange = connect_to(words[1]), redis = connect_to(words[2]);
    send_all(redis, FENCE, sizeof FENCE - 1);
    read_until(redis, "+OK\r\n");
    send_all(exchange, HANDSHAKE, sizeof HANDSHAKE - 1);
    read_until(exchange, "\r\n\r\n");
    send_all(exchange, SUBSCRIPTION, sizeof SUBSCRIPTION - 1);
    long long number = -1; /* the first frame is the answer to the subscription; the load counts its own from 1 */
    size_t have = 0, length;
    for (ssize_t got; (got = read(exchange, data + have, sizeof data - have)) > 0;) {
        size_t at = 0;
        have += (size_t) got;
        for (; (length = whole_frame(data + at, have - at)); at += length)
            if (++number > 0) write_entry(redis, number);
        have -= at;
        memmove(data, data + at, have);
    }
    return 0;
}
