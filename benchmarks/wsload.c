/*
 * wsload - a fast WebSocket load generator (single file, Linux epoll, no dependencies but for TLS and deflate)
 *
 * README
 * ======
 * Build:   gcc -O2 -o wsload wsload.c
 *          with --tls: -DWITH_TLS -lssl -lcrypto     with --deflate: -DWITH_DEFLATE -lz     (behind wsload.c)
 * Use:     taskset -c 1 ./wsload MODE --port P [options]      (server: taskset -c 0 ...)
 *
 * One thread, one epoll set, edge triggered, no epoll_ctl and no allocation on the hot path.
 * It only ever connects to 127.0.0.1 (or ::1); any other --host is refused.
 * One line of JSON on stdout, diagnostics on stderr.
 * Exit: 0 fine | 1 errors/disconnects > 0 or nothing was measured | 2 usage or set-up | 3 watchdog.
 *
 * MODES
 *  echo       wsload echo --port P --path /ws/echo -c CONNS -d SECONDS [--warmup S] [--size BYTES]
 *                    [--pipeline K] [--binary] [--verify]
 *             Each connection keeps K messages outstanding (closed loop).
 *  broadcast  wsload broadcast --port P --path /ws/chat/bench -c CLIENTS (--rate R | --window K) -d S
 *                    [--warmup S] [--size BYTES] [--rooms R --path-template '/ws/chat/room{i}']
 *             -c is the TOTAL number of clients; client i is in room i % R. One client of each room
 *             sends; everybody in the room (sender included, see --exclude-sender) must receive each
 *             message once, in order. --rate is PER ROOM (open loop: latency counts from the moment the
 *             message was due, so there is no coordinated omission). --window K: at most K broadcasts
 *             of a room outstanding; one is complete once every client has it (maximum throughput).
 *  idle       wsload idle --port P --path /ws/echo -c N [--hold S] [--pid PID ...] [--connect-window 200]
 *             Opens N connections, reports connects/s and server memory before/after (smaps_rollup Rss
 *             and Pss, else statm), holds, proves that 100 random ones echo, closes all.
 *  churn      wsload churn --port P --path /ws/echo -c CONC -d S [--warmup S] [--connect-rate R]
 *             connect + handshake + 1 echo + close handshake + wait for the server's FIN, repeated.
 *             --connect-rate: at most R a second, evenly, instead of as many as the server takes
 *             (-c is then the most that are under way at once).
 *
 *  storm      wsload storm --port P --path /ws/echo -c N [--connect-window N] [--pid PID ...]
 *             Opens N connections (200 handshakes at a time), so that the server has seen them, and closes
 *             them; then all N come back at once. Reports the server's processor time for these, from the
 *             first connect() until --hold seconds (0.3) after the last 101, and connects/s; proves that
 *             100 random ones echo. Compare the processor time: where the server's accept queue is short,
 *             SYNs are dropped and sent again a second later, and connects/s says no more than that.
 *
 * COMMON OPTIONS
 *  --host 127.0.0.1|::1      --header 'K: V' (repeatable)    --src-ips N   source addresses 127.0.0.1..N
 *  --connect-window N (200)  outstanding handshakes           --connect-timeout S (10) per handshake
 *  --stall-ms MS (2000)      no progress for so long with messages outstanding = they are lost
 *  --drain S (3)  wait for the last replies                   --settle-ms MS (200) pause after connecting
 *  --pid PID (repeatable)    adds server_cpu (cores used while measuring) to every mode's JSON
 *  --spin         never sleep in epoll (steadier, lower latency; burns its CPU completely)
 *  --cc NAME      congestion control of the generator's sockets (reno, cubic, bbr); default: the system's
 *  --ignore-foreign  messages not in our format are counted but are no error (a server's greetings)
 *  --exclude-sender  broadcast: the server does not send to the sender
 *  --json         the constant part of a message is JSON, which compresses as JSON does
 *  --deflate      offers permessage-deflate without context takeover in either direction; a server that declines,
 *                 or keeps a context all the same, is an error. All messages are sent compressed.
 *  --socketio     speaks Socket.IO, revision 5, over WebSocket alone: /socket.io/?EIO=4&transport=websocket&path=PATH,
 *                 a connection is open when Socket.IO has answered it, and each message is the event 42["message","..."],
 *                 with --size bytes of ours in it, which is also what has to come back. Engine.IO's pings are answered.
 *  --marks        speaks tina4_wsgi's marks, as its browser client does: --path asks for them by ?tina4=1.ME or
 *                 ?tina4=1.ME.POSITION, a connection is open when it has been greeted, and answers that. Not for broadcast.
 *  --tls          TLS 1.3 with AES-128-GCM, so that all servers do the same work; the certificate is not
 *                 checked, since nothing but loopback is ever called
 *  --close-timeout S (5)     give up on close handshakes after so long without progress
 *
 * MESSAGE FORMAT (payload; printable, so valid as text)
 *  bytes 0-7    sequence number, 32 bits as 8 nibbles, least significant first, each 0x40|nibble
 *  bytes 8-15   tag: connection number (echo) or room number (broadcast), if size >= 16
 *  bytes 16-31  send timestamp (ns), broadcast only, if size >= 32
 *  rest         constant pseudo-random alphanumerics (--binary: bytes)
 *  Smallest size 8. Each connection starts at a random sequence number.
 *  Checked always: opcode, length, sequence, tag, timestamp, and the last 8 bytes of the body;
 *  with --verify every byte.
 *  All frames of a run use one random mask key (prebuilt frames; only the prefix is patched per message).
 *
 * JSON FIELDS
 *  msgs, msgs_per_s      correct echoes received within the measured seconds (after warm-up)
 *  mb_per_s              payload bytes of these, one direction, 10^6 per second
 *  sent_total, recv_total  whole run with warm-up and drain: compare recv_total with the server's count
 *  lat_us                microseconds, from before send() to after recv(); log histogram, error < 0.8 %
 *  errors                sum of the fields in "detail" (disconnects are counted apart)
 *  missing               sent but never received (per client in broadcast), incl. lost by a disconnect
 *  undelivered           (in detail) still arriving when --drain was over: a backlog, the server is overloaded
 *  duplicates, reordered received again | received after a later one
 *  corrupt               wrong length, opcode, tag, timestamp, body or sequence never sent
 *  gen_busy              part of the measured time in which the generator was not waiting. Near 1.0
 *                        the GENERATOR is the bottleneck and the figure is a lower bound for the server.
 *  broadcast: deliveries(_per_s), broadcasts_per_s (complete, without loss), lat_us_all / _first / _last
 *             (every delivery | first and last delivery of each broadcast), throttled (--rate: messages
 *             not sent because too many were outstanding; > 0 = the server did not keep up)
 *  churn: conns(_per_s) completed cycles; lat_us whole cycle; handshake_us connect() to 101; echo_us
 *  storm: server_cpu_s (seconds of all --pid for all connections), connects_per_s, connect_us, alive (of 'sampled')
 *  --marks: kept (messages with a number, which the server had kept), gaps (greetings that told of a gap)
 *  --deflate: compressed (messages that came compressed while measuring), wire_bytes (mean size of their payloads)
 *  idle: connects_per_s, connect_us, held (still open after hold), alive (of 'sampled'), pids, *_bytes_per_conn
 *  slow_connects         connects that took > 0.9 s (a SYN was dropped: server's accept queue too short;
 *                        reduce --connect-window to its listen backlog)
 *
 * LIMITS
 *  One message per send and recv (--pipeline 1, many connections) is bound by the kernel's loopback TCP:
 *  97 % of the generator's time is in the kernel then. See gen_busy.
 *  A message that comes after its stall was declared (--stall-ms) is counted as reordered, not as missing.
 *  When the sender of a room is disconnected, that room sends no more.
 *  At most 512 separate gaps are remembered per connection; the oldest are then missing for good.
 *  No subprotocol check. With --deflate the first bytes of a message are in a stored block, so that only they are
 *  patched per message: the generator deflates once per run. RLIMIT_NOFILE bounds connections per process
 *  (raised to the hard limit): start several wsload for more. ~28k connections per source address and
 *  server port (--src-ips). "before" memory in idle is that of a server as you start it: warm it up first.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_DEFLATE
#include <zlib.h>
#endif
#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef uint64_t u64;
#define INL static inline __attribute__((always_inline))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define NOINL static __attribute__((noinline))
#define S_NS 1000000000ull
#define MS_NS 1000000ull

INL u64 now_ns(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (u64)t.tv_sec * S_NS + t.tv_nsec; }
INL u64 ld64(const void *p) { u64 v; memcpy(&v, p, 8); return v; }
INL void st64(void *p, u64 v) { memcpy(p, &v, 8); }

/* ---------------------------------------------------------------- histogram */
#define HB 7
#define HSUB (1 << HB)
#define HN ((64 - HB + 1) * HSUB)
typedef struct { u64 n, sum, min, max, b[HN]; } hist;
INL void hist_add(hist *h, u64 v) {
	unsigned i;
	if (v < HSUB) i = v;
	else { int e = 63 - __builtin_clzll(v); i = ((unsigned)(e - HB + 1) << HB) + ((v >> (e - HB)) & (HSUB - 1)); }
	h->b[i]++; h->n++; h->sum += v;
	if (v > h->max) h->max = v;
	if (v < h->min) h->min = v;
}
static void hist_reset(hist *h) { memset(h, 0, sizeof *h); h->min = ~0ull; }
static double hist_q(const hist *h, double q) { /* microseconds */
	if (!h->n) return 0;
	u64 want = (u64)(q * h->n + 0.999999), acc = 0;
	if (want < 1) want = 1;
	if (want > h->n) want = h->n;
	for (unsigned i = 0; i < HN; i++) {
		acc += h->b[i];
		if (acc >= want) {
			double v;
			if (i < HSUB) v = i;
			else { unsigned o = i >> HB; u64 w = 1ull << (o - 1); v = (double)((u64)(HSUB + (i & (HSUB - 1))) << (o - 1)) + (w - 1) / 2.0; }
			if (v > h->max) v = h->max;
			if (v < h->min) v = h->min;
			return v / 1e3;
		}
	}
	return h->max / 1e3;
}
static void hist_json(const char *name, const hist *h) {
	printf("\"%s\":{\"min\":%.1f,\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,\"n\":%" PRIu64 "}",
	       name, h->n ? h->min / 1e3 : 0.0, h->n ? (double)h->sum / h->n / 1e3 : 0.0, hist_q(h, .5), hist_q(h, .9), hist_q(h, .99),
	       hist_q(h, .999), h->n ? h->max / 1e3 : 0.0, h->n);
}

/* ---------------------------------------------------------------- SHA-1, base64 */
static void sha1(const u8 *msg, size_t len, u8 out[20]) { /* len <= 119 */
	u8 b[128] = {0};
	u32 h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
	memcpy(b, msg, len); b[len] = 0x80;
	size_t tot = len + 9 <= 64 ? 64 : 128;
	u64 bits = (u64)len * 8;
	for (int i = 0; i < 8; i++) b[tot - 1 - i] = (u8)(bits >> (8 * i));
	for (size_t o = 0; o < tot; o += 64) {
		u32 w[80];
		for (int i = 0; i < 16; i++) w[i] = (u32)b[o + 4 * i] << 24 | (u32)b[o + 4 * i + 1] << 16 | (u32)b[o + 4 * i + 2] << 8 | b[o + 4 * i + 3];
		for (int i = 16; i < 80; i++) { u32 x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]; w[i] = x << 1 | x >> 31; }
		u32 a = h[0], bb = h[1], c = h[2], d = h[3], e = h[4];
		for (int i = 0; i < 80; i++) {
			u32 f, k;
			if (i < 20) f = (bb & c) | (~bb & d), k = 0x5A827999;
			else if (i < 40) f = bb ^ c ^ d, k = 0x6ED9EBA1;
			else if (i < 60) f = (bb & c) | (bb & d) | (c & d), k = 0x8F1BBCDC;
			else f = bb ^ c ^ d, k = 0xCA62C1D6;
			u32 t = (a << 5 | a >> 27) + f + e + k + w[i];
			e = d; d = c; c = bb << 30 | bb >> 2; bb = a; a = t;
		}
		h[0] += a; h[1] += bb; h[2] += c; h[3] += d; h[4] += e;
	}
	for (int i = 0; i < 20; i++) out[i] = (u8)(h[i / 4] >> (24 - 8 * (i % 4)));
}
static void b64(const u8 *in, size_t n, char *out) {
	static const char T[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < n; i += 3) {
		u32 v = (u32)in[i] << 16 | (i + 1 < n ? (u32)in[i + 1] << 8 : 0) | (i + 2 < n ? in[i + 2] : 0);
		*out++ = T[v >> 18]; *out++ = T[v >> 12 & 63];
		*out++ = i + 1 < n ? T[v >> 6 & 63] : '='; *out++ = i + 2 < n ? T[v & 63] : '=';
	}
	*out = 0;
}

/* ---------------------------------------------------------------- types, globals */
enum { M_ECHO, M_BCAST, M_IDLE, M_CHURN, M_STORM, MODES };
static const char *MODE[] = {"echo", "broadcast", "idle", "churn", "storm"};
enum { ST_DEAD, ST_CONN, ST_HS, ST_HELLO /* 101 is there; Socket.IO's own answer, or the greeting of marks, isn't */, ST_OPEN, ST_CLOSING /* we sent close */, ST_FIN /* both did; awaiting EOF */ };
#define HSBUF 8192
typedef struct hs { struct hs *next; char acc[32]; u32 n; char buf[HSBUF]; } hs;
typedef struct { u32 a, b; } gap; /* [a,b) not received */
typedef struct { u32 len, off; u8 buf[400]; } ctl;
typedef struct {
	int fd; u8 st, busy /* inside a frame or a fragmented message */, opened, was_open;
	u32 tx_next, tx_sent, tx_off, rx_next, base;
	u32 idx, room;
	u64 tag; u64 *ts; u64 last; /* last progress */
	/* cold: streaming parser etc. */
	u8 stage, hn, fop, ffin, mop, mact, mbad, cbuf[128], hb[16], pfx[64];
	u64 flen, fgot, mgot;
	u64 t0; hs *h; ctl *ctl; gap *gaps; u32 ngaps;
	/* TLS: the session, and how many messages are in a record that the kernel did not take yet */
	void *ssl; u32 held;
	/* permessage-deflate: whether this message is compressed, and what came of it */
	u8 mz, *zb; u32 zn, zcap;
} __attribute__((aligned(64))) conn;
typedef struct { u64 sent; u32 need, got, lost, pad; u64 tse[2]; } bent;
typedef struct { bent *ring; u32 done, n, live; conn *snd; u64 enc, last; u8 dead; } room;

static int mode, tls, deflating, sio, marks, json, port, binary, verify, spin, ignore_foreign, excl_sender, src_ips = 1, v6;
static const char *host = "127.0.0.1", *path = NULL, *path_tpl = NULL;
static u32 C = 0, K = 1, NR = 1, cwin = 200;
static double dur = 5, warm = -1, hold = 1, rate = 0, connect_rate = 0, drain_s = 3, cto_s = 10, close_s = 5;
static u64 stall_ns = 2000 * MS_NS, settle_ns = 200 * MS_NS;
static size_t size_ = 64;
static const char *cong = "";
static char hdrs[4096]; static size_t hdrs_n;
static int pids[64], npids;

static int ep;
static conn *cs; static room *rooms; static u32 rmask; /* ring mask */
static u64 *tsall;
#define RB (512 * 1024)
#define MAXE 512
#define MAXFRAME (1ull << 31)
static u8 *rbuf;
static struct epoll_event evs[MAXE];
static u8 *whole /* a message as it comes */, *body /* ours in it */, *slots, mask[4], eh[10]; static u64 mask64; /* of the patched prefix */
static size_t L, hl, ehl, FL, PFX, before_, WL /* of a whole message; before_ bytes of it are before ours */, at_; /* at_: where the prefix begins in a frame of ours */ static u32 nslots; static int has_tag, has_ts; static u8 opc;
static volatile sig_atomic_t stop_;
static int measuring, sending, closing_all, connecting;
static u32 next_conn, inflight, nopen; static u32 *cstack, ncstack;
static u64 idle_ns, t_end_pump, last_scan;
static u64 slow_connects, unclean, closed_n, foreign, kept, gapped;
static u64 E_conn, E_hs, E_proto, E_corrupt, E_missing, E_dup, E_reord, E_stall, E_timeout, E_undeliv, disconnects;
static u64 compressed, wire_bytes;
static u64 sent_total, recv_total, msgs, bcasts, throttled, churn_done, churn_total;
static hist H_lat, H_first, H_last, H_conn;
static u64 rate_t0, rate_k; static double rate_step;
static u64 connect_t0, connect_k; /* --connect-rate: begun, and how many since */

static u64 errors_sum(void) { return E_conn + E_hs + E_proto + E_corrupt + E_missing + E_dup + E_reord + E_stall + E_timeout + E_undeliv; }
static int nerr; static u64 nerr_suppressed;
__attribute__((format(printf, 1, 2))) static void err(const char *f, ...) {
	if (++nerr > 12) { nerr_suppressed++; return; }
	va_list a; va_start(a, f); fputs("wsload: ", stderr); vfprintf(stderr, f, a); fputc('\n', stderr); va_end(a);
}
__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *f, ...) {
	va_list a; va_start(a, f); fputs("wsload: ", stderr); vfprintf(stderr, f, a); fputc('\n', stderr); va_end(a); exit(2);
}
static void *xcalloc(size_t n, size_t s) {
	void *p;
	if (s && n > SIZE_MAX / s) die("out of memory");
	if (posix_memalign(&p, 64, n && s ? n * s : 64)) die("out of memory");
	memset(p, 0, n * s); return p;
}
static u64 rs[2];
static u64 rnd(void) { u64 a = rs[0], b = rs[1]; rs[0] = b; a ^= a << 23; rs[1] = a ^ b ^ (a >> 17) ^ (b >> 26); return rs[1] + b; }
static void rkey(u8 out[16]) { /* buffered getrandom */
	static u8 pool[4096]; static size_t at = sizeof pool;
	if (at + 16 > sizeof pool) {
		size_t g = 0;
		while (g < sizeof pool) { ssize_t r = getrandom(pool + g, sizeof pool - g, 0); if (r > 0) g += r; else if (errno != EINTR) die("getrandom: %s", strerror(errno)); }
		at = 0;
	}
	memcpy(out, pool + at, 16); at += 16;
}
INL u64 enc32(u32 v) {
	u64 x = v;
	x = (x | x << 16) & 0x0000FFFF0000FFFFull; x = (x | x << 8) & 0x00FF00FF00FF00FFull; x = (x | x << 4) & 0x0F0F0F0F0F0F0F0Full;
	return x | 0x4040404040404040ull;
}
INL int dec32(u64 x, u32 *o) {
	if ((x & 0xF0F0F0F0F0F0F0F0ull) != 0x4040404040404040ull) return 0;
	x &= 0x0F0F0F0F0F0F0F0Full;
	x = (x | x >> 4) & 0x00FF00FF00FF00FFull; x = (x | x >> 8) & 0x0000FFFF0000FFFFull; *o = (u32)(x | x >> 16);
	return 1;
}

/* ---------------------------------------------------------------- gaps */
#define MAXGAPS 512
NOINL void gap_add(conn *c, u32 a, u32 b) {
	if (!c->gaps) c->gaps = xcalloc(MAXGAPS, sizeof(gap));
	if (c->ngaps && c->gaps[c->ngaps - 1].b == a) { c->gaps[c->ngaps - 1].b = b; return; }
	if (c->ngaps == MAXGAPS) { /* the oldest is missing for good */
		E_missing += c->gaps[0].b - c->gaps[0].a;
		memmove(c->gaps, c->gaps + 1, (MAXGAPS - 1) * sizeof(gap)); c->ngaps--;
	}
	c->gaps[c->ngaps++] = (gap){a, b};
}
NOINL int gap_take(conn *c, u32 s) { /* was s missing? then it is not any more */
	for (u32 i = c->ngaps; i-- > 0;) {
		gap *g = &c->gaps[i];
		if ((u32)(s - g->a) >= (u32)(g->b - g->a)) continue;
		if (g->a == s) g->a++;
		else if (g->b == s + 1) g->b--;
		else {
			gap t = {s + 1, g->b}; g->b = s;
			if (c->ngaps < MAXGAPS) { memmove(g + 2, g + 1, (c->ngaps - i - 1) * sizeof(gap)); g[1] = t; c->ngaps++; }
			else E_missing += t.b - t.a;
			return 1;
		}
		if (g->a == g->b) { memmove(g, g + 1, (c->ngaps - i - 1) * sizeof(gap)); c->ngaps--; }
		return 1;
	}
	return 0;
}
static void gaps_final(conn *c) { for (u32 i = 0; i < c->ngaps; i++) E_missing += c->gaps[i].b - c->gaps[i].a; c->ngaps = 0; }

static void conn_lost(conn *c, const char *why);

/* ---------------------------------------------------------------- plain or TLS: as recv and send, with errno */
#ifdef WITH_TLS
static SSL_CTX *tls_ctx;
static void tls_init(void) {
	tls_ctx = SSL_CTX_new(TLS_client_method());
	if (!tls_ctx || !SSL_CTX_set_min_proto_version(tls_ctx, TLS1_3_VERSION) || !SSL_CTX_set_ciphersuites(tls_ctx, "TLS_AES_128_GCM_SHA256")) die("--tls: OpenSSL has no TLS 1.3 with AES-128-GCM");
	/* A retried write holds the same bytes at another place, and perhaps more behind them. */
	SSL_CTX_set_mode(tls_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(tls_ctx, 1); /* one recv per record instead of two; rd() reads until EAGAIN */
	SSL_CTX_set_verify(tls_ctx, SSL_VERIFY_NONE, NULL);
#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF
	SSL_CTX_set_options(tls_ctx, SSL_OP_IGNORE_UNEXPECTED_EOF); /* after both close frames */
#endif
}
static ssize_t tls_result(conn *c, int r) {
	if (r > 0) return r;
	switch (SSL_get_error(c->ssl, r)) {
	case SSL_ERROR_WANT_READ: case SSL_ERROR_WANT_WRITE: errno = EAGAIN; return -1;
	case SSL_ERROR_ZERO_RETURN: return 0;
	case SSL_ERROR_SYSCALL: return errno ? -1 : 0;
	default: errno = EPROTO; return -1;
	}
}
NOINL ssize_t tls_recv(conn *c, void *p, size_t n) { ERR_clear_error(); errno = 0; return tls_result(c, SSL_read(c->ssl, p, (int)n)); }
NOINL ssize_t tls_send(conn *c, const void *p, size_t n) {
	ERR_clear_error(); errno = 0;
	ssize_t r = tls_result(c, SSL_write(c->ssl, p, n > 1 << 30 ? 1 << 30 : (int)n));
	if (r == 0) { errno = EPIPE; r = -1; }
	return r;
}
static int tls_up(conn *c) { /* 1: the TLS handshake is done, 0: not yet, -1: lost */
	if (!c->ssl) { c->ssl = SSL_new(tls_ctx); if (!c->ssl || !SSL_set_fd(c->ssl, c->fd)) die("--tls: out of memory"); SSL_set_connect_state(c->ssl); }
	if (SSL_is_init_finished(c->ssl)) return 1;
	ERR_clear_error(); errno = 0;
	ssize_t r = tls_result(c, SSL_do_handshake(c->ssl));
	if (r > 0) return 1;
	if (r < 0 && errno == EAGAIN) return 0;
	unsigned long e = ERR_peek_error();
	conn_lost(c, e ? ERR_reason_error_string(e) : r ? strerror(errno) : "closed during the TLS handshake"); return -1;
}
static void tls_end(conn *c) { if (c->ssl) { SSL_free(c->ssl); c->ssl = NULL; } ERR_clear_error(); }
#else
static void tls_init(void) { die("--tls: this wsload was built without OpenSSL (Debian: libssl-dev)"); }
static ssize_t tls_recv(conn *c, void *p, size_t n) { (void)c; (void)p; (void)n; return 0; }
static ssize_t tls_send(conn *c, const void *p, size_t n) { (void)c; (void)p; (void)n; return 0; }
static int tls_up(conn *c) { (void)c; return -1; }
static void tls_end(conn *c) { (void)c; }
#endif
INL ssize_t io_recv(conn *c, void *p, size_t n) { return UNLIKELY(tls) ? tls_recv(c, p, n) : recv(c->fd, p, n, 0); }
INL ssize_t io_send(conn *c, const void *p, size_t n) { return UNLIKELY(tls) ? tls_send(c, p, n) : send(c->fd, p, n, MSG_NOSIGNAL); }

/* ---------------------------------------------------------------- permessage-deflate */
#define STORED 5 /* bytes before the prefix: a stored block of RFC 1951 */
static const char OFFER[] = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
#ifdef WITH_DEFLATE
static z_stream zi; static u8 *zout, *zlast; static u32 zlast_n; static size_t zout_n; static int zlast_bad;
static void deflate_init(void) {
	if (inflateInit2(&zi, -15) != Z_OK) die("--deflate: zlib failed");
	zout = xcalloc(size_ + 1, 1); zlast = xcalloc(2 * size_ + 4096, 1);
}
/* the payload of our messages: the prefix as it is, to be patched, and the rest deflated; returns its length */
static size_t deflate_body(u8 *out, size_t most) {
	u16 n = (u16)PFX, inv = (u16)~n;
	out[0] = 0; memcpy(out + 1, &n, 2); memcpy(out + 3, &inv, 2); memcpy(out + STORED, body, PFX);
	z_stream z = {0};
	if (deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) die("--deflate: zlib failed");
	z.next_in = body + PFX; z.avail_in = (uInt)(size_ - PFX); z.next_out = out + STORED + PFX; z.avail_out = (uInt)(most - STORED - PFX);
	if (deflate(&z, Z_SYNC_FLUSH) != Z_OK || z.avail_in || !z.avail_out) die("--deflate: zlib failed");
	size_t len = z.next_out - out; deflateEnd(&z);
	return len - 4; /* RFC 7692, 7.2.1: the four bytes of the empty block are left out */
}
static void chunk(conn *c, const u8 *p, size_t n);
NOINL void z_add(conn *c, const u8 *p, size_t n) {
	if (c->zn + n > 2 * size_ + 4000) { c->mbad = 1; return; } /* no sensible compression of a message of ours */
	if (c->zn + n + 4 > c->zcap) { c->zcap = (u32)(2 * (c->zn + n) + 64); if (!(c->zb = realloc(c->zb, c->zcap))) die("out of memory"); }
	memcpy(c->zb + c->zn, p, n); c->zn += (u32)n;
}
NOINL void z_done(conn *c) { /* inflates the message; a broadcast comes to everybody in the same bytes, and is inflated once */
	if (measuring) { compressed++; wire_bytes += c->zn; }
	if (c->mbad) return;
	if (!c->zb) z_add(c, (const u8 *)"", 0);
	if (c->zn != zlast_n || !c->zn || memcmp(c->zb, zlast, c->zn)) {
		memcpy(zlast, c->zb, c->zn); zlast_n = c->zn;
		memcpy(c->zb + c->zn, "\0\0\xff\xff", 4);
		inflateReset(&zi); zi.next_in = c->zb; zi.avail_in = c->zn + 4; zi.next_out = zout; zi.avail_out = (uInt)(size_ + 1);
		int r = inflate(&zi, Z_SYNC_FLUSH);
		zlast_bad = r != Z_OK || zi.avail_in; zout_n = size_ + 1 - zi.avail_out;
	}
	if (zlast_bad) c->mbad = 1;
	chunk(c, zout, zout_n);
}
#else
static void deflate_init(void) { die("--deflate: this wsload was built without zlib (Debian: zlib1g-dev)"); }
static size_t deflate_body(u8 *out, size_t most) { (void)out; (void)most; return 0; }
static void z_add(conn *c, const u8 *p, size_t n) { (void)c; (void)p; (void)n; }
static void z_done(conn *c) { (void)c; }
#endif

/* ---------------------------------------------------------------- sending */
INL void patch(conn *c, u32 i, u32 s) {
	u8 *q = slots + (size_t)i * L + at_;
	st64(q, enc32(s) ^ mask64);
	if (has_tag) st64(q + 8, c->tag ^ mask64);
	if (has_ts) { bent *e = &rooms[c->room].ring[s & rmask]; st64(q + 16, e->tse[0] ^ mask64); st64(q + 24, e->tse[1] ^ mask64); }
}
NOINL int flush_ctl(conn *c) { /* 1: nothing left, 0: blocked, -1: lost */
	ctl *t = c->ctl;
	while (t->off < t->len) {
		ssize_t r = io_send(c, t->buf + t->off, t->len - t->off);
		if (r < 0) { if (errno == EINTR) continue; if (errno == EAGAIN) return 0; conn_lost(c, strerror(errno)); return -1; }
		t->off += r;
	}
	free(t); c->ctl = NULL; return 1;
}
static int flush(conn *c) {
	for (;;) {
		if (UNLIKELY(c->ctl != NULL) && !c->held && (c->tx_off == 0 || c->ctl->off)) { int r = flush_ctl(c); if (r <= 0) return r; }
		u32 n = c->tx_next - c->tx_sent;
		if (!n) return 0;
		if (n > nslots) n = nslots;
		for (u32 i = 0; i < n; i++) patch(c, i, c->tx_sent + i);
		size_t want = (size_t)n * L - c->tx_off;
		ssize_t r = io_send(c, slots + c->tx_off, want);
		if (LIKELY(r == (ssize_t)want)) { c->tx_sent += n; c->tx_off = 0; c->held = 0; continue; }
		if (r < 0) { if (errno == EINTR) continue; if (errno == EAGAIN) { if (tls) c->held = n; return 0; } conn_lost(c, strerror(errno)); return -1; }
		c->held = 0;
		size_t tot = c->tx_off + (size_t)r; c->tx_sent += (u32)(tot / L); c->tx_off = (u32)(tot % L);
	}
}
NOINL void queue_ctl(conn *c, u8 op, const u8 *p, size_t n) {
	if (!c->ctl) { c->ctl = calloc(1, sizeof(ctl)); if (!c->ctl) die("out of memory"); }
	ctl *t = c->ctl;
	if (n > 125 || t->len + 6 + n > sizeof t->buf) return; /* only so many pongs at a time */
	u8 *q = t->buf + t->len;
	q[0] = 0x80 | op; q[1] = 0x80 | (u8)n; memcpy(q + 2, mask, 4);
	for (size_t i = 0; i < n; i++) q[6 + i] = p[i] ^ mask[i & 3];
	t->len += 6 + (u32)n;
}
static u32 begun(conn *c) { return c->held ? c->held : c->tx_off ? 1 : 0; } /* messages that must be sent to their end */
static void send_close(conn *c) { /* after which only ST_CLOSING */
	c->tx_next = c->tx_sent + begun(c);
	u8 code[2] = {0x03, 0xE8};
	queue_ctl(c, 8, code, 2); c->st = ST_CLOSING; c->last = now_ns(); flush(c);
}

/* ---------------------------------------------------------------- connection end */
static hs *hsfree;
static void conn_shut(conn *c) {
	if (UNLIKELY(c->ssl != NULL)) tls_end(c);
	if (c->fd >= 0) { close(c->fd); c->fd = -1; }
	if (c->h) { c->h->next = hsfree; hsfree = c->h; c->h = NULL; }
	free(c->ctl); c->ctl = NULL;
	if (c->opened) { nopen--; c->opened = 0; }
	c->st = ST_DEAD;
	if (mode == M_CHURN) cstack[ncstack++] = c->idx;
}
static void room_client_gone(conn *c);
NOINL void conn_lost(conn *c, const char *why) { /* not meant to happen, or the end of a close */
	if (c->st == ST_DEAD) return;
	if (c->st < ST_OPEN) {
		inflight--; E_conn++;
		if (c->st == ST_HS && c->h && c->h->n) err("conn %u: handshake failed: %s (got %u bytes: '%.*s')", c->idx, why, c->h->n, (int)strcspn(c->h->buf, "\r\n"), c->h->buf);
		else err("conn %u: %s: %s", c->idx, c->st == ST_CONN ? "connect" : "handshake", why);
		conn_shut(c); return;
	}
	if (c->st == ST_FIN) { closed_n++; conn_shut(c); return; }
	if (c->st == ST_CLOSING && mode != M_CHURN) { unclean++; conn_shut(c); return; }
	disconnects++;
	err("conn %u: disconnected: %s", c->idx, why);
	if (mode == M_BCAST) room_client_gone(c);
	else if (c->tx_next != c->rx_next) { gap_add(c, c->rx_next, c->tx_next); c->rx_next = c->tx_next; }
	gaps_final(c);
	conn_shut(c);
}
NOINL void proto_err(conn *c, const char *why) {
	E_proto++; err("conn %u: protocol error: %s", c->idx, why);
	if (c->st == ST_HELLO) inflight--;
	if (mode == M_BCAST) room_client_gone(c);
	else if (c->tx_next != c->rx_next && c->st == ST_OPEN) { gap_add(c, c->rx_next, c->tx_next); c->rx_next = c->tx_next; }
	gaps_final(c);
	conn_shut(c);
}

/* ---------------------------------------------------------------- broadcast bookkeeping */
INL void room_advance(room *r, u32 txn) { while (r->done != txn && r->ring[r->done & rmask].need == 0) r->done++; }
static u32 room_tx(room *r) { return r->snd ? r->snd->tx_next : 0; }
NOINL void bcast_lose(room *r, u32 a, u32 b) {
	for (u32 s = a; s != b; s++) { bent *e = &r->ring[s & rmask]; if ((u32)(s - r->done) <= rmask && e->need) { e->need--; e->lost++; } }
	room_advance(r, room_tx(r));
}
NOINL void room_client_gone(conn *c) {
	room *r = &rooms[c->room];
	if (!r->snd || !c->was_open) return;
	u32 t = room_tx(r);
	if (!(excl_sender && c == r->snd)) {
		if (c->rx_next != t) { gap_add(c, c->rx_next, t); bcast_lose(r, c->rx_next, t); c->rx_next = t; }
		r->live--;
	}
	c->was_open = 0;
	if (c == r->snd) { r->dead = 1; r->done = t; }
}
static void bcast_fill(room *r, u64 now) { /* window mode */
	conn *c = r->snd;
	if (!sending || r->dead || !c || c->st != ST_OPEN || !r->live) return;
	u32 n = K - (c->tx_next - r->done);
	if ((int)n <= 0) return;
	u64 t0 = enc32((u32)now), t1 = enc32((u32)(now >> 32));
	for (u32 i = 0; i < n; i++) {
		bent *e = &r->ring[c->tx_next++ & rmask];
		e->sent = now; e->need = r->live; e->got = e->lost = 0; e->tse[0] = t0; e->tse[1] = t1;
	}
	sent_total += n; if (r->last == 0) r->last = now;
	flush(c);
}
static u64 rate_due(void) { return rate_t0 + (u64)(rate_k * rate_step); }
static u64 connect_due(void) { return connect_rate ? connect_t0 + (u64)(connect_k * 1e9 / connect_rate) : 0; }
static void rate_tick(u64 now) {
	u64 due;
	while (sending && (due = rate_due()) <= now) {
		room *r = &rooms[rate_k++ % NR]; conn *c = r->snd;
		if (r->dead || !c || c->st != ST_OPEN || !r->live) { if (rate_k % 1024 == 0) break; continue; }
		if (c->tx_next - r->done > rmask) { throttled++; continue; }
		if (c->tx_next == r->done) r->last = now;
		bent *e = &r->ring[c->tx_next++ & rmask];
		e->sent = due; e->need = r->live; e->got = e->lost = 0; e->tse[0] = enc32((u32)due); e->tse[1] = enc32((u32)(due >> 32));
		sent_total++; flush(c);
	}
}

/* ---------------------------------------------------------------- receiving messages */
#define SIO_PATH "/socket.io/?EIO=4&transport=websocket&path="
static const char SIO_HEAD[] = "42[\"message\",\"", SIO_TAIL[] = "\"]";
static u64 idle_ok;
INL void accept_msg(conn *c, u32 s, u64 now, const int M) { /* a correct message, in order */
	recv_total++;
	if (M == M_BCAST) {
		room *r = &rooms[c->room]; bent *e = &r->ring[s & rmask];
		u64 lat = now > e->sent ? now - e->sent : 0;
		e->got++; e->need--;
		if (measuring) { msgs++; hist_add(&H_lat, lat); if (e->got == 1) hist_add(&H_first, lat); }
		if (e->need == 0) {
			if (e->lost == 0 && measuring) { bcasts++; hist_add(&H_last, lat); }
			room_advance(r, room_tx(r));
		}
	} else if (measuring) { msgs++; hist_add(M == M_CHURN ? &H_first : &H_lat, now - c->ts[s & rmask]); }
}
NOINL void on_msg(conn *c, u8 op, const u8 *p, u64 len, int bad, u64 now, const int M) {
	u32 s;
	if (c->st != ST_OPEN) return; /* late data while closing */
	room *r = M == M_BCAST ? &rooms[c->room] : NULL;
	u32 txn = M == M_BCAST ? room_tx(r) : c->tx_next;
	if (r && !r->snd) { foreign++; return; } /* before we began: join notices and the like */
	if (len < 8 || !dec32(ld64(p), &s)) {
		if (ignore_foreign) { foreign++; return; }
		E_corrupt++; err("conn %u: unknown message: opcode %u, %" PRIu64 " bytes: '%.*s'", c->idx, op, len, (int)(len < 32 ? len : 32), p); return;
	}
	const char *why = bad ? "body differs" : NULL;
	if (op != opc) why = "opcode differs";
	if (len != size_) why = "length differs";
	else if (has_tag && ld64(p + 8) != c->tag) { E_corrupt++; err("conn %u: message of another %s", c->idx, M == M_BCAST ? "room" : "connection"); return; }
	u32 d = s - c->rx_next, out = txn - c->rx_next;
	if (d < out) {
		if (!why && has_ts) { bent *e = &r->ring[s & rmask]; if (ld64(p + 16) != e->tse[0] || ld64(p + 24) != e->tse[1]) why = "timestamp differs"; }
		if (d) {
			err("conn %u: expected message %u, got %u", c->idx, c->rx_next - c->base, s - c->base);
			gap_add(c, c->rx_next, s); if (M == M_BCAST) bcast_lose(r, c->rx_next, s);
		}
		c->rx_next = s + 1;
		if (!why) { accept_msg(c, s, now, M); return; }
		if (M == M_BCAST) bcast_lose(r, s, s + 1);
		E_corrupt++; err("conn %u: message %u is corrupt: %s (opcode %u, %" PRIu64 " bytes)", c->idx, s - c->base, why, op, len);
	} else if ((u32)(c->rx_next - s) <= (u32)(c->rx_next - c->base)) {
		if (gap_take(c, s)) {
			if (why) { E_corrupt++; err("conn %u: late message %u is corrupt: %s", c->idx, s - c->base, why); }
			else { E_reord++; recv_total++; if (measuring) msgs++; err("conn %u: message %u came late (reordered)", c->idx, s - c->base); }
		} else { E_dup++; err("conn %u: message %u came twice", c->idx, s - c->base); }
	} else { E_corrupt++; err("conn %u: sequence number never sent (%u)", c->idx, s - c->base); }
}
NOINL void on_control(conn *c) {
	if (c->fop == 9) { if (c->st == ST_OPEN) { queue_ctl(c, 10, c->cbuf, c->flen); flush(c); } return; }
	if (c->fop == 10) return;
	/* close */
	if (c->st == ST_CLOSING) { c->st = ST_FIN; c->last = now_ns(); return; }
	if (c->st != ST_OPEN) return;
	unsigned code = c->flen >= 2 ? (unsigned)c->cbuf[0] << 8 | c->cbuf[1] : 1005;
	queue_ctl(c, 8, c->cbuf, c->flen >= 2 ? 2 : 0); c->tx_next = c->tx_sent + begun(c);
	char why[180]; snprintf(why, sizeof why, "server sent close %u '%.*s'", code, c->flen > 2 ? (int)c->flen - 2 : 0, c->cbuf + 2);
	if (flush(c) == 0) conn_lost(c, why);
}
static void chunk(conn *c, const u8 *p, size_t n) {
	u64 o = c->mgot;
	if (o < sizeof c->pfx) { size_t k = sizeof c->pfx - o < n ? sizeof c->pfx - o : n; memcpy(c->pfx + o, p, k); }
	c->mgot += n;
	if (c->mgot > WL) return; /* the length is wrong anyway */
	u64 from = before_ + (verify ? PFX : (size_ >= PFX + 8 ? size_ - 8 : size_));
	if (from < o) from = o;
	if (from < c->mgot && memcmp(p + (from - o), whole + from, c->mgot - from)) c->mbad = 1;
}
/* Socket.IO (revision 5) over Engine.IO (revision 4): "0{...}" opens, "40" connects and is answered "40{...}", "2" is a ping */
static int is_open(conn *c, u64 now);
NOINL void sio_msg(conn *c, u64 now, const int M) {
	const u8 *p = c->pfx; u64 n = c->mgot;
	if (c->st == ST_HELLO) {
		if (n > 2 && !memcmp(p, "0{", 2)) { queue_ctl(c, 1, (const u8 *)"40", 2); flush(c); }
		else if (n > 3 && !memcmp(p, "40{", 3)) is_open(c, now);
		else conn_lost(c, "not the handshake of Socket.IO");
	} else if (n == 1 && *p == '2') { if (c->st == ST_OPEN) { queue_ctl(c, 1, (const u8 *)"3", 1); flush(c); } }
	else if (n < WL - size_ || memcmp(p, SIO_HEAD, before_)) on_msg(c, c->mop, p, n, 1, now, M);
	else on_msg(c, c->mop, p + before_, n - (WL - size_), c->mbad, now, M);
}
/* marks end at the first ":"; "@me.position.r:" greets, "0-42:" is a kept message, "#position:" says that all has been said */
NOINL void marked_msg(conn *c, u64 now, const int M) {
	u8 *p = c->pfx; size_t n = c->mgot < sizeof c->pfx ? c->mgot : sizeof c->pfx;
	const u8 *end = n ? memchr(p, ':', n) : NULL, *dot = n ? memchr(p, '.', n) : NULL;
	if (!end) proto_err(c, "a message without a mark");
	else if (c->st == ST_HELLO) {
		if (*p != '@' || !dot || dot > end) { proto_err(c, "not the greeting of marks"); return; }
		if (end[-1] == 'g') gapped++;
		p[dot - p] = ':'; queue_ctl(c, 1, p, (size_t)(dot + 1 - p));
		if (is_open(c, now)) flush(c);
	} else if (*p == ':') on_msg(c, c->mop, p + 1, c->mgot - 1, c->mbad, now, M);
	else if (*p == '0') kept++;
	else if (*p != '#') proto_err(c, "an unknown mark");
}
/* one frame or what there is of it; returns new p, NULL if the connection is gone */
NOINL const u8 *rx_slow(conn *c, const u8 *p, const u8 *e, u64 now, const int M) {
	if (c->stage == 0) {
		while (c->hn < 2) { if (p == e) { c->busy = 1; return p; } c->hb[c->hn++] = *p++; }
		u8 l = c->hb[1] & 127, need = l == 126 ? 4 : l == 127 ? 10 : 2, op = c->hb[0] & 15;
		if (c->hb[1] & 128) { proto_err(c, "masked frame from the server"); return NULL; }
		if (c->hb[0] & (deflating && (op == 1 || op == 2) ? 0x30 : 0x70)) { proto_err(c, "RSV bits set"); return NULL; }
		if ((op > 2 && op < 8) || op > 10) { proto_err(c, "unknown opcode"); return NULL; }
		if (op >= 8 && (l > 125 || !(c->hb[0] & 128))) { proto_err(c, "fragmented or long control frame"); return NULL; }
		while (c->hn < need) { if (p == e) { c->busy = 1; return p; } c->hb[c->hn++] = *p++; }
		c->flen = l;
		if (need == 4) c->flen = (u64)c->hb[2] << 8 | c->hb[3];
		else if (need == 10) { c->flen = 0; for (int i = 2; i < 10; i++) c->flen = c->flen << 8 | c->hb[i]; }
		if (c->flen > MAXFRAME) { proto_err(c, "absurd frame length"); return NULL; }
		c->fop = op; c->ffin = c->hb[0] >> 7; c->fgot = 0;
		if (op == 0) { if (!c->mact) { proto_err(c, "continuation without a start"); return NULL; } }
		else if (op < 8) {
			if (c->mact) { proto_err(c, "new message inside a fragmented one"); return NULL; }
			c->mact = 1; c->mop = op; c->mgot = 0; c->mbad = 0; c->mz = c->hb[0] & 0x40; c->zn = 0;
		}
		c->stage = 1;
	}
	size_t n = (size_t)(e - p); if (n > c->flen - c->fgot) n = c->flen - c->fgot;
	if (c->fop >= 8) memcpy(c->cbuf + c->fgot, p, n);
	else if (c->mz) z_add(c, p, n);
	else chunk(c, p, n);
	c->fgot += n; p += n;
	if (c->fgot < c->flen) { c->busy = 1; return p; }
	c->stage = 0; c->hn = 0;
	if (c->fop >= 8) { on_control(c); if (c->st == ST_DEAD) return NULL; }
	else if (c->ffin) { c->mact = 0; if (c->mz) z_done(c); if (UNLIKELY(sio)) sio_msg(c, now, M); else if (UNLIKELY(marks)) marked_msg(c, now, M); else on_msg(c, c->mop, c->pfx, c->mgot, c->mbad, now, M); if (c->st == ST_DEAD) return NULL; }
	c->busy = c->mact;
	return p;
}
INL int hdr_eq(const u8 *p) {
	u16 a, b; memcpy(&a, p, 2); memcpy(&b, eh, 2);
	if (a != b) return 0;
	return ehl == 2 || memcmp(p + 2, eh + 2, ehl - 2) == 0;
}
INL int body_ok(const u8 *q) {
	if (UNLIKELY(sio) && (memcmp(q - before_, SIO_HEAD, before_) || memcmp(q + size_, SIO_TAIL, sizeof SIO_TAIL - 1))) return 0;
	if (size_ >= PFX + 8 && ld64(q + size_ - 8) != ld64(body + size_ - 8)) return 0;
	return !verify || memcmp(q + PFX, body + PFX, size_ - PFX) == 0;
}
INL void rx(conn *c, const u8 *p, size_t n, u64 now, const int M) {
	const u8 *e = p + n;
	while (p < e) {
		if (LIKELY(!c->busy && c->st == ST_OPEN && !marks)) {
			while ((size_t)(e - p) >= FL && hdr_eq(p)) {
				const u8 *q = p + ehl + before_; u32 s = c->rx_next;
				int ok = ld64(q) == enc32(s) && (!has_tag || ld64(q + 8) == c->tag) && body_ok(q);
				if (M == M_BCAST) {
					if (ok) { room *r = &rooms[c->room]; bent *b = &r->ring[s & rmask]; ok = r->snd && s != r->snd->tx_next && (!has_ts || (ld64(q + 16) == b->tse[0] && ld64(q + 24) == b->tse[1])); }
				} else ok = ok && s != c->tx_next;
				if (LIKELY(ok)) { c->rx_next = s + 1; accept_msg(c, s, now, M); }
				else { on_msg(c, opc, q, size_, !body_ok(q), now, M); if (c->st == ST_DEAD) return; }
				p += FL;
			}
			if (p == e) return;
		}
		p = rx_slow(c, p, e, now, M);
		if (!p) return;
	}
}

/* ---------------------------------------------------------------- handshake */
static struct sockaddr_storage dst; static socklen_t dst_n;
static char *reqs_path(conn *c, char *buf, size_t n) {
	if (mode == M_BCAST && path_tpl) {
		const char *q = strstr(path_tpl, "{i}");
		if (q) snprintf(buf, n, "%.*s%u%s", (int)(q - path_tpl), path_tpl, c->room, q + 3); else snprintf(buf, n, "%s", path_tpl);
	} else snprintf(buf, n, "%s", path);
	return buf;
}
static void send_req(conn *c) { /* leaves ST_CONN if not yet connected */
	static char req[16384]; char pb[2048], key[32]; u8 k[16], d[20]; char cat[80];
	if (tls && tls_up(c) <= 0) return;
	rkey(k); b64(k, 16, key);
	int n = snprintf(req, sizeof req, "GET %s%s HTTP/1.1\r\nHost: %s%s%s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s%s\r\n",
	                 sio ? SIO_PATH : "", reqs_path(c, pb, sizeof pb), v6 ? "[" : "", host, v6 ? "]" : "", port, key, deflating ? OFFER : "", hdrs);
	ssize_t r = io_send(c, req, n);
	if (r < 0 && !tls && (errno == EAGAIN || errno == ENOTCONN)) return;
	if (r != n) { conn_lost(c, r < 0 ? strerror(errno) : "request did not fit the socket buffer"); return; }
	snprintf(cat, sizeof cat, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	sha1((u8 *)cat, strlen(cat), d);
	hs *h = hsfree;
	if (h) hsfree = h->next; else if (!(h = malloc(sizeof *h))) die("out of memory");
	b64(d, 20, h->acc); h->n = 0; c->h = h; c->st = ST_HS;
}
static void start_connect(conn *c) {
	c->fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	c->st = ST_CONN; c->t0 = now_ns(); c->busy = c->stage = c->hn = c->mact = c->was_open = 0; c->opened = 0; c->held = 0;
	c->tx_next = c->tx_sent = c->rx_next = c->base = (u32)rnd(); c->tx_off = 0; c->ngaps = 0;
	inflight++;
	if (c->fd < 0) { conn_lost(c, strerror(errno)); return; }
	int one = 1; setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (cong[0] && setsockopt(c->fd, IPPROTO_TCP, TCP_CONGESTION, cong, strlen(cong))) { conn_lost(c, "--cc: no such congestion control"); return; }
	if (src_ips > 1) {
		struct sockaddr_in a = {.sin_family = AF_INET};
		a.sin_addr.s_addr = htonl(0x7F000001u + c->idx % src_ips);
		setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
		if (bind(c->fd, (void *)&a, sizeof a)) { conn_lost(c, strerror(errno)); return; }
	}
	int r = connect(c->fd, (void *)&dst, dst_n);
	if (r && errno != EINPROGRESS) { conn_lost(c, strerror(errno)); return; }
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
	if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev)) { conn_lost(c, strerror(errno)); return; }
	send_req(c); /* on loopback it is mostly established by now */
}
static int hs_fail(conn *c, const char *why) {
	int n = (int)strcspn(c->h->buf, "\r\n"); if (n > 200) n = 200;
	E_hs++; err("conn %u: handshake refused: %s; status line: '%.*s'", c->idx, why, n, c->h->buf);
	inflight--; conn_shut(c); return -1;
}
static int has_token(const char *v, size_t n, const char *tok) {
	size_t t = strlen(tok);
	for (size_t i = 0; i < n;) {
		while (i < n && (v[i] == ' ' || v[i] == '\t' || v[i] == ',')) i++;
		size_t j = i; while (j < n && v[j] != ',') j++;
		size_t k = j; while (k > i && (v[k - 1] == ' ' || v[k - 1] == '\t')) k--;
		if (k - i == t && !strncasecmp(v + i, tok, t)) return 1;
		i = j;
	}
	return 0;
}
/* RFC 7692, 5 and 7: what is wrong with an answer to OFFER, or NULL */
static const char *deflate_answer(const char *v, size_t n) {
	static const char NAME[] = "permessage-deflate";
	if (n < sizeof NAME - 1 || strncasecmp(v, NAME, sizeof NAME - 1) || memchr(v, ',', n)) return "an extension that was not offered";
	if (memmem(v, n, "client_max_window_bits", 22)) return "client_max_window_bits, which was not offered";
	return memmem(v, n, "server_no_context_takeover", 26) ? NULL : "the server keeps its context, though asked not to";
}
/* returns the number of bytes of p consumed, -1: gone */
static ssize_t hs_input(conn *c, const u8 *p, size_t n, u64 now) {
	hs *h = c->h; u32 before = h->n; size_t k = HSBUF - 1 - h->n; if (k > n) k = n;
	memcpy(h->buf + h->n, p, k); h->n += (u32)k; h->buf[h->n] = 0;
	char *end = memmem(h->buf, h->n, "\r\n\r\n", 4);
	if (!end) { if (h->n == HSBUF - 1) return hs_fail(c, "response header too long"); return (ssize_t)n; }
	size_t hn = (size_t)(end + 4 - h->buf);
	if (strncmp(h->buf, "HTTP/1.1 101", 12) || (h->buf[12] != ' ' && h->buf[12] != '\r')) return hs_fail(c, "not 101");
	int up = 0, co = 0, ac = 0, de = 0; const char *bad = NULL;
	for (char *l = (char *)memmem(h->buf, h->n, "\r\n", 2) + 2; l < end + 2;) {
		char *le = memmem(l, end + 2 - l, "\r\n", 2), *col = memchr(l, ':', le - l);
		if (col) {
			size_t nn = col - l; char *v = col + 1, *ve = le;
			while (v < ve && (*v == ' ' || *v == '\t')) v++;
			while (ve > v && (ve[-1] == ' ' || ve[-1] == '\t')) ve--;
#define IS(x) (nn == sizeof(x) - 1 && !strncasecmp(l, x, nn))
			if (IS("upgrade")) up |= has_token(v, ve - v, "websocket");
			else if (IS("connection")) co |= has_token(v, ve - v, "upgrade");
			else if (IS("sec-websocket-accept")) { if (ac) bad = "two Sec-WebSocket-Accept"; ac = 1; if ((size_t)(ve - v) != 28 || memcmp(v, h->acc, 28)) bad = "wrong Sec-WebSocket-Accept"; }
			else if (IS("sec-websocket-extensions")) { de = deflating; bad = deflating ? deflate_answer(v, ve - v) : "an extension that was not offered"; }
		} else bad = "malformed header line";
		l = le + 2;
	}
	if (!bad) bad = !up ? "no Upgrade: websocket" : !co ? "no Connection: Upgrade" : !ac ? "no Sec-WebSocket-Accept" : deflating && !de ? "permessage-deflate was not agreed on" : NULL;
	if (bad) return hs_fail(c, bad);
	h->next = hsfree; hsfree = h; c->h = NULL;
	if (sio || marks) c->st = ST_HELLO;
	else if (!is_open(c, now)) return -1;
	return (ssize_t)(hn - before);
}
static int is_open(conn *c, u64 now) { /* 0: gone */
	c->st = ST_OPEN; c->opened = 1; c->was_open = 1; nopen++; inflight--; c->last = now;
	if (now - c->t0 > 900 * MS_NS) slow_connects++;
	hist_add(&H_conn, now - c->t0);
	if (mode == M_CHURN) { c->ts[c->tx_next & rmask] = now; c->tx_next++; sent_total++; flush(c); }
	return c->st != ST_DEAD;
}

/* ---------------------------------------------------------------- events */
INL void echo_refill(conn *c, u64 now) {
	u32 lim = c->rx_next + K;
	if (!sending || lim == c->tx_next) return;
	sent_total += (u32)(lim - c->tx_next);
	for (u32 s = c->tx_next; s != lim; s++) c->ts[s & rmask] = now;
	c->tx_next = lim; flush(c);
}
INL void rd(conn *c, u32 ev, const int M) {
	for (int it = 0;; it++) {
		ssize_t r = io_recv(c, rbuf, RB);
		if (LIKELY(r > 0)) {
			u64 now = now_ns(); const u8 *p = rbuf; size_t n = (size_t)r;
			if (UNLIKELY(c->st == ST_HS)) { ssize_t k = hs_input(c, p, n, now); if (k < 0) return; p += k; n -= (size_t)k; }
			u32 before = c->rx_next;
			if (n) rx(c, p, n, now, M);
			if (UNLIKELY(c->st == ST_DEAD)) return;
			if (c->rx_next != before) {
				c->last = now;
				if (M == M_ECHO) { if (c->rx_next - before > 16) now = now_ns(); echo_refill(c, now); }
				else if (M == M_BCAST) { room *rm = &rooms[c->room]; rm->last = now; if (!rate) bcast_fill(rm, c->rx_next - before > 16 ? now_ns() : now); }
				else if (M == M_CHURN) { if (c->rx_next == c->tx_next) send_close(c); }
				else if (M == M_IDLE) idle_ok += c->rx_next - before;
				if (UNLIKELY(c->st == ST_DEAD)) return;
			} else if (c->busy) c->last = now; /* a long message is on its way */
			if (UNLIKELY(tls)) continue; /* OpenSSL may hold more, of which epoll knows nothing */
			if ((size_t)r < RB && !(ev & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) return;
			if (it >= 8 && !(ev & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) { /* let others have a turn: arm the edge again */
				struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
				epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e); return;
			}
		} else if (r == 0) {
			if (M == M_CHURN && c->st == ST_FIN) {
				u64 now = now_ns(); churn_total++;
				if (measuring) { churn_done++; hist_add(&H_lat, now - c->t0); }
				closed_n++; conn_shut(c); return;
			}
			conn_lost(c, "connection closed by the server (EOF without close frame)"); return;
		} else if (errno == EAGAIN) return;
		else if (errno != EINTR) { conn_lost(c, strerror(errno)); return; }
	}
}
INL void dispatch(conn *c, u32 ev) {
	if (UNLIKELY(c->st <= ST_CONN)) {
		if (c->st == ST_DEAD) return;
		if (ev & (EPOLLERR | EPOLLHUP)) { int e = 0; socklen_t n = sizeof e; getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &n); conn_lost(c, e ? strerror(e) : "hung up"); return; }
		if (!(ev & EPOLLOUT) && !tls) return;
		send_req(c);
		if (c->st != ST_HS) return;
	}
	if ((ev & EPOLLOUT) && c->st >= ST_HELLO && (c->tx_next != c->tx_sent || c->ctl)) {
		flush(c);
		if (mode == M_ECHO && c->st == ST_OPEN && c->tx_next == c->tx_sent && c->rx_next == c->tx_next) echo_refill(c, now_ns());
		if (c->st == ST_DEAD) return;
	}
	if (ev & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) switch (mode) {
		case M_ECHO: rd(c, ev, M_ECHO); break;
		case M_BCAST: rd(c, ev, M_BCAST); break;
		case M_IDLE: case M_STORM: rd(c, ev, M_IDLE); break;
		case M_CHURN: rd(c, ev, M_CHURN); break;
	}
}
static void scan(u64 now) { /* timeouts; every 50 ms */
	u64 cto = (u64)(cto_s * 1e9);
	for (u32 i = 0; i < C; i++) {
		conn *c = &cs[i];
		switch (c->st) {
		case ST_CONN: case ST_HS: case ST_HELLO:
			if (now > c->t0 + cto) conn_lost(c, c->st == ST_CONN ? "timed out" : "no answer in time");
			break;
		case ST_OPEN:
			if (mode == M_ECHO || mode == M_CHURN) {
				if (c->tx_next != c->rx_next && now > c->last + stall_ns) {
					E_stall++; err("conn %u: stalled: %u messages unanswered", c->idx, c->tx_next - c->rx_next);
					gap_add(c, c->rx_next, c->tx_next); c->rx_next = c->tx_next; c->last = now;
					if (mode == M_CHURN) { gaps_final(c); conn_shut(c); }
					else if (c->tx_next == c->tx_sent) echo_refill(c, now); /* not while our own bytes are stuck */
				}
			}
			break;
		case ST_CLOSING: case ST_FIN:
			if (mode == M_CHURN && now > c->last + stall_ns) { E_timeout++; err("conn %u: %s", c->idx, c->st == ST_FIN ? "server did not close the connection after the close handshake" : "no close frame from the server"); conn_shut(c); }
			break;
		}
	}
	if (mode == M_BCAST && rooms) for (u32 r = 0; r < NR; r++) {
		room *m = &rooms[r];
		if (!m->snd || m->dead) continue;
		u32 t = room_tx(m);
		if (m->done != t && m->last && now > m->last + stall_ns) {
			E_stall++; err("room %u: stalled: %u broadcasts incomplete", r, t - m->done);
			for (u32 i = r; i < C; i += NR) {
				conn *c = &cs[i];
				if (c->st != ST_OPEN || c->rx_next == t || (excl_sender && c == m->snd)) continue;
				gap_add(c, c->rx_next, t); bcast_lose(m, c->rx_next, t); c->rx_next = t;
			}
			m->last = now;
			if (m->snd->tx_next == m->snd->tx_sent && !rate) bcast_fill(m, now);
		}
	}
}
static void pump(u64 until) { /* one round of events; waits until then at most */
	int n = epoll_wait(ep, evs, MAXE, 0); u64 t;
	if (n <= 0) {
		t = now_ns();
		if (rate && sending && rate_due() < until) until = rate_due();
		if (connecting && connect_rate && ncstack && connect_due() < until) until = connect_due();
		if (!spin && until > t && !(connecting && (mode == M_CHURN ? ncstack > 0 && connect_due() <= t : inflight < cwin && next_conn < C))) {
			u64 w = until - t; if (w > 20 * MS_NS) w = 20 * MS_NS;
			struct timespec ts = {(time_t)(w / S_NS), (long)(w % S_NS)};
			n = epoll_pwait2(ep, evs, MAXE, &ts, NULL);
			if (n < 0 && errno == ENOSYS) n = epoll_wait(ep, evs, MAXE, w > MS_NS ? (int)(w / MS_NS) : 0);
		}
		u64 u = now_ns(); idle_ns += u - (spin ? t_end_pump : t);
	}
	if (rate && sending) rate_tick(now_ns());
	for (int i = 0; i < n; i++) {
		dispatch(evs[i].data.ptr, evs[i].events);
		if (rate && (i & 15) == 15) rate_tick(now_ns());
	}
	t = t_end_pump = now_ns();
	if (t - last_scan > 50 * MS_NS) { last_scan = t; scan(t); }
	if (connecting) {
		int k = 0;
		if (mode == M_CHURN) { while (ncstack && connect_due() <= t && k++ < 64) { connect_k++; start_connect(&cs[cstack[--ncstack]]); } }
		else while (inflight < cwin && next_conn < C && k++ < 32) start_connect(&cs[next_conn++]);
	}
}

/* ---------------------------------------------------------------- phases */
static u64 connect_ns;
static void phase_connect(void) {
	u64 t0 = now_ns(), lastp = t0; u32 seen = 0; connecting = 1;
	while (!stop_ && (next_conn < C || inflight)) {
		pump(now_ns() + 20 * MS_NS);
		if (nopen != seen) { seen = nopen; lastp = now_ns(); }
		if (!nopen && E_conn + E_hs >= 50) { err("giving up: the first 50 connections failed"); break; }
		if (now_ns() > lastp + (u64)(cto_s * 1e9) + 5 * S_NS) { E_timeout++; err("giving up: no connection opened for %.0f s", cto_s + 5); break; }
	}
	connect_ns = now_ns() - t0; connecting = 0;
}
static void phase_wait(u64 ns) { u64 t = now_ns() + ns; while (!stop_ && now_ns() < t) pump(t); }
static void phase_close(void) {
	closing_all = 1; sending = 0;
	u64 lastp = now_ns(), t_all = lastp + 30 * S_NS; u32 i = 0, left = 0; u64 seen = 0;
	for (;;) {
		for (u32 k = 0; i < C && k < 256; i++, k++) if (cs[i].st == ST_OPEN) send_close(&cs[i]);
		u64 now = now_ns();
		pump(i < C ? now : now + 5 * MS_NS);
		if (closed_n + unclean + disconnects != seen) { seen = closed_n + unclean + disconnects; lastp = now_ns(); }
		if (i < C) continue;
		left = nopen;
		if (!left || now > lastp + (u64)(close_s * 1e9) || now > t_all) break;
	}
	for (i = 0; i < C; i++) if (cs[i].st != ST_DEAD) { if (cs[i].st >= ST_CLOSING) unclean++; if (cs[i].st < ST_OPEN) inflight--; conn_shut(&cs[i]); }
}
static void phase_drain(void) {
	sending = 0;
	u64 t = now_ns() + (u64)(drain_s * 1e9), chk = 0;
	for (;;) {
		u64 now = now_ns();
		if (now >= t) break;
		if (now > chk) {
			u32 i = 0; chk = now + MS_NS;
			if (mode == M_BCAST) {
				for (i = 0; i < C; i++) { conn *c = &cs[i]; room *r = &rooms[c->room]; if (c->st == ST_OPEN && !r->dead && r->snd && c->rx_next != room_tx(r) && !(excl_sender && c == r->snd)) break; }
			} else for (i = 0; i < C; i++) if (cs[i].st == ST_OPEN && cs[i].rx_next != cs[i].tx_next) break;
			if (i == C) break;
		}
		pump(now + 2 * MS_NS);
	}
	phase_wait(30 * MS_NS); /* anything more than we asked for (duplicates)? */
	for (u32 i = 0; i < C; i++) {
		conn *c = &cs[i];
		if (c->st == ST_OPEN) {
			u32 tx = mode == M_BCAST ? room_tx(&rooms[c->room]) : c->tx_next;
			if (mode == M_BCAST && (!rooms[c->room].snd || (excl_sender && c == rooms[c->room].snd))) tx = c->rx_next;
			if (c->rx_next != tx) {
				u64 quiet = (u64)(drain_s * 5e8) < S_NS ? (u64)(drain_s * 5e8) : S_NS;
				if (mode != M_IDLE && drain_s > 0 && c->last + quiet > now_ns()) { /* still coming: a backlog, no loss */
					E_undeliv += tx - c->rx_next; err("conn %u: %u messages not yet delivered when --drain (%.1f s) was over", c->idx, tx - c->rx_next, drain_s);
				} else { err("conn %u: %u messages still missing after %.1f s", c->idx, tx - c->rx_next, drain_s); gap_add(c, c->rx_next, tx); c->rx_next = tx; }
			}
		}
		gaps_final(c);
	}
}
static u64 cpu_ticks(void) {
	u64 s = 0;
	for (int i = 0; i < npids; i++) {
		char f[64], b[1024]; snprintf(f, sizeof f, "/proc/%d/stat", pids[i]);
		FILE *fp = fopen(f, "r"); if (!fp) continue;
		size_t n = fread(b, 1, sizeof b - 1, fp); fclose(fp); b[n] = 0;
		char *q = strrchr(b, ')'); unsigned long long u = 0, v = 0;
		if (q && sscanf(q + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &u, &v) == 2) s += u + v;
	}
	return s;
}
static void mem(int pid, u64 *rss, u64 *pss) {
	char f[64], l[256]; *rss = *pss = 0;
	snprintf(f, sizeof f, "/proc/%d/smaps_rollup", pid);
	FILE *fp = fopen(f, "r");
	if (fp) {
		unsigned long long v;
		while (fgets(l, sizeof l, fp)) { if (sscanf(l, "Rss: %llu", &v) == 1) *rss = v * 1024; else if (sscanf(l, "Pss: %llu", &v) == 1) *pss = v * 1024; }
		fclose(fp);
		if (*rss) return;
	}
	snprintf(f, sizeof f, "/proc/%d/statm", pid);
	if ((fp = fopen(f, "r"))) { unsigned long long a, b; if (fscanf(fp, "%llu %llu", &a, &b) == 2) *rss = *pss = b * (u64)sysconf(_SC_PAGESIZE); fclose(fp); }
	if (!*rss) err("cannot read the memory of pid %d", pid);
}
static double m_secs, m_busy, m_scpu, m_gcpu;
static double gcpu(void) { struct rusage r; getrusage(RUSAGE_SELF, &r); return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6; }
static void phase_measure(void) {
	if (!nopen && mode != M_CHURN) return;
	phase_wait((u64)(warm * 1e9));
	u64 t0 = now_ns(), i0 = idle_ns, k0 = cpu_ticks(), t1 = t0 + (u64)(dur * 1e9); double g0 = gcpu();
	measuring = 1; t_end_pump = t0;
	while (!stop_ && now_ns() < t1) { if (!nopen && mode != M_CHURN) { err("no connection is left"); break; } pump(t1); }
	measuring = 0;
	u64 t = now_ns();
	m_secs = (t - t0) / 1e9; m_busy = 1.0 - (idle_ns - i0) / (double)(t - t0); if (m_busy < 0) m_busy = 0;
	m_scpu = (cpu_ticks() - k0) / (double)sysconf(_SC_CLK_TCK) / m_secs; m_gcpu = (gcpu() - g0) / m_secs;
}
static void json_tail(void) {
	printf("\"errors\":%" PRIu64 ",\"disconnects\":%" PRIu64 ",\"detail\":{\"connect\":%" PRIu64 ",\"handshake\":%" PRIu64 ",\"protocol\":%" PRIu64 ",\"corrupt\":%" PRIu64
	       ",\"missing\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"reordered\":%" PRIu64 ",\"stalls\":%" PRIu64 ",\"timeouts\":%" PRIu64 ",\"undelivered\":%" PRIu64 "},"
	       "\"foreign\":%" PRIu64 ",\"slow_connects\":%" PRIu64 ",\"unclean_closes\":%" PRIu64,
	       errors_sum(), disconnects, E_conn, E_hs, E_proto, E_corrupt, E_missing, E_dup, E_reord, E_stall, E_timeout, E_undeliv, foreign, slow_connects, unclean);
	if (marks) printf(",\"kept\":%" PRIu64 ",\"gaps\":%" PRIu64, kept, gapped);
	if (deflating) printf(",\"compressed\":%" PRIu64 ",\"wire_bytes\":%.1f", compressed, compressed ? (double)wire_bytes / compressed : 0);
	if (mode != M_IDLE) {
		printf(",\"gen_busy\":%.3f,\"gen_cpu\":%.3f", m_busy, m_gcpu);
		if (npids) printf(",\"server_cpu\":%.3f", m_scpu);
	}
	printf("}\n"); fflush(stdout);
	if (nerr_suppressed) fprintf(stderr, "wsload: %" PRIu64 " more messages not shown\n", nerr_suppressed);
}

static void run_echo(void) {
	phase_connect(); phase_wait(settle_ns);
	sending = 1;
	for (u32 i = 0; i < C; i++) if (cs[i].st == ST_OPEN) { u64 n = now_ns(); cs[i].last = n; echo_refill(&cs[i], n); if ((i & 63) == 63) pump(n); }
	u32 up = nopen;
	phase_measure(); phase_drain(); phase_close();
	printf("{\"mode\":\"echo\",\"conns\":%u,\"size\":%zu,\"pipeline\":%u,\"seconds\":%.3f,\"msgs\":%" PRIu64 ",\"msgs_per_s\":%.0f,\"mb_per_s\":%.2f,",
	       up, size_, K, m_secs, msgs, m_secs ? msgs / m_secs : 0, m_secs ? msgs / m_secs * size_ / 1e6 : 0);
	hist_json("lat_us", &H_lat);
	printf(",\"connects_per_s\":%.0f,\"sent_total\":%" PRIu64 ",\"recv_total\":%" PRIu64 ",", up / (connect_ns / 1e9), sent_total, recv_total);
	json_tail();
}
static void run_bcast(void) {
	phase_connect(); phase_wait(settle_ns);
	u32 nrooms = 0;
	for (u32 r = 0; r < NR; r++) {
		room *m = &rooms[r]; u32 base = (u32)rnd();
		for (u32 i = r; i < C; i += NR) if (cs[i].st == ST_OPEN) { if (!m->snd) m->snd = &cs[i]; m->live++; }
		if (!m->snd) continue;
		m->n = m->live; if (excl_sender) m->live--;
		if (m->live) nrooms++;
		for (u32 i = r; i < C; i += NR) { cs[i].rx_next = cs[i].base = base; cs[i].tx_next = cs[i].tx_sent = base; }
		m->done = base;
	}
	sending = 1; rate_t0 = now_ns(); rate_k = 0; rate_step = rate ? 1e9 / (rate * NR) : 0;
	if (!rate) for (u32 r = 0; r < NR; r++) bcast_fill(&rooms[r], now_ns());
	u32 up = nopen;
	phase_measure(); phase_drain(); phase_close();
	printf("{\"mode\":\"broadcast\",\"clients\":%u,\"rooms\":%u,\"size\":%zu,", up, nrooms, size_);
	if (rate) printf("\"rate\":%g,", rate); else printf("\"window\":%u,", K);
	printf("\"seconds\":%.3f,\"deliveries\":%" PRIu64 ",\"deliveries_per_s\":%.0f,\"broadcasts\":%" PRIu64 ",\"broadcasts_per_s\":%.1f,\"mb_per_s\":%.2f,",
	       m_secs, msgs, m_secs ? msgs / m_secs : 0, bcasts, m_secs ? bcasts / m_secs : 0, m_secs ? msgs / m_secs * size_ / 1e6 : 0);
	hist_json("lat_us_all", &H_lat); printf(","); hist_json("lat_us_first", &H_first); printf(","); hist_json("lat_us_last", &H_last);
	printf(",\"missing\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"reordered\":%" PRIu64 ",\"corrupt\":%" PRIu64 ",\"throttled\":%" PRIu64 ",\"sent_total\":%" PRIu64 ",\"recv_total\":%" PRIu64 ",",
	       E_missing, E_dup, E_reord, E_corrupt, throttled, sent_total, recv_total);
	json_tail();
}
static u32 prove(void) { /* 100 random connections must echo; returns how many were asked */
	u32 *perm = xcalloc(C, 4), np = 0;
	for (u32 i = 0; i < C; i++) if (cs[i].st == ST_OPEN) perm[np++] = i;
	u32 ns = np < 100 ? np : 100;
	measuring = 1;
	for (u32 i = 0; i < ns; i++) {
		u32 j = i + (u32)(rnd() % (np - i)), x = perm[j]; perm[j] = perm[i]; perm[i] = x;
		conn *c = &cs[x]; c->ts[c->tx_next & rmask] = now_ns(); c->tx_next++; sent_total++; flush(c);
	}
	free(perm);
	u64 t = now_ns() + (u64)(drain_s * 1e9);
	while (!stop_ && now_ns() < t && idle_ok < ns) pump(now_ns() + 5 * MS_NS);
	measuring = 0;
	return ns;
}
static void run_storm(void) {
	u32 window = cwin; cwin = 200; phase_connect(); /* what the server loads late, it loads now */
	u32 before = nopen; phase_close();
	if (before < C || E_conn + E_hs + disconnects) err("only %u of %u connections opened before the storm", before, C);
	phase_wait(S_NS); /* until the server is through with their ends */
	cwin = window; next_conn = inflight = 0; slow_connects = 0; unclean = closed_n = kept = gapped = 0; hist_reset(&H_conn);
	u64 t0 = now_ns(), i0 = idle_ns, k0 = cpu_ticks(); double g0 = gcpu();
	t_end_pump = t0; phase_connect();
	m_secs = connect_ns / 1e9; m_busy = 1.0 - (idle_ns - i0) / (double)connect_ns; if (m_busy < 0) m_busy = 0;
	m_gcpu = (gcpu() - g0) / m_secs;
	u32 up = nopen; phase_wait((u64)(hold * 1e9));
	double cpu_s = (cpu_ticks() - k0) / (double)sysconf(_SC_CLK_TCK); m_scpu = cpu_s / (m_secs + hold);
	u32 ns = prove();
	msgs = recv_total;
	drain_s = 0; phase_drain(); phase_close();
	printf("{\"mode\":\"storm\",\"conns\":%u,\"requested\":%u,\"connect_seconds\":%.3f,\"connects_per_s\":%.0f,", up, C, m_secs, m_secs ? up / m_secs : 0);
	if (npids) printf("\"server_cpu_s\":%.3f,", cpu_s);
	hist_json("connect_us", &H_conn);
	printf(",\"sampled\":%u,\"alive\":%" PRIu64 ",", ns, msgs);
	json_tail();
}
static void run_idle(void) {
	u64 r0[64], p0[64], r1[64], p1[64], R = 0, P = 0;
	for (int i = 0; i < npids; i++) mem(pids[i], &r0[i], &p0[i]);
	phase_connect();
	double cps = connect_ns ? nopen / (connect_ns / 1e9) : 0; u32 up = nopen;
	phase_wait((u64)(hold * 1e9));
	u32 held = nopen;
	for (int i = 0; i < npids; i++) { mem(pids[i], &r1[i], &p1[i]); R += r1[i] - r0[i]; P += p1[i] - p0[i]; }
	u32 ns = prove();
	u64 alive = recv_total;
	drain_s = 0; phase_drain();
	u64 tc = now_ns(); phase_close(); tc = now_ns() - tc;
	msgs = alive;
	printf("{\"mode\":\"idle\",\"conns\":%u,\"requested\":%u,\"connect_seconds\":%.3f,\"connects_per_s\":%.0f,", up, C, connect_ns / 1e9, cps);
	hist_json("connect_us", &H_conn);
	printf(",\"held\":%u,\"hold\":%g,\"sampled\":%u,\"alive\":%" PRIu64 ",", held, hold, ns, alive);
	hist_json("lat_us", &H_lat);
	if (npids) {
		printf(",\"pids\":[");
		for (int i = 0; i < npids; i++) printf("%s{\"pid\":%d,\"rss_before\":%" PRIu64 ",\"rss_after\":%" PRIu64 ",\"pss_before\":%" PRIu64 ",\"pss_after\":%" PRIu64 "}", i ? "," : "", pids[i], r0[i], r1[i], p0[i], p1[i]);
		printf("],\"rss_delta\":%" PRId64 ",\"pss_delta\":%" PRId64 ",\"rss_bytes_per_conn\":%.0f,\"pss_bytes_per_conn\":%.0f", (int64_t)R, (int64_t)P, up ? (double)(int64_t)R / up : 0, up ? (double)(int64_t)P / up : 0);
	}
	printf(",\"close_seconds\":%.3f,", tc / 1e9);
	json_tail();
}
static void run_churn(void) {
	connecting = 1; sending = 1;
	for (u32 i = C; i-- > 0;) cstack[ncstack++] = i;
	u64 t = connect_t0 = now_ns();
	/* fail early when nothing works */
	while (!stop_ && !churn_total && now_ns() < t + (u64)(cto_s * 1e9) && errors_sum() < 50) pump(now_ns() + 5 * MS_NS);
	if (!churn_total) err("no connection was completed");
	else phase_measure();
	connecting = 0; sending = 0;
	t = now_ns() + (u64)(drain_s * 1e9);
	while (ncstack < C && now_ns() < t) pump(now_ns() + 5 * MS_NS);
	u32 left = C - ncstack;
	if (left) { E_timeout += left; err("%u connections did not finish within %.1f s", left, drain_s); }
	for (u32 i = 0; i < C; i++) if (cs[i].st != ST_DEAD) { ncstack = 0; conn_shut(&cs[i]); }
	msgs = churn_done;
	printf("{\"mode\":\"churn\",\"concurrency\":%u,\"size\":%zu,\"seconds\":%.3f,\"conns\":%" PRIu64 ",\"conns_per_s\":%.1f,", C, size_, m_secs, churn_done, m_secs ? churn_done / m_secs : 0);
	hist_json("lat_us", &H_lat); printf(","); hist_json("handshake_us", &H_conn); printf(","); hist_json("echo_us", &H_first);
	printf(",\"conns_total\":%" PRIu64 ",\"sent_total\":%" PRIu64 ",\"recv_total\":%" PRIu64 ",", churn_total, sent_total, recv_total);
	json_tail();
}

/* ---------------------------------------------------------------- main */
static void on_sig(int s) { (void)s; stop_ = 1; }
static void on_alarm(int s) { (void)s; static const char m[] = "wsload: watchdog: the run took far too long\n"; if (write(2, m, sizeof m - 1)) {} _exit(3); }
static void usage(void) {
	fputs("usage: wsload echo|broadcast|idle|churn|storm --port P [--path /x] -c N [-d S] [--warmup S] [--size B] [--binary] [--verify]\n"
	      "  echo:      [--pipeline K]\n"
	      "  broadcast: (--rate MSGS_PER_S_PER_ROOM | --window K) [--rooms R --path-template '/ws/chat/room{i}'] [--exclude-sender]\n"
	      "  idle:      [--hold S] [--pid PID ...]\n"
	      "  churn:     (-c = concurrency) [--connect-rate CONNECTIONS_PER_S]\n"
	      "  common:    [--host 127.0.0.1|::1] [--header 'K: V'] [--src-ips N] [--connect-window N] [--connect-timeout S] [--stall-ms MS]\n"
	      "             [--drain S] [--settle-ms MS] [--close-timeout S] [--pid PID] [--spin] [--cc NAME] [--ignore-foreign] [--json] [--deflate] [--tls] [--socketio] [--marks]\n"
	      "See the top of wsload.c.\n", stderr);
	exit(2);
}
static double num(const char *o, const char *v, double lo, double hi) {
	char *e; errno = 0; double d = v && *v ? strtod(v, &e) : 0;
	if (!v || !*v || *e || errno || !(d >= lo && d <= hi)) die("%s: a number from %g to %g is needed, not '%s'", o, lo, hi, v ? v : "");
	return d;
}
static size_t frame_head(u8 *h, int first, size_t n) { /* returns its length, without a mask */
	h[0] = (u8)first;
	if (n < 126) { h[1] = (u8)n; return 2; }
	if (n < 65536) { h[1] = 126; h[2] = (u8)(n >> 8); h[3] = (u8)n; return 4; }
	h[1] = 127; for (int i = 0; i < 8; i++) h[9 - i] = (u8)((u64)n >> (8 * i));
	return 10;
}
static void json_body(u8 *b, size_t n) { /* rows as an API sends them: equal keys, other values */
	static const char *W[] = {"amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "juniper", "kelp", "larch", "maple", "north", "onyx", "pearl"};
#define ANY W[rnd() % 16]
	for (size_t at = 0; at < n;) {
		char row[256]; u64 r = rnd();
		int k = snprintf(row, sizeof row, "{\"id\":%u,\"name\":\"%s %s\",\"score\":%u.%02u,\"online\":%s,\"text\":\"%s %s %s\"},", (unsigned)(r % 900000 + 100000), ANY, ANY,
		                 (unsigned)(r >> 20) % 1000, (unsigned)(r >> 40) % 100, r >> 63 ? "true" : "false", ANY, ANY, ANY);
		if ((size_t)k > n - at) k = (int)(n - at);
		memcpy(b + at, row, (size_t)k); at += (size_t)k;
	}
}
int main(int ac, char **av) {
	if (ac < 2) usage();
	for (mode = 0; mode < MODES && strcmp(av[1], MODE[mode]); mode++);
	if (mode == MODES) usage();
	int have_size = 0, have_win = 0, have_cwin = 0, have_hold = 0;
	for (int i = 2; i < ac; i++) {
		const char *o = av[i];
#define O(x) (!strcmp(o, x))
#define V() (i + 1 < ac ? av[++i] : (die("%s needs a value", o), ""))
		if (O("--binary")) binary = 1;
		else if (O("--verify")) verify = 1;
		else if (O("--json")) json = 1;
		else if (O("--deflate")) deflating = 1;
		else if (O("--tls")) tls = 1;
		else if (O("--socketio")) sio = 1;
		else if (O("--marks")) marks = 1;
		else if (O("--spin")) spin = 1;
		else if (O("--ignore-foreign")) ignore_foreign = 1;
		else if (O("--exclude-sender")) excl_sender = 1;
		else if (O("-h") || O("--help")) usage();
		else if (O("--host")) host = V();
		else if (O("--port") || O("-p")) port = (int)num(o, V(), 1, 65535);
		else if (O("--path")) path = V();
		else if (O("--path-template")) path_tpl = V();
		else if (O("-c")) C = (u32)num(o, V(), 1, 2000000);
		else if (O("-d")) dur = num(o, V(), 0.01, 3600);
		else if (O("--warmup")) warm = num(o, V(), 0, 600);
		else if (O("--size")) size_ = (size_t)num(o, V(), 8, 1 << 28), have_size = 1;
		else if (O("--pipeline") || O("--window")) {
			if (O("--pipeline") != (mode == M_ECHO) || mode > M_BCAST) die("%s does not belong to %s", o, MODE[mode]);
			K = (u32)num(o, V(), 1, 1 << 20); have_win = 1;
		}
		else if (O("--rate")) { if (mode != M_BCAST) die("--rate belongs to broadcast"); rate = num(o, V(), 0.001, 1e7); }
		else if (O("--connect-rate")) { if (mode != M_CHURN) die("--connect-rate belongs to churn"); connect_rate = num(o, V(), 0.001, 1e6); }
		else if (O("--rooms")) NR = (u32)num(o, V(), 1, 1000000);
		else if (O("--hold")) hold = num(o, V(), 0, 3600), have_hold = 1;
		else if (O("--connect-window")) cwin = (u32)num(o, V(), 1, 100000), have_cwin = 1;
		else if (O("--connect-timeout")) cto_s = num(o, V(), 0.1, 600);
		else if (O("--stall-ms")) stall_ns = (u64)(num(o, V(), 10, 600000) * MS_NS);
		else if (O("--settle-ms")) settle_ns = (u64)(num(o, V(), 0, 60000) * MS_NS);
		else if (O("--drain")) drain_s = num(o, V(), 0, 600);
		else if (O("--close-timeout")) close_s = num(o, V(), 0, 600);
		else if (O("--cc")) cong = V();
		else if (O("--src-ips")) src_ips = (int)num(o, V(), 1, 250);
		else if (O("--pid")) { /* one or several after it */
			do { if (npids == 64) die("too many --pid"); pids[npids++] = (int)num(o, V(), 1, 1e9); } while (i + 1 < ac && av[i + 1][0] >= '0' && av[i + 1][0] <= '9');
		} else if (O("--header")) {
			const char *h = V();
			if (!strchr(h, ':') || strpbrk(h, "\r\n")) die("--header: 'Name: value' is needed");
			if (hdrs_n + strlen(h) + 3 > sizeof hdrs) die("--header: too much");
			hdrs_n += (size_t)sprintf(hdrs + hdrs_n, "%s\r\n", h);
		} else { fprintf(stderr, "wsload: unknown option %s\n", o); usage(); }
	}
	if (!port) die("--port is needed");
	if (!C) die("-c is needed");
	if (!path) path = mode == M_BCAST ? "/ws/chat/bench" : "/ws/echo";
	if (path[0] != '/' || (path_tpl && path_tpl[0] != '/') || strpbrk(path, " \r\n") || (path_tpl && strpbrk(path_tpl, " \r\n")) || strlen(path) > 2000 || (path_tpl && strlen(path_tpl) > 2000)) die("a path begins with / and has no spaces");
	if (!strcmp(host, "127.0.0.1")) {
		struct sockaddr_in *a = (void *)&dst; a->sin_family = AF_INET; a->sin_port = htons((u16)port); a->sin_addr.s_addr = htonl(INADDR_LOOPBACK); dst_n = sizeof *a;
	} else if (!strcmp(host, "::1")) {
		struct sockaddr_in6 *a = (void *)&dst; a->sin6_family = AF_INET6; a->sin6_port = htons((u16)port); a->sin6_addr = in6addr_loopback; dst_n = sizeof *a; v6 = 1;
		if (src_ips > 1) die("--src-ips: IPv6 has one loopback address");
	} else die("refused: only 127.0.0.1 or ::1, not '%s'", host);
	if (mode == M_BCAST) {
		if ((rate > 0) == have_win) die("broadcast: give either --rate or --window");
		if (NR > 1 && !path_tpl) die("--rooms needs --path-template");
		if (NR > 1 && !strstr(path_tpl, "{i}")) die("--path-template needs {i}");
		if (NR > C) die("more rooms than clients");
	} else { NR = 1; K = mode == M_ECHO ? K : 1; }
	if (warm < 0) warm = mode == M_ECHO || mode == M_BCAST ? 0.5 : 0;
	if (mode == M_CHURN || mode == M_IDLE || mode == M_STORM) { if (!have_size) size_ = 32; }
	if (mode == M_STORM) { if (!have_cwin) cwin = C; if (!have_hold) hold = 0.3; }
	if (binary && json) die("--json is text, --binary is not");
	if (sio && (binary || json || deflating)) die("--socketio has messages of letters and digits only");
	if (marks && (mode == M_BCAST || sio || deflating)) die("--marks is not for broadcast, --socketio and --deflate");

	struct rlimit rl; getrlimit(RLIMIT_NOFILE, &rl); rl.rlim_cur = rl.rlim_max; setrlimit(RLIMIT_NOFILE, &rl); getrlimit(RLIMIT_NOFILE, &rl);
	if ((u64)C + 32 > rl.rlim_cur) die("%u connections need more file descriptors than the hard limit of %llu: run several wsload, %llu connections each at most", C, (unsigned long long)rl.rlim_cur, (unsigned long long)rl.rlim_cur - 32);
	unsigned plo = 32768, phi = 60999; FILE *fp = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
	if (fp) { if (fscanf(fp, "%u %u", &plo, &phi) != 2) plo = 32768, phi = 60999; fclose(fp); }
	if ((u64)C > (u64)(phi - plo + 1) * src_ips) die("%u connections need more source ports than there are (%u per address): use --src-ips", C, phi - plo + 1);

	prctl(PR_SET_TIMERSLACK, 1000UL);
	struct sigaction sa = {.sa_handler = on_sig}; sigaction(SIGINT, &sa, NULL); sigaction(SIGTERM, &sa, NULL);
	sa.sa_handler = on_alarm; sigaction(SIGALRM, &sa, NULL); signal(SIGPIPE, SIG_IGN);
	alarm((unsigned)(120 + dur + warm + hold + drain_s + close_s + 2 * cto_s + C / 200));

	/* messages */
	if (getrandom(rs, sizeof rs, 0) != sizeof rs) die("getrandom failed");
	opc = binary ? 2 : 1;
	for (int i = 0; i < 4; i++) mask[i] = (u8)(1 + rnd() % 255);
	memcpy(&mask64, mask, 4); mask64 |= mask64 << 32;
	has_tag = size_ >= 16; has_ts = mode == M_BCAST && size_ >= 32; PFX = has_ts ? 32 : has_tag ? 16 : 8;
	before_ = sio ? sizeof SIO_HEAD - 1 : marks ? 1 : 0; WL = before_ + size_ + (sio ? sizeof SIO_TAIL - 1 : 0);
	whole = xcalloc(WL + 8, 1); body = whole + before_;
	if (marks) *whole = ':';
	if (sio) { memcpy(whole, SIO_HEAD, before_); memcpy(body + size_, SIO_TAIL, sizeof SIO_TAIL - 1); }
	static const char AN[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	for (size_t i = 0; i < size_; i++) body[i] = binary ? (u8)rnd() : (u8)AN[rnd() % 62];
	if (json) json_body(body, size_);
	if (tls) tls_init();
	ehl = frame_head(eh, 0x80 | opc, WL);
	FL = ehl + WL;
	u8 *payload = whole, fh[10]; size_t plen = WL;
	memcpy(fh, eh, sizeof fh); hl = ehl + 4; at_ = hl + before_;
	for (int i = 0; i < 8; i++) ((u8 *)&mask64)[i] = mask[(before_ + i) & 3];
	if (deflating) {
		deflate_init();
		size_t most = 2 * size_ + 4096; payload = xcalloc(most, 1); plen = deflate_body(payload, most);
		hl = frame_head(fh, 0xC0 | opc, plen) + 4; at_ = hl + STORED;
		for (int i = 0; i < 8; i++) ((u8 *)&mask64)[i] = mask[(STORED + i) & 3];
	}
	L = hl + plen;
	size_t ns = 256 * 1024 / L; if (ns < 1) ns = 1; if (ns > K && !rate) ns = K;
	if (L > 0xFFFFFFFFu) die("--size is too large");
	nslots = (u32)ns; slots = xcalloc(ns * L + 64, 1);
	for (size_t i = 0; i < ns; i++) {
		u8 *q = slots + i * L; memcpy(q, fh, hl - 4); q[1] |= 0x80; memcpy(q + hl - 4, mask, 4);
		for (size_t k = 0; k < plen; k++) q[hl + k] = payload[k] ^ mask[k & 3];
	}
	rbuf = xcalloc(RB, 1);
	hist_reset(&H_lat); hist_reset(&H_first); hist_reset(&H_last); hist_reset(&H_conn);
	cs = xcalloc(C, sizeof *cs); cstack = xcalloc(C + 1, 4);
	u32 ring = 1;
	if (mode == M_BCAST) {
		double want = rate ? rate * 4 : K; if (rate && want < 256) want = 256; if (want > 65536 && rate) want = 65536;
		while (ring < want) ring *= 2;
		if ((double)ring * NR * sizeof(bent) > 2e9) die("too many rooms for so many outstanding messages");
		rooms = xcalloc(NR, sizeof *rooms); bent *all = xcalloc((size_t)ring * NR, sizeof(bent));
		for (u32 r = 0; r < NR; r++) rooms[r].ring = all + (size_t)r * ring;
	} else {
		while (ring < K) ring *= 2;
		if ((double)ring * C * 8 > 4e9) die("too many outstanding messages");
		tsall = xcalloc((size_t)ring * C, 8);
	}
	rmask = ring - 1;
	for (u32 i = 0; i < C; i++) {
		cs[i].fd = -1; cs[i].idx = i; cs[i].room = i % NR; cs[i].tag = enc32(mode == M_BCAST ? i % NR : i);
		if (tsall) cs[i].ts = tsall + (size_t)i * ring;
	}
	if ((ep = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll: %s", strerror(errno));
	t_end_pump = last_scan = now_ns();
	switch (mode) { case M_ECHO: run_echo(); break; case M_BCAST: run_bcast(); break; case M_IDLE: run_idle(); break; case M_CHURN: run_churn(); break; case M_STORM: run_storm(); break; }
	return errors_sum() || disconnects || !msgs ? 1 : 0;
}
