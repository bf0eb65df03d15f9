/* Loaded before the C library: notes every address that is dialled and every name that is asked for,
 * answers names from $SPY_NAMES ("name=address,..."; "a|b" answers a first, then b for ever), and lets
 * nothing out of this machine, whatever the program under test wants. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void note(const char *what, const char *text, int port) {
    const char *path = getenv("SPY_LOG");
    char line[512];
    int n = snprintf(line, sizeof line, "%s %s %d\n", what, text, port);
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || n <= 0 || write(fd, line, (size_t)n) != n) abort();
    close(fd);
}

/* 1 when the address may be dialled for real: loopback, or no internet address at all. */
static int near_by(const char *what, const struct sockaddr *to) {
    char text[INET6_ADDRSTRLEN] = "";
    if (to && to->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)to;
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        note(what, text, ntohs(v4->sin_port));
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
    if (to && to->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)to;
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
        note(what, text, ntohs(v6->sin6_port));
        return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    }
    return 1;
}

int connect(int fd, const struct sockaddr *to, socklen_t length) {
    int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    if (near_by("connect", to)) return real(fd, to, length);
    errno = ENETUNREACH;
    return -1;
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
    ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "sendto");
    if (!to || near_by("send", to)) return real(fd, data, size, flags, to, length);
    errno = ENETUNREACH;
    return -1;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    ssize_t (*real)(int, const struct msghdr *, int) = dlsym(RTLD_NEXT, "sendmsg");
    if (!message->msg_name || near_by("send", message->msg_name)) return real(fd, message, flags);
    errno = ENETUNREACH;
    return -1;
}

/* The answer to `name` now; 0 when it is not in the table. */
static int told(const char *name, char *answer, size_t room) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct { char name[128]; int asked; } seen[256];
    const char *at = getenv("SPY_NAMES");
    size_t length = strlen(name);
    while (at && *at) {
        const char *end = strchrnul(at, ',');
        if (!strncmp(at, name, length) && at[length] == '=') {
            int nth = 0;
            pthread_mutex_lock(&lock);
            for (int i = 0; i < 256; i++) {
                if (!seen[i].name[0]) snprintf(seen[i].name, sizeof seen[i].name, "%s", name);
                if (!strcmp(seen[i].name, name)) { nth = seen[i].asked++; break; }
            }
            pthread_mutex_unlock(&lock);
            const char *from = at + length + 1;
            for (const char *bar; nth > 0 && (bar = memchr(from, '|', (size_t)(end - from))); nth--) from = bar + 1;
            const char *bar = memchr(from, '|', (size_t)(end - from));
            snprintf(answer, room, "%.*s", (int)((bar ? bar : end) - from), from);
            return 1;
        }
        at = *end ? end + 1 : end;
    }
    return 0;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
    char answer[128];
    if (!name || !strcmp(name, "localhost")) return real(name, service, hints, found);
    note("resolve", name, 0);
    if (told(name, answer, sizeof answer)) return real(answer, service, hints, found);
    /* Numbers need nobody; names would be asked of this machine's resolver. */
    struct addrinfo numbers = hints ? *hints : (struct addrinfo){0};
    numbers.ai_flags |= AI_NUMERICHOST;
    return real(name, service, &numbers, found);
}
